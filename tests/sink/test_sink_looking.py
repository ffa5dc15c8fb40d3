"""What the sink tells: receipts, the owner, facts, the audit, spot checks; and forgetting a site."""

from __future__ import annotations

import datetime as dt

import pytest
from sink_world import DAY, FETCHED, LEDGER, SCHEMA, SITE, TOTALS_DAY, ask, many, publish, row, seen, served

from gsc_daemon.errors import ConfigError, UsageError
from gsc_daemon.model import Day, Held, Receipt, Row
from gsc_daemon.sink import PostgresSink
from gsc_daemon.sink.migrate import migrations

NEWEST = migrations()[-1].version
OTHER = "https://www.example.com/"


def day(offset: int = 0, site: str = SITE, report: str = "query_page", search_type: str = "web") -> Day:
    return Day(site, report, search_type, DAY.date + dt.timedelta(days=offset))


def test_receipts_are_of_the_days_asked_for(sink: PostgresSink) -> None:
    held = {
        one: publish(sink, many(3), day=one, token=token)
        for token, one in enumerate([day(), day(1), day(site=OTHER), day(search_type="image")])
    }
    assert held == sink.receipts([*held, day(2), day(site="sc-domain:never.example"), TOTALS_DAY])
    assert {day(1): held[day(1)]} == sink.receipts([day(1)])
    assert sink.receipts([]) == {}


def test_receipts_since_a_token_stream_while_the_sink_works_on(sink: PostgresSink) -> None:
    held = [publish(sink, [Row(1, 2, 0.5)], day=day(n, report="totals"), token=n) for n in range(30)]
    assert sink.highest_token() == 29
    stream = iter(sink.receipts_since(9))
    found = [next(stream)]
    publish(sink, many(2), token=40)
    found += stream
    assert {receipt.token: receipt for receipt in found} == {receipt.token: receipt for receipt in held[10:]}
    assert list(sink.receipts_since(40)) == []


def test_a_stream_left_early_lets_go(sink: PostgresSink, dsn: str) -> None:
    publish(sink, many(2))
    stream = sink.receipts_since(0)
    assert next(iter(stream)).day == DAY
    stream.close()  # type: ignore[attr-defined]
    waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND xact_start IS NOT NULL"
    assert ask(dsn, f"{waiting} AND pid <> pg_backend_pid()") == [(0,)]


def test_an_empty_sink(dsn: str) -> None:
    sink = PostgresSink(dsn, SCHEMA)
    assert sink.owner() == ""
    facts = sink.facts()
    assert (facts.schema_version, facts.owner, facts.read_only, facts.may_create, facts.bytes) == (
        0,
        "",
        False,
        True,
        0,
    )
    sink.migrate()
    assert sink.owner() == ""
    assert sink.highest_token() == 0
    assert list(sink.audit(None, None, None)) == []
    assert list(sink.receipts_since(0)) == []
    assert sink.sample_pages(None, None, None, 5) == []
    sink.close()


def test_facts_of_a_sink_at_work(sink: PostgresSink) -> None:
    publish(sink, many(100))
    facts = sink.facts()
    assert facts.server.startswith("PostgreSQL 1")
    assert facts.version >= 150000
    assert (facts.schema_version, facts.owner, facts.read_only, facts.may_create) == (NEWEST, LEDGER, False, True)
    assert facts.bytes > 100 * 100


def test_one_ledger_feeds_one_schema(sink: PostgresSink, dsn: str) -> None:
    second = PostgresSink(dsn, SCHEMA)
    with pytest.raises(ConfigError, match=rf"{LEDGER}.*--take-over"):
        second.own("another")
    sink.own(LEDGER)
    assert sink.owner() == LEDGER
    elsewhere = PostgresSink(dsn, "elsewhere")
    elsewhere.migrate()
    elsewhere.own("another")
    assert (elsewhere.owner(), sink.owner()) == ("another", LEDGER)
    for one in (second, elsewhere):
        one.close()


def test_who_was_taken_over_publishes_nothing_more(sink: PostgresSink, dsn: str) -> None:
    rows = many(5)
    publish(sink, rows)
    second = PostgresSink(dsn, SCHEMA)
    second.own("another", take_over=True)
    assert sink.owner() == "another"
    with pytest.raises(ConfigError, match="taken over"):
        publish(sink, many(9), generation=2, token=2)
    with pytest.raises(ConfigError, match="--take-over"):
        sink.own(LEDGER)
    assert served(rows) == seen(dsn)
    publish(second, many(9), generation=2, token=2)
    assert served(many(9)) == seen(dsn)
    second.close()


def test_the_audit_counts_the_rows_themselves(sink: PostgresSink, dsn: str) -> None:
    receipts = {one: publish(sink, many(10), day=one) for one in (day(), day(1), day(2))}
    ask(dsn, "DELETE FROM query_page WHERE date = %s AND query = 'query 3'", day(1).date)
    ask(dsn, "DELETE FROM receipts WHERE date = %s", day(2).date)
    ask(dsn, "DELETE FROM query_page WHERE date = %s", day().date)
    lost, short, orphan = sink.audit(None, None, None)
    assert lost == Held(day(), receipts[day()], 0, 0, 0)
    rest = [one for number, one in enumerate(many(10)) if number != 3]
    clicks, impressions = int(sum(one.clicks for one in rest)), int(sum(one.impressions for one in rest))
    assert short == Held(day(1), receipts[day(1)], 9, clicks, impressions)
    assert (orphan.day, orphan.receipt, orphan.rows) == (day(2), None, 10)


def test_the_audit_goes_by_site_and_date_within_its_span(sink: PostgresSink) -> None:
    everything = [
        *(day(n, report=report) for n in range(3) for report in ("query_page", "totals")),
        day(1, search_type="image"),
        *(day(n, site=OTHER) for n in (-40, 0)),
    ]
    for one in everything:
        publish(sink, [Row(1, 2, 0.5)] if one.report == "totals" else many(2), day=one)
    everything.sort(key=lambda one: (one.site, one.date, one.report, one.search_type))
    assert everything == [held.day for held in sink.audit(None, None, None)]
    assert all(
        held.receipt is not None and held.rows == held.receipt.row_count for held in sink.audit(None, None, None)
    )
    first, last = day(1).date, day(2).date
    within = [one for one in everything if one.site == SITE and first <= one.date <= last]
    assert within == [held.day for held in sink.audit(SITE, first, last)]
    assert list(sink.audit("sc-domain:never.example", None, None)) == []


def test_pages_for_a_spot_check(sink: PostgresSink) -> None:
    for n in range(3):
        publish(sink, many(200), day=day(n))
    publish(sink, many(5), day=day(site=OTHER))
    publish(sink, [], day=day(7))
    sample = sink.sample_pages(SITE, None, None, 60)
    assert len(sample) > 30
    assert {one for one, _ in sample} == {day(), day(1), day(2)}
    assert {page for _, page in sample} <= {one.keys[1] for one in many(200)}
    assert len({page for _, page in sample}) > 10
    assert {one for one, _ in sink.sample_pages(SITE, day(1).date, day(1).date, 20)} == {day(1)}
    assert {one for one, _ in sink.sample_pages(OTHER, None, None, 20)} == {day(site=OTHER)}


def test_the_rows_of_a_page_are_as_the_api_gave_them(sink: PostgresSink) -> None:
    rows = many(300)
    publish(sink, rows)
    page = rows[7].keys[1]
    expected = [one for one in rows if one.keys[1] == page]
    found = sink.page_rows(DAY, page)
    assert sorted(expected, key=lambda one: one.keys) == sorted(found, key=lambda one: one.keys)
    assert sink.page_rows(DAY, "https://www.example.com/never") == []
    with pytest.raises(UsageError, match="no pages"):
        sink.page_rows(TOTALS_DAY, page)


def test_a_site_is_forgotten_with_all_it_had(sink: PostgresSink, dsn: str) -> None:
    for one in (day(), day(40), day(search_type="image")):
        publish(sink, many(20), day=one)
    publish(sink, [Row(1, 2, 0.5)], day=TOTALS_DAY)
    other = publish(sink, many(3), day=day(site=OTHER))
    assert sink.forget_site(SITE) == 61
    assert sink.forget_site(SITE) == 0
    assert ask(dsn, "SELECT DISTINCT site_url FROM search_analytics") == [(OTHER,)]
    assert [held.receipt for held in sink.audit(None, None, None)] == [other]
    again: Receipt = publish(sink, many(4), fetched_at=FETCHED)
    assert again.row_count == 4
    assert served(many(4)) == seen(dsn)


def test_another_process_forgets_a_site_that_this_one_knows(sink: PostgresSink, dsn: str) -> None:
    publish(sink, [row("before")])
    other = PostgresSink(dsn, SCHEMA)
    other.forget_site(SITE)
    other.close()
    publish(sink, [row("after")])
    assert [key[0] for key in seen(dsn)] == ["after"]
