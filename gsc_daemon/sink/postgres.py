"""Step 6, the sink: the verbs of `gsc_daemon.ports.Sink` on Postgres."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from typing import Any, Final, TypeVar

import psycopg
from psycopg import errors, sql

from gsc_daemon import failpoint
from gsc_daemon.errors import ConfigError, SourceError
from gsc_daemon.model import Day, Held, Publication, Receipt, Report, Row, SinkFacts
from gsc_daemon.sink import audit, rollup
from gsc_daemon.sink import migrate as structure
from gsc_daemon.sink.failures import passes_at_once
from gsc_daemon.sink.line import PATIENCE, Connection, Line
from gsc_daemon.sink.partitions import Partitions
from gsc_daemon.sink.publish import DayWriter, receipt
from gsc_daemon.sink.readers import let_read
from gsc_daemon.sink.reports import ensure_reports, relations
from gsc_daemon.sink.rows import PackedDay, pack
from gsc_daemon.sink.statements import Relation, relation_of, statement

T = TypeVar("T")
FETCH: Final = 1000  # rows at a time, where there may be many


class PostgresSink:
    """The truth about data.

    It connects when first used, so that nothing is held before a fork. One thread uses it; `cancel` may come from any.

    Args:
        dsn: as libpq reads it, URI or key=value pairs. schema: of all relations. reader: a role that may read views.
    """

    def __init__(self, dsn: str, schema: str, reader: str = "") -> None:
        self._dsn, self._schema, self._reader = dsn, schema, reader
        self._line = Line(dsn, schema)
        self._streams: set[Line] = set()
        self._partitions = Partitions()
        self._ledger_id = ""

    # structure and owner

    def migrate(self, reports: Sequence[Report] = ()) -> None:
        """Bring the schema to this program's version, with a relation for each report, and its reader's rights.

        Several workers may do so at once. Raises `ConfigError`: newer schema, Postgres older than 15, no UTF-8, no
        right to create (with the SQL to run), a report that was something else before.
        """
        with self._line.work() as connection:
            structure.migrate(connection, self._schema)
            ensure_reports(connection, reports)
            if self._reader:
                let_read(connection, self._schema, self._reader)

    def own(self, ledger_id: str, *, take_over: bool = False) -> None:
        """One ledger feeds one sink: record its id. Raises `ConfigError` for another ledger's sink."""
        with self._line.work() as connection:
            failpoint.hit("sink.own.before", psycopg.OperationalError)
            connection.execute(statement("own"), {"ledger_id": ledger_id, "take_over": take_over})
            failpoint.hit("sink.own.after", psycopg.OperationalError)
            owner = _value(connection, statement("owner"))
        if owner != ledger_id:
            raise ConfigError(
                f'the schema "{self._schema}" is fed by another ledger ({owner})',
                hint="Give this one a sink.schema of its own, or take it over with gscd run --take-over",
            )
        self._ledger_id = ledger_id

    def owner(self) -> str:
        """The id of the ledger that feeds this sink, "" where none does yet (or there is no schema)."""
        with self._line.work() as connection:
            return self._owner(connection, structure.look(connection, self._schema))

    def _owner(self, connection: Connection, server: structure.Server) -> str:
        return str(_value(connection, statement("owner")) or "") if server.made else ""

    def facts(self) -> SinkFacts:
        """What `gscd doctor` wants to know; works without a schema and on servers that are too old."""
        with self._line.work() as connection:
            server = structure.look(connection, self._schema)
            return SinkFacts(
                server=f"PostgreSQL {server.version_text}",
                version=server.version,
                schema_version=structure.schema_version(connection, server),
                owner=self._owner(connection, server),
                read_only=server.read_only,
                may_create=bool(_value(connection, statement("may_create"), schema=self._schema)),
                bytes=int(_value(connection, statement("bytes"), schema=self._schema)),
            )

    # receipts

    def highest_token(self) -> int:
        """Of all published days, 0 for none."""
        with self._line.work() as connection:
            return int(_value(connection, statement("highest_token")))

    def receipts(self, days: Sequence[Day], *, to_write: bool = False) -> Mapping[Day, Receipt]:
        """What is held of these days. ``to_write``: raises `SinkUnavailable` too where it can only be read."""
        columns = zip(*days, strict=True) if days else ((), (), (), ())
        values = dict(zip(("sites", "reports", "search_types", "dates"), map(list, columns), strict=True))
        with self._line.work() as connection:
            if to_write and _value(connection, statement("read_only")):
                raise errors.ReadOnlySqlTransaction
            rows = connection.execute(statement("receipts"), values).fetchall()
        return {(day := Day(*row[:4])): receipt(day, row[4:]) for row in rows}

    def receipts_since(self, token: int) -> Iterator[Receipt]:
        """Receipts under a higher token, a thousand at a time, on a connection of their own."""
        for row in self._stream(statement("receipts_since"), {"token": token}, patience=PATIENCE):
            yield receipt(Day(*row[:4]), row[4:])

    # publishing

    def publish(self, publication: Publication, responses: Iterable[Sequence[Row]]) -> Receipt:
        """The whole day in one transaction; ``responses`` are decoded one at a time as they are asked for.

        The same generation under the same token may be published again: nothing changes by it.
        Raises `LeaseLost` (a newer token or generation is there), `Overlap`, `SourceError` (rows that fit nowhere).
        """
        relation = relation_of(publication.day.report, publication.dimensions)
        packed: list[PackedDay] = []

        def rows() -> PackedDay:
            if not packed:
                packed.append(pack(responses, len(relation.dimensions)))
            return packed[0]

        try:
            with self._line.work() as connection:
                return self._try_twice(lambda: self._publish(connection, relation, publication, rows))
        except SourceError as error:
            error.site, error.date = publication.day.site, publication.day.date
            raise

    def _publish(
        self, connection: Connection, relation: Relation, publication: Publication, rows: Callable[[], PackedDay]
    ) -> Receipt:
        day = publication.day
        self._partitions.ensure(connection, relation, day.date)
        with connection.transaction():
            writer = DayWriter(connection, relation, _hold_site(connection, day.site), publication)
            writer.lock(self._ledger_id)
            failpoint.hit("sink.publish.locked", psycopg.OperationalError)
            published = writer.write(rows())
            failpoint.hit("sink.publish.before", psycopg.OperationalError)
        failpoint.hit("sink.publish.after", psycopg.OperationalError)
        return published

    def _try_twice(self, work: Callable[[], T]) -> T:
        """Once more for what does not happen twice: a deadlock, or a partition that somebody removed."""
        try:
            return work()
        except errors.CheckViolation:
            self._partitions.forget()
        except psycopg.Error as error:
            if not passes_at_once(error):
                raise
        return work()

    # looking

    def roll_up(self) -> bool:
        """Bring the sums of one month up to date, the newest that is not; False if none needs it."""
        with self._line.work() as connection:
            return rollup.roll_up(connection)

    def audit(
        self, site: str | None, first: dt.date | None, last: dt.date | None, *, digests: bool = False
    ) -> Iterator[Held]:
        """Every day with a receipt or rows (dates inclusive), its rows really counted; by site, date."""
        with self._line.work() as connection:
            query = audit.audit_statement(relations(connection).values(), digests)
        for row in self._stream(query, audit.span(site, first, last), patience=None):
            yield audit.held(row, digests)

    def sample_pages(
        self, site: str | None, first: dt.date | None, last: dt.date | None, count: int
    ) -> Sequence[tuple[Day, str]]:
        """At most ``count`` pages, each a random one of a random day of ``query_page``."""
        values = {**audit.span(site, first, last), "count": count}
        with self._line.work() as connection:
            rows = connection.execute(statement("sample_pages"), values).fetchall()
        return [(Day(site_url, "query_page", kind, date), page) for site_url, kind, date, page in rows]

    def page_rows(self, day: Day, page: str) -> Sequence[Row]:
        """The rows of one page, with keys in the order of the report's dimensions."""
        with self._line.work() as connection:
            return audit.page_rows(connection, relations(connection)[day.report], day, page)

    def forget_site(self, site: str) -> int:
        """Delete a site's rows and days; gives the number of rows."""
        deleted = 0
        with self._line.work(patience=None) as connection, connection.transaction():
            connection.execute(statement("no_time_limit"))
            site_id = _value(connection, statement("forget_lock"), site=site)
            if site_id is not None:
                values = {"site_id": site_id}
                connection.execute(statement("forget_receipts"), values)
                rollup.forget(connection, site_id)
                for relation in relations(connection).values():
                    deleted += connection.execute(statement("forget_rows", rows=relation.rows), values).rowcount
                connection.execute(statement("forget_site"), values)
            failpoint.hit("sink.forget.before", psycopg.OperationalError)
        failpoint.hit("sink.forget.after", psycopg.OperationalError)
        return deleted

    # leaving

    def cancel(self) -> None:
        """From another thread: what is under way raises `SinkUnavailable` at once; the next call connects again."""
        for line in (self._line, *tuple(self._streams)):
            line.cut("interrupted while Postgres was at work")

    def close(self) -> None:
        """Let go of the connection."""
        self._line.close()

    def _stream(
        self, query: sql.Composed, values: Mapping[str, Any], patience: float | None
    ) -> Iterator[tuple[Any, ...]]:
        """Rows as they are asked for, while the sink does other things meanwhile."""
        line = Line(self._dsn, self._schema)
        self._streams.add(line)
        try:
            with (
                closing(line),
                line.work(patience) as connection,
                connection.transaction(),
                connection.cursor(name="stream") as cursor,
            ):
                cursor.itersize = FETCH
                connection.execute(statement("no_time_limit"))
                cursor.execute(query, values)
                yield from cursor
        finally:
            self._streams.discard(line)


def _hold_site(connection: Connection, site: str) -> int:
    """The site's number; it cannot be forgotten before the transaction ends."""
    while (site_id := _value(connection, statement("hold_site"), site=site)) is None:
        connection.execute(statement("add_site"), {"site": site})
    return int(site_id)


def _value(connection: Connection, query: sql.Composed, **values: Any) -> Any:
    """The first column of the first row, None without one."""
    row = connection.execute(query, values).fetchone()
    return None if row is None else row[0]
