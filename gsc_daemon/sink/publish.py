"""Step 6, the sink: one day published in one transaction, from the lock on its receipt to its commit."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterable
from typing import Any, Final

from psycopg import sql

from gsc_daemon.errors import ConfigError, LeaseLost, Overlap
from gsc_daemon.model import Day, DayState, Publication, Receipt
from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.rows import PackedDay
from gsc_daemon.sink.statements import Relation, names, statement

MAX_DOUBLES: Final = 5  # a row may move while a day is fetched; more, and the responses overlapped

_EPOCH: Final = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)  # from which Postgres counts days and microseconds


def receipt(day: Day, held: tuple[Any, ...]) -> Receipt:
    """From the columns generation to suspect of `receipts`."""
    generation, token, state, *rest = held
    return Receipt(day, generation, token, DayState(state), *rest)


class DayWriter:
    """What is done inside the transaction; the caller begins and ends it."""

    def __init__(self, connection: Connection, relation: Relation, site_id: int, publication: Publication) -> None:
        self._connection, self._relation, self._publication = connection, relation, publication
        day = publication.day
        self._values: dict[str, Any] = {
            "site_id": site_id,
            "report": day.report,
            "search_type": day.search_type,
            "date": day.date,
            "state": publication.state.value,
            "generation": publication.generation,
            "token": publication.token,
            "fetched_at": publication.fetched_at,
            "last_ask": publication.last_ask,
        }

    def lock(self, ledger_id: str) -> None:
        """Must come before all else: nobody else can publish this day now.

        Raises `LeaseLost`; `ConfigError` if another ledger has taken over (no ``ledger_id``: not looked at).
        """
        row = self._connection.execute(statement("lock_day"), self._values).fetchone()
        day = self._publication.day
        if row is None:
            raise LeaseLost(
                f"a newer token than {self._publication.token}, or a newer generation than "
                f"{self._publication.generation}, has published this day of {day.report}",
                site=day.site,
                date=day.date,
            )
        if ledger_id and row[0] != ledger_id:
            raise ConfigError("another ledger has taken over this schema", hint="Stop one of the two daemons")

    def write(self, packed: PackedDay) -> Receipt:
        """Make the day's rows those; gives the receipt. Raises `Overlap`."""
        publication, day = self._publication, self._publication.day
        if packed.doubles > MAX_DOUBLES and not publication.may_overlap:
            raise Overlap(packed.doubles, site=day.site, date=day.date)
        if not self._has_rows():
            self._copy(packed)
        elif packed.rows or publication.allow_loss:
            self._replace(packed)
        else:
            return self._receipt("keep_day")
        self._values |= {
            "row_count": len(packed.rows),
            "clicks": packed.clicks,
            "impressions": packed.impressions,
            "truncated": packed.truncated,
            "overlap": packed.doubles > MAX_DOUBLES,
            "doubles": packed.doubles,
            "replaced": packed.replaced,
        }
        return self._receipt("finish_day")

    def _receipt(self, name: str) -> Receipt:
        row = self._connection.execute(self._statement(name), self._values).fetchone()
        assert row is not None, "the receipt is locked"
        return receipt(self._publication.day, row)

    def _has_rows(self) -> bool:
        row = self._connection.execute(self._statement("has_rows"), self._values).fetchone()
        return row is not None and bool(row[0])

    def _copy(self, packed: PackedDay) -> None:
        """Into an empty slice, straight."""
        values = self._values
        search_type = values["search_type"].encode()
        constants = struct.pack(
            f">iiiii{len(search_type)}siq",
            *(4, values["site_id"]),
            *(4, (values["date"] - _EPOCH.date()).days),
            *(len(search_type), search_type),
            *(8, (values["fetched_at"] - _EPOCH) // dt.timedelta(microseconds=1)),
        )
        self._copy_in("copy_rows", packed.copy_data(self._width, constants, 4))

    def _replace(self, packed: PackedDay) -> None:
        """Rows that are gone are deleted, those that differ written; the same are not touched."""
        self._connection.execute(self._statement("make_incoming"))
        self._copy_in("copy_incoming", packed.copy_data(self._width))
        self._connection.execute(statement("no_nested_loops"))
        self._connection.execute(self._statement("delete_gone"), self._values)
        self._connection.execute(self._statement("merge_rows"), self._values)

    def _copy_in(self, name: str, data: Iterable[bytes]) -> None:
        with self._connection.cursor() as cursor, cursor.copy(self._statement(name)) as copy:
            for piece in data:
                copy.write(piece)

    @property
    def _width(self) -> int:
        return len(self._relation.dimensions)

    def _statement(self, name: str) -> sql.Composed:
        columns = self._relation.columns
        return statement(name, rows=self._relation.rows, columns=names(columns), incoming=names(columns, "incoming"))
