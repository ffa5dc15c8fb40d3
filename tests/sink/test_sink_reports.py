"""Each report has a view of its name, made when it is first wanted, with the columns of its dimensions."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from sink_world import DAY, FETCHED, SITE, ask, many, publish

from gsc_daemon.errors import ConfigError
from gsc_daemon.model import Day, DayState, Filter, Publication, Report, Row
from gsc_daemon.sink import PostgresSink

PAGES = Report("pages", ("page",))
HOURLY = Report("hourly", ("hour", "searchAppearance"))


def put(sink: PostgresSink, report: Report, *rows: Row, token: int = 1) -> None:
    day = Day(SITE, report.name, "web", DAY.date)
    sink.publish(Publication(day, token, token, report.dimensions, DayState.FINAL, FETCHED), iter([list(rows)]))


def columns(dsn: str, view: str) -> list[tuple[Any, ...]]:
    return ask(
        dsn,
        "SELECT attname, format_type(atttypid, atttypmod), col_description(attrelid, attnum) IS NOT NULL "
        "FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 ORDER BY attnum",
        view,
    )


def test_a_view_with_the_columns_of_the_dimensions(sink: PostgresSink, dsn: str) -> None:
    sink.migrate([PAGES, HOURLY])
    assert columns(dsn, "hourly") == [
        ("site_url", "text", True),
        ("search_type", "text", True),
        ("date", "date", True),
        ("hour", "timestamp with time zone", True),
        ("search_appearance", "text", True),
        ("clicks", "bigint", True),
        ("impressions", "bigint", True),
        ("ctr", "double precision", True),
        ("position", "double precision", True),
        ("fetched_at", "timestamp with time zone", True),
    ]
    hour = f"{DAY.date}T01:00:00-07:00"
    put(sink, HOURLY, Row(3, 30, 0.1, [hour, "VIDEO"], 2.5))
    put(sink, PAGES, Row(4, 40, 0.1, ["https://example.com/a"], 1.5), Row(5, 50, 0.1, ["https://example.com/b"]))
    utc = dt.datetime.fromisoformat(hour)
    assert ask(dsn, "SELECT hour, search_appearance, clicks FROM hourly") == [(utc, "VIDEO", 3)]
    assert ask(dsn, "SELECT page, clicks, position FROM pages ORDER BY page") == [
        ("https://example.com/a", 4, 1.5),
        ("https://example.com/b", 5, None),
    ]
    assert ask(dsn, "SELECT report, row_count FROM days ORDER BY report") == [("hourly", 1), ("pages", 2)]


def test_all_that_looks_at_rows_looks_at_those_too(sink: PostgresSink, dsn: str) -> None:
    sink.migrate([PAGES])
    publish(sink, many(3))
    put(sink, PAGES, Row(4, 40, 0.1, ["https://example.com/a"], 1.5))
    audited = {one.day.report: (one.rows, one.clicks) for one in sink.audit(None, None, None, digests=True)}
    assert audited["pages"] == (1, 4)
    assert audited["query_page"][0] == 3
    put(sink, PAGES, Row(6, 40, 0.15, ["https://example.com/a"], 1.5), token=2)
    assert ask(dsn, "SELECT clicks FROM pages") == [(6,)]
    assert sink.forget_site(SITE) == 4
    assert ask(dsn, "SELECT count(*) FROM pages") == [(0,)]


def test_a_report_that_nobody_wants_any_more_keeps_its_rows(sink: PostgresSink, dsn: str) -> None:
    sink.migrate([PAGES])
    put(sink, PAGES, Row(4, 40, 0.1, ["https://example.com/a"], 1.5))
    sink.migrate([])
    assert [one.day.report for one in sink.audit(None, None, None)] == ["pages"]
    sink.migrate([PAGES])
    assert ask(dsn, "SELECT clicks FROM pages") == [(4,)]


@pytest.mark.parametrize(
    "other",
    [
        Report("pages", ("page", "country")),
        Report("pages", ("page",), filters=(Filter("country", "deu"),)),
        Report("pages", ("page",), aggregation="byPage"),
    ],
)
def test_what_a_name_held_is_not_mixed_with_something_else(sink: PostgresSink, other: Report) -> None:
    sink.migrate([PAGES])
    with pytest.raises(ConfigError, match="the report pages was made with other dimensions, filters or aggregation"):
        sink.migrate([other])


def test_a_name_that_is_taken_is_refused_and_nothing_is_made(sink: PostgresSink, dsn: str) -> None:
    ask(dsn, "CREATE VIEW pages AS SELECT 1 AS mine")
    with pytest.raises(ConfigError, match="there is one that is not gscd's"):
        sink.migrate([PAGES])
    assert ask(dsn, "SELECT to_regclass('pages_rows')") == [(None,)]
