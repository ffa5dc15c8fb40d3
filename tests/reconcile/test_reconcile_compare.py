"""What counts as a difference between ledger and Postgres, one day at a time; and what does not."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any, cast

import msgspec
import pytest

from gsc_daemon.model import Day, DayState, Held, Receipt, SinkFacts
from gsc_daemon.ports import Ledger, Sink
from gsc_daemon.reconcile import Booked, Findings, Kind, look
from gsc_daemon.reconcile.compare import gaps, judge, wrong_requests

SITE = "sc-domain:example.com"


def day(number: int, report: str = "query_page") -> Day:
    return Day(SITE, report, "web", dt.date(2026, 3, 1) + dt.timedelta(days=number))


def receipt(number: int = 0, **changes: Any) -> Receipt:
    plain = Receipt(day(number), 2, 7, DayState.FINAL, row_count=40_000, clicks=900, impressions=80_000)
    return msgspec.structs.replace(plain, **changes)


def held(of: Receipt | None, number: int = 0, **changes: Any) -> Held:
    counted = Held(day(number), of, 40_000, 900, 80_000)
    return msgspec.structs.replace(counted, **changes)


def booked(number: int = 0, **changes: Any) -> Booked:
    return dataclasses.replace(Booked(day(number), "published", 2, 40_000, (0, 25_000)), **changes)


def test_a_day_on_which_all_agree_is_no_difference() -> None:
    assert list(judge(booked(), held(receipt()))) == []


@pytest.mark.parametrize(
    ("ledger_says", "postgres_holds", "kind", "said"),
    [
        (booked(), held(receipt(), rows=39_999), Kind.PARTIAL, "39,999 rows of 40,000 in its receipt"),
        (booked(), held(receipt(), rows=40_001), Kind.ALTERED, "40,001 rows of 40,000 in its receipt"),
        (booked(), held(receipt(), clicks=899), Kind.ALTERED, "899 clicks of 900 in its receipt"),
        (
            booked(),
            held(receipt(), clicks=1, impressions=2),
            Kind.ALTERED,
            "1 clicks of 900, 2 impressions of 80,000 in its receipt",
        ),
        (booked(rows=39_000), held(receipt()), Kind.ALTERED, "the ledger booked 39,000 rows, its receipt says 40,000"),
        (booked(), held(receipt(generation=1)), Kind.STALE, "Postgres holds generation 1, the ledger published 2"),
        (booked(), held(receipt(generation=3)), Kind.AHEAD, "Postgres holds generation 3, the ledger published 2"),
        (None, held(receipt()), Kind.UNKNOWN, "Postgres holds 40,000 rows; the ledger does not know the day"),
        (
            booked(state="quarantined", generation=0, rows=0, start_rows=()),
            held(receipt()),
            Kind.UNKNOWN,
            "Postgres holds 40,000 rows; the ledger calls it quarantined",
        ),
        (None, held(None, rows=5), Kind.ORPHANED, "5 rows without a receipt"),
        (booked(start_rows=(0,)), held(receipt()), Kind.REQUESTS, "start rows of 40,000 rows: not done 25000"),
        (booked(start_rows=()), held(receipt()), Kind.REQUESTS, "start rows of 40,000 rows: not done 0, 25000"),
    ],
)
def test_each_kind_of_difference_is_found_and_said(
    ledger_says: Booked | None, postgres_holds: Held, kind: Kind, said: str
) -> None:
    (difference,) = judge(ledger_says, postgres_holds)
    assert (difference.kind, difference.text, difference.day) == (kind, said, day(0))


def test_rows_without_a_receipt_leave_a_published_day_missing() -> None:
    kinds = [difference.kind for difference in judge(booked(), held(None))]
    assert kinds == [Kind.ORPHANED, Kind.MISSING]


@pytest.mark.parametrize(
    ("rows", "start_rows"),
    [
        (0, (0,)),
        (24_999, (0,)),
        (25_000, (0, 25_000)),
        (49_999, (25_000, 0)),
        (50_000, (0, 25_000, 50_000)),
    ],
)
def test_the_requests_of_a_day_add_up_to_its_rows(rows: int, start_rows: tuple[int, ...]) -> None:
    assert wrong_requests(start_rows, receipt(row_count=rows)) == ""


def test_rows_that_came_twice_count_as_served() -> None:
    """24,995 rows are held, but the first response was full: 5 of them came twice."""
    assert wrong_requests((0, 25_000), receipt(row_count=24_998, doubles=2)) == ""
    assert wrong_requests((0, 25_000), receipt(row_count=24_998)) == "start rows of 24,998 rows: too many 25000"


def test_a_day_that_kept_its_older_rows_had_one_empty_answer() -> None:
    assert wrong_requests((0,), receipt(kept=True)) == ""


def test_a_request_that_is_there_twice_is_named() -> None:
    said = wrong_requests((0, 25_000, 25_000), receipt())
    assert said == "start rows of 40,000 rows: twice 25000"


def test_a_gap_is_a_date_between_those_held_that_nobody_knows() -> None:
    there = [day(0), day(2), day(5), day(0, "totals"), day(1, "totals")]
    assert list(gaps(there, [*there, day(3)])) == [day(1), day(4)]


class Stores:
    """A ledger and a sink in memory, read in turn like the real ones; what happens in between is scripted."""

    def __init__(self, before: Iterable[Booked], there: Iterable[Held], after: Iterable[Booked] | None = None) -> None:
        first = list(before)
        self.readings = [first, first if after is None else list(after)]
        self.there = list(there)
        self.schema_version = 1

    def facts(self) -> SinkFacts:
        return SinkFacts("PostgreSQL 15", 150000, self.schema_version, "", False, True, 0)

    def receipts(self, *_: object) -> Iterable[Sequence[object]]:
        return [dataclasses.astuple(entry) for entry in self.readings.pop(0)]

    def audit(self, *_: object) -> Iterable[Held]:
        return self.there


def looked(stores: Stores) -> Findings:
    return look(cast(Ledger, stores), cast(Sink, stores))


def kinds(findings: Findings) -> list[tuple[Kind, Day]]:
    return [(difference.kind, difference.day) for difference in findings.differences]


def test_what_is_published_and_not_in_postgres_is_missing() -> None:
    findings = looked(Stores([booked(0), booked(1)], [held(receipt(0), 0)]))
    assert kinds(findings) == [(Kind.MISSING, day(1))]
    assert (findings.days, findings.rows, findings.under_way, findings.clean) == (2, 40_000, 0, False)


def test_without_any_schema_in_postgres_all_that_was_published_is_missing() -> None:
    stores = Stores([booked(0), booked(1, state="planned", generation=0)], [held(receipt(0), 0)])
    stores.schema_version = 0  # so that asking for rows would fail
    assert kinds(looked(stores)) == [(Kind.MISSING, day(0))]


def test_a_day_that_is_only_planned_is_not_missing() -> None:
    findings = looked(Stores([booked(0), booked(1, state="planned", generation=0)], [held(receipt(0), 0)]))
    assert findings.clean
    assert (findings.days, findings.under_way) == (1, 1)


@pytest.mark.parametrize("state", ["planned", "queued"])
def test_a_day_on_its_way_is_no_difference(state: str) -> None:
    """Its new generation may be in Postgres already, while the ledger still calls the old one published."""
    findings = looked(Stores([booked(state=state)], [held(receipt(generation=3))]))
    assert findings.clean
    assert findings.under_way == 1


def test_a_day_that_was_published_while_postgres_was_read_is_no_difference() -> None:
    """Read before it was begun and after it was done, it looks newer in Postgres than in the first reading."""
    stores = Stores([booked()], [held(receipt(generation=3))], after=[booked(generation=3)])
    findings = looked(stores)
    assert findings.clean
    assert findings.under_way == 1


def test_a_day_that_came_into_being_while_postgres_was_read_is_no_difference() -> None:
    findings = looked(Stores([], [held(receipt())], after=[booked()]))
    assert findings.clean


def test_the_worst_come_first() -> None:
    there = [held(receipt(0), 0, rows=39_999), held(receipt(1), 1, rows=10), held(receipt(5), 5)]
    findings = looked(Stores([booked(0), booked(1), booked(2), booked(5)], there))
    assert kinds(findings) == [
        (Kind.MISSING, day(2)),
        (Kind.PARTIAL, day(1)),
        (Kind.PARTIAL, day(0)),
        (Kind.GAP, day(3)),
        (Kind.GAP, day(4)),
    ]
