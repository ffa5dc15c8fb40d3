"""The views for an analyst's usual questions."""

from __future__ import annotations

import datetime as dt

from sink_world import DAY, SCHEMA, SITE, TOTALS_DAY, ask, many, publish

from gsc_daemon.model import DayState, Row
from gsc_daemon.sink import PostgresSink


def test_every_column_of_every_view_has_a_comment(sink: PostgresSink, dsn: str) -> None:
    silent = ask(
        dsn,
        "SELECT relname, attname FROM pg_class JOIN pg_attribute ON attrelid = pg_class.oid "
        "WHERE relnamespace = %s::regnamespace AND relkind = 'v' AND attnum > 0 "
        "AND col_description(pg_class.oid, attnum) IS NULL",
        SCHEMA,
    )
    assert silent == []


def test_daily_clicks_are_those_of_the_whole_property(sink: PostgresSink, dsn: str) -> None:
    publish(sink, many(5))
    publish(sink, [Row(7, 70, 0.1, [], 2.5)], day=TOTALS_DAY, token=2)
    assert ask(dsn, "SELECT * FROM daily_clicks") == [(SITE, "web", DAY.date, 7, 70, 0.1, 2.5)]


def test_first_last_and_last_final_date(sink: PostgresSink, dsn: str) -> None:
    for token, (day, state) in enumerate(((14, DayState.FINAL), (15, DayState.FINAL), (18, DayState.PROVISIONAL)), 1):
        publish(sink, many(2), day=DAY._replace(date=dt.date(2025, 3, day)), token=token, state=state)
    dates = (dt.date(2025, 3, 14), dt.date(2025, 3, 18), dt.date(2025, 3, 15))
    assert ask(dsn, "SELECT * FROM site_dates") == [(SITE, "query_page", "web", *dates, 3)]
