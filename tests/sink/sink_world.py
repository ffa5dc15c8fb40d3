"""Days, rows and what a reader sees of them."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from gsc_daemon.model import BUILT_IN_REPORTS, Day, DayState, Publication, Receipt, Row
from gsc_daemon.sink import PostgresSink

SCHEMA = "gsc"
LEDGER = "11111111-1111-4111-8111-111111111111"
SITE = "sc-domain:example.com"
DAY = Day(SITE, "query_page", "web", dt.date(2025, 3, 14))
TOTALS_DAY = DAY._replace(report="totals")
FETCHED = dt.datetime(2025, 3, 17, 8, 30, 15, 123456, tzinfo=dt.UTC)
DIMENSIONS = {report.name: report.dimensions for report in BUILT_IN_REPORTS}

Seen = dict[tuple[str, ...], tuple[float, ...]]


def row(query: str, clicks: float = 1, impressions: float = 10, *, page: str = "https://www.example.com/") -> Row:
    return Row(clicks, impressions, clicks / impressions, [query, page, "deu", "MOBILE"], 3.25)


def many(count: int, seed: int = 0, first: int = 0) -> list[Row]:
    """Rows with keys that depend on their number alone and figures that also depend on the seed."""
    draw = random.Random(seed)
    rows = []
    for number in range(first, first + count):
        impressions = draw.randint(1, 500)
        clicks = draw.randint(0, impressions)
        keys = [f"query {number}", f"https://www.example.com/{number % 97}", "usa", "DESKTOP"]
        rows.append(Row(clicks, impressions, clicks / impressions, keys, 1 + draw.random() * 60))
    return rows


def publication(day: Day = DAY, generation: int = 1, token: int = 1, **other: Any) -> Publication:
    values = {"state": DayState.FINAL, "fetched_at": FETCHED, **other}
    return Publication(day, generation, token, DIMENSIONS[day.report], **values)


def publish(
    sink: PostgresSink, *responses: Sequence[Row], day: Day = DAY, generation: int = 1, token: int = 1, **other: Any
) -> Receipt:
    return sink.publish(publication(day, generation, token, **other), iter(responses))


def ask(dsn: str, query: str, *values: Any) -> list[tuple[Any, ...]]:
    """A query of a reader, who has the schema in the search path."""
    with psycopg.connect(dsn, autocommit=True, options=f"-c search_path={SCHEMA}") as connection:
        cursor = connection.execute(query, values)  # type: ignore[arg-type]
        return cursor.fetchall() if cursor.description is not None else []


def seen(dsn: str, day: Day = DAY) -> Seen:
    """What `search_analytics` shows of a day; fails if a key comes twice."""
    found = ask(
        dsn,
        "SELECT query, page, country, device, clicks, impressions, ctr, position FROM search_analytics "
        "WHERE site_url = %s AND search_type = %s AND date = %s",
        day.site,
        day.search_type,
        day.date,
    )
    by_key = {one[:4]: one[4:] for one in found}
    assert len(by_key) == len(found)
    return by_key


def served(rows: Iterable[Row]) -> Seen:
    """What a reader must see of these rows; of doubles the first."""
    by_key: Seen = {}
    for one in rows:
        by_key.setdefault(tuple(one.keys), (one.clicks, one.impressions, one.ctr, one.position))  # type: ignore[arg-type]
    return by_key
