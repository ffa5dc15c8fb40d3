"""Reconcile on a real ledger and a real Postgres that somebody has set at odds; and the repair."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

import pytest
from reconcile_stores import SITE, Stores

from gsc_daemon.model import Batch, Day, Priority, WantedDay, WorkerIdentity
from gsc_daemon.reconcile import Findings, Kind, Repair, Wanted, look, repair

TODAY = dt.date(2026, 11, 25)
ALL = Wanted(None, frozenset({"query_page", "totals"}))


def date(number: int) -> dt.date:
    return dt.date(2026, 10, 1) + dt.timedelta(days=number)


def kinds(findings: Findings) -> list[tuple[Kind, dt.date]]:
    return [(one.kind, one.day.date) for one in findings.differences]


def looked(stores: Stores) -> Findings:
    return look(stores.ledger, stores.sink)


@pytest.fixture
def agreed(stores: Stores) -> Stores:
    """Five days, of 1 to 5 rows, on which both agree."""
    for number in range(5):
        stores.publish(date(number), number + 1)
    stores.learn()
    return stores


def planned(stores: Stores) -> dict[dt.date, str]:
    """Days that are not settled: date and state."""
    return {day.date: state for day, state, *_ in stores.ledger.receipts(None, None, None) if state != "published"}


def test_stores_that_agree_are_clean(agreed: Stores) -> None:
    findings = looked(agreed)
    assert findings == Findings(days=5, rows=15, under_way=0, sites=1, differences=())


def test_only_the_asked_for_days_are_looked_at(agreed: Stores) -> None:
    agreed.harm("DELETE FROM query_page")
    found = look(agreed.ledger, agreed.sink, site=SITE, first=date(1), last=date(3))
    assert kinds(found) == [(Kind.PARTIAL, date(3)), (Kind.PARTIAL, date(2)), (Kind.PARTIAL, date(1))]
    assert look(agreed.ledger, agreed.sink, site="sc-domain:other.com").clean


HARMS: list[tuple[str, str, Kind]] = [
    (
        "a day is gone from Postgres altogether",
        "WITH gone AS (DELETE FROM query_page WHERE date = '2026-10-03')"
        " DELETE FROM receipts WHERE date = '2026-10-03'",
        Kind.MISSING,
    ),
    ("a row is gone", "DELETE FROM query_page WHERE date = '2026-10-03' AND query = 'word 1'", Kind.PARTIAL),
    ("clicks were changed", "UPDATE query_page SET clicks = 9 WHERE date = '2026-10-03'", Kind.ALTERED),
    ("an older copy was restored", "UPDATE receipts SET generation = 0 WHERE date = '2026-10-03'", Kind.STALE),
    (
        "its receipt has other rows than the ledger booked",
        "WITH more AS (UPDATE receipts SET row_count = 2, clicks = 3, impressions = 20 WHERE date = '2026-10-03')"
        " DELETE FROM query_page WHERE date = '2026-10-03' AND query = 'word 0'",
        Kind.ALTERED,
    ),
]


@pytest.mark.parametrize(("harm", "kind"), [harm[1:] for harm in HARMS], ids=[harm[0] for harm in HARMS])
def test_harm_is_found_and_planned_again(agreed: Stores, harm: str, kind: Kind) -> None:
    assert agreed.harm(harm)
    findings = looked(agreed)
    assert kinds(findings) == [(kind, date(2))]
    assert repair(agreed.ledger, findings.differences, ALL, TODAY) == Repair(1, (), ())
    assert planned(agreed) == {date(2): "planned"}
    # Whoever fetches it now must not take what is there for the answer.
    agreed.ledger.top_up(10, 100)
    (held,) = agreed.sink.receipts([Day(SITE, "query_page", "web", date(2))]).values() or [None]
    assert held is None or held.generation < generation_under_way(agreed, date(2))


def generation_under_way(stores: Stores, date: dt.date) -> int:
    """Of the day that is about to be fetched."""
    stores.ledger.seed("claim", 0, ())
    worker = stores.ledger.register_worker(WorkerIdentity(0, 1, 1, "boot"), "claim")
    batch = stores.ledger.take_batch(worker, batch_size=10, max_in_flight=10, lease_seconds=60, run_id="claim")
    assert isinstance(batch, Batch)
    return next(item.generation for item in batch.items if item.day.date == date)


def test_rows_without_a_receipt(agreed: Stores) -> None:
    agreed.harm("DELETE FROM receipts WHERE date = '2026-10-03'")
    findings = looked(agreed)
    assert kinds(findings) == [(Kind.MISSING, date(2)), (Kind.ORPHANED, date(2))]
    assert repair(agreed.ledger, findings.differences, ALL, TODAY).planned == 1


def test_a_day_that_the_ledger_does_not_know_is_adopted_without_a_request(agreed: Stores) -> None:
    day = agreed.publish(date(5), 6)
    findings = looked(agreed)
    assert kinds(findings) == [(Kind.UNKNOWN, date(5))]
    assert repair(agreed.ledger, findings.differences, ALL, TODAY).planned == 1
    agreed.ledger.top_up(10, 100)
    assert agreed.sink.receipts([day])[day].generation >= generation_under_way(agreed, date(5))


def test_a_day_of_which_postgres_holds_a_newer_generation_is_adopted_too(agreed: Stores) -> None:
    day = agreed.publish(date(2), 9, generation=2)
    findings = looked(agreed)
    assert kinds(findings) == [(Kind.AHEAD, date(2))]
    assert repair(agreed.ledger, findings.differences, ALL, TODAY).planned == 1
    agreed.ledger.top_up(10, 100)
    assert agreed.sink.receipts([day])[day].generation >= generation_under_way(agreed, date(2))


def test_a_gap_is_planned(agreed: Stores) -> None:
    agreed.publish(date(7), 1)
    agreed.learn()
    findings = looked(agreed)
    assert kinds(findings) == [(Kind.GAP, date(5)), (Kind.GAP, date(6))]
    assert repair(agreed.ledger, findings.differences, ALL, TODAY).planned == 2
    assert planned(agreed) == {date(5): "planned", date(6): "planned"}
    assert looked(agreed).clean


def test_what_is_on_its_way_is_left_alone(agreed: Stores) -> None:
    day = Day(SITE, "query_page", "web", date(2))
    agreed.ledger.add_days([WantedDay(day, Priority.RECENT, force=True)])
    agreed.harm("DELETE FROM query_page WHERE date = '2026-10-03'")
    findings = looked(agreed)
    assert findings.clean
    assert (findings.days, findings.under_way) == (4, 1)


def test_what_google_no_longer_gives_stays_and_is_said(agreed: Stores) -> None:
    """Sixteen months later, nothing can be fetched again; what is left must not be put at stake."""
    agreed.harm("DELETE FROM query_page WHERE date = '2026-10-03' AND query = 'word 1'")
    findings = looked(agreed)
    later = dt.date(2028, 3, 1)
    mended = repair(agreed.ledger, findings.differences, ALL, later)
    assert (mended.planned, mended.too_old) == (0, findings.differences)
    assert planned(agreed) == {}
    assert [one.rows for one in agreed.sink.audit(None, date(2), date(2))] == [2]


def test_an_old_day_that_the_ledger_does_not_know_can_still_be_adopted(agreed: Stores) -> None:
    agreed.publish(date(5), 6)
    assert repair(agreed.ledger, looked(agreed).differences, ALL, dt.date(2028, 3, 1)).planned == 1


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(frozenset({"sc-domain:other.com"}), frozenset({"query_page"})),
        Wanted(None, frozenset({"totals"})),
    ],
)
def test_what_the_settings_no_longer_name_is_left_alone(agreed: Stores, wanted: Wanted) -> None:
    agreed.harm("DELETE FROM query_page WHERE date = '2026-10-03' AND query = 'word 1'")
    findings = looked(agreed)
    assert repair(agreed.ledger, findings.differences, wanted, TODAY) == Repair(0, (), findings.differences)
    assert planned(agreed) == {}


def test_progress_is_told(agreed: Stores) -> None:
    told: list[int] = []
    tell: Callable[[int], None] = told.append
    look(agreed.ledger, agreed.sink, progress=tell)
    assert told == [1, 2, 3, 4, 5]
