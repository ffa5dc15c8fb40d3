"""Sums by month: what the views show is what the rows sum to, whether the sums are ready or not."""

from __future__ import annotations

import datetime as dt

import psycopg
import pytest
from sink_world import DAY, SITE, ask, publish, row

from gsc_daemon.model import Row
from gsc_daemon.sink import PostgresSink, rollup

FEBRUARY, MARCH = dt.date(2025, 2, 1), dt.date(2025, 3, 1)
HEAD = "SELECT month, {0}, clicks, impressions, ctr, position FROM monthly_{1} ORDER BY month, {0}"
QUERIES, PAGES = HEAD.format("query", "queries"), HEAD.format("page", "pages")


def rows() -> list[Row]:
    return [
        Row(3, 10, 0.3, ["a", "https://example.com/1", "usa", "MOBILE"], 2.0),
        Row(1, 30, 1 / 30, ["a", "https://example.com/2", "deu", "DESKTOP"], 4.0),
        Row(0, 5, 0.0, ["b", "https://example.com/1", "usa", "MOBILE"], None),
    ]


def fill(sink: PostgresSink) -> None:
    for token, date in enumerate((dt.date(2025, 2, 28), dt.date(2025, 3, 1), dt.date(2025, 3, 31)), 1):
        publish(sink, rows(), day=DAY._replace(date=date), token=token)


def rolled(dsn: str) -> list[tuple[dt.date, bool]]:
    return ask(dsn, "SELECT month, rolled_up FROM months ORDER BY month")


def roll_all(sink: PostgresSink) -> int:
    done = 0
    while sink.roll_up():
        done += 1
    return done


@pytest.mark.parametrize("ready", [False, True])
def test_sums_are_those_of_the_rows_weighted_by_impressions(sink: PostgresSink, dsn: str, ready: bool) -> None:
    fill(sink)
    if ready:
        assert roll_all(sink) == 2
    assert rolled(dsn) == [(FEBRUARY, ready), (MARCH, ready)]
    assert ask(dsn, QUERIES) == [
        (FEBRUARY, "a", 4, 40, 0.1, 3.5),
        (FEBRUARY, "b", 0, 5, 0.0, None),
        (MARCH, "a", 8, 80, 0.1, 3.5),
        (MARCH, "b", 0, 10, 0.0, None),
    ]
    assert ask(dsn, PAGES) == [
        (FEBRUARY, "https://example.com/1", 3, 15, 0.2, 2.0),
        (FEBRUARY, "https://example.com/2", 1, 30, 1 / 30, 4.0),
        (MARCH, "https://example.com/1", 6, 30, 0.2, 2.0),
        (MARCH, "https://example.com/2", 2, 60, 1 / 30, 4.0),
    ]


def test_a_day_published_later_shows_at_once_and_is_summed_by_the_next_turn(sink: PostgresSink, dsn: str) -> None:
    fill(sink)
    roll_all(sink)
    publish(sink, [row("new", 7, 70)], day=DAY._replace(date=MARCH), generation=2, token=4)
    assert rolled(dsn) == [(FEBRUARY, True), (MARCH, False)]
    shown = [found[1:4] for found in ask(dsn, QUERIES) if found[0] == MARCH]
    assert shown == [("a", 4, 40), ("b", 0, 5), ("new", 7, 70)]
    assert roll_all(sink) == 1
    assert [found[1:4] for found in ask(dsn, QUERIES) if found[0] == MARCH] == shown


def test_a_day_published_while_its_month_is_summed_makes_it_late_again(sink: PostgresSink, dsn: str) -> None:
    fill(sink)
    with psycopg.connect(dsn, options="-c search_path=gsc") as slow:
        assert rollup.sum_one(slow)
        publish(sink, [row("new", 7, 70)], day=DAY._replace(date=MARCH), generation=2, token=4)
    assert (MARCH, False) in rolled(dsn)


def test_only_one_sums_at_a_time(sink: PostgresSink, dsn: str) -> None:
    fill(sink)
    with psycopg.connect(dsn, options="-c search_path=gsc") as other:
        other.execute("SELECT pg_advisory_xact_lock('rollups'::regclass::oid::bigint)")
        assert not sink.roll_up()
    assert sink.roll_up()


def test_nothing_is_summed_without_need_and_a_forgotten_site_leaves_nothing(sink: PostgresSink, dsn: str) -> None:
    assert not sink.roll_up()
    fill(sink)
    roll_all(sink)
    sink.forget_site(SITE)
    for relation in ("rollups", "month_queries", "month_pages", "monthly_queries"):
        assert ask(dsn, f"SELECT count(*) FROM {relation}") == [(0,)], relation
    assert not sink.roll_up()
