"""Step 6, the sink: what is really there, for reconcile and spot checks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Any

from psycopg import sql

from gsc_daemon.errors import UsageError
from gsc_daemon.model import Day, Held, Row
from gsc_daemon.sink.digest import add_digests
from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.publish import receipt
from gsc_daemon.sink.statements import Relation, names, statement


def span(site: str | None, first: dt.date | None, last: dt.date | None) -> dict[str, Any]:
    """Parameters of a span of dates, both inclusive; None is without end."""
    return {"site": site, "first": first or dt.date.min, "last": last or dt.date.max}


def audit_statement(relations: Iterable[Relation], digests: bool) -> sql.Composed:
    """Counts the rows of every report and joins the receipts."""
    counts = (_count(relation, digests) for relation in relations)
    return statement("audit", counted=sql.SQL(" UNION ALL ").join(counts))


def _count(relation: Relation, digests: bool) -> sql.Composed:
    digest = statement("audit_digest") if digests else sql.SQL("NULL::numeric")
    return statement("audit_count", report=sql.Literal(relation.report), rows=relation.rows, digest=digest)


def held(row: tuple[Any, ...], digests: bool) -> Held:
    """From a row of `audit.sql`."""
    day = Day(*row[:4])
    rows, clicks, impressions, digest, *vouched = row[4:]
    found = receipt(day, tuple(vouched)) if vouched[0] is not None else None
    return Held(day, found, rows, clicks, impressions, add_digests([int(digest)]) if digests else None)


def page_rows(connection: Connection, relation: Relation, day: Day, page: str) -> list[Row]:
    """The rows of one page. Raises `UsageError` for a report without pages."""
    if "page" not in relation.dimensions:
        raise UsageError(f"the report {day.report} has no pages", site=day.site, date=day.date)
    query = statement("page_rows", rows=relation.rows, dimensions=names(relation.dimensions))
    values = {"site": day.site, "date": day.date, "search_type": day.search_type, "page": page}
    found = connection.execute(query, values).fetchall()
    return [Row(clicks, impressions, ctr, keys, position) for clicks, impressions, ctr, keys, position in found]
