"""Reconcile, the comparison: each day as the ledger booked it against what Postgres really holds of it.

A day that somebody works on is no difference: the ledger is read before and after Postgres, and only what it said the
same of both times, with nothing under way, is judged.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from gsc_daemon.model import ROWS_PER_RESPONSE, Day, Held, Receipt
from gsc_daemon.ports import Ledger, Sink
from gsc_daemon.words import amount

SETTLED: Final = frozenset({"published", "quarantined", "cancelled"})  # states in which nothing is under way


class Kind(enum.StrEnum):
    """What can be wrong with a day; the worst first."""

    MISSING = "missing"  # the ledger calls it published, Postgres does not hold it
    PARTIAL = "partial"  # fewer rows than its receipt says
    ALTERED = "altered"  # other rows, clicks or impressions than its receipt says
    STALE = "stale"  # Postgres holds an older generation than the ledger published
    ORPHANED = "orphaned"  # rows that no receipt vouches for
    REQUESTS = "requests"  # its requests {…, date, start_row} do not add up to its rows: one is missing or there twice
    UNKNOWN = "unknown"  # Postgres holds it, the ledger does not know
    AHEAD = "ahead"  # Postgres holds a newer generation than the ledger published
    GAP = "gap"  # between the first and the last date held, and nobody planned it


@dataclass(frozen=True, slots=True)
class Booked:
    """What the ledger says of a day.

    Args:
        state: of the day. generation: the published one, 0 for none. rows: of it. start_rows: of its done items.
    """

    day: Day
    state: str
    generation: int
    rows: int
    start_rows: tuple[int, ...]

    @property
    def settled(self) -> bool:
        """Whether nothing is under way."""
        return self.state in SETTLED


@dataclass(frozen=True, slots=True)
class Difference:
    """One day that is not as it should be.

    Args:
        text: what is so, to follow the day in a sentence. rows: how many are concerned, to find the worst.
    """

    kind: Kind
    day: Day
    text: str
    rows: int = 0

    def __str__(self) -> str:
        return f"{self.day}: {self.text}"


@dataclass(frozen=True, slots=True)
class Findings:
    """What the comparison has seen and found.

    Args:
        days: compared. rows: counted in Postgres. under_way: days that somebody works on, which were left out.
        differences: the worst kinds first, in each the days with the most rows.
    """

    days: int
    rows: int
    under_way: int
    sites: int
    differences: tuple[Difference, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing differs."""
        return not self.differences

    def by_kind(self) -> Mapping[Kind, Sequence[Difference]]:
        """The differences of each kind that there are."""
        found: dict[Kind, list[Difference]] = {}
        for difference in self.differences:
            found.setdefault(difference.kind, []).append(difference)
        return found


@dataclass(slots=True)
class _Seen:
    """What is gathered while Postgres is read."""

    days: set[Day] = field(default_factory=set)
    rows: int = 0
    suspects: list[Difference] = field(default_factory=list)


def look(
    ledger: Ledger,
    sink: Sink,
    *,
    site: str | None = None,
    first: dt.date | None = None,
    last: dt.date | None = None,
    progress: Callable[[int], None] = lambda _days: None,
) -> Findings:
    """Compare ledger and Postgres, while a daemon may be at work. Dates are Pacific and inclusive.

    Args:
        progress: called with the number of days that were counted so far.

    Raises as `Ledger` and `Sink`.
    """
    before = _booked(ledger, site, first, last)
    seen = _Seen()
    there = sink.audit(site, first, last) if sink.facts().schema_version else ()
    for held in there:
        seen.days.add(held.day)
        seen.rows += held.rows
        seen.suspects += judge(before.get(held.day), held)
        progress(len(seen.days))
    seen.suspects += [missing(booked) for day, booked in before.items() if booked.generation and day not in seen.days]
    after = _booked(ledger, site, first, last)
    return _findings(before, seen, after)


def _booked(ledger: Ledger, site: str | None, first: dt.date | None, last: dt.date | None) -> dict[Day, Booked]:
    return {entry[0]: Booked(*entry) for entry in ledger.receipts(site, first, last)}


def _findings(before: Mapping[Day, Booked], seen: _Seen, after: Mapping[Day, Booked]) -> Findings:
    known = before.keys() | seen.days | after.keys()
    still = {day for day in known if before.get(day) == after.get(day) and (day not in after or after[day].settled)}
    differences = [difference for difference in seen.suspects if difference.day in still]
    held = seen.days | {booked.day for booked in after.values() if booked.generation}
    differences += [Difference(Kind.GAP, day, "nobody planned it") for day in gaps(held, known)]
    order = list(Kind)
    differences.sort(key=lambda one: (order.index(one.kind), -one.rows, one.day))
    compared = held & still
    sites = len({day.site for day in compared})
    return Findings(len(compared), seen.rows, len(known) - len(still), sites, tuple(differences))


def judge(booked: Booked | None, held: Held) -> Iterator[Difference]:
    """What is wrong with a day of which Postgres holds something; at most one difference of each kind."""
    receipt, day = held.receipt, held.day
    if receipt is None:
        yield Difference(Kind.ORPHANED, day, f"{amount(held.rows, 'row')} without a receipt", held.rows)
        if booked is not None and booked.generation:
            yield missing(booked)
        return
    yield from _counted(receipt, held)
    if booked is None or not booked.generation:
        says = "does not know the day" if booked is None else f"calls it {booked.state}"
        text = f"Postgres holds {amount(receipt.row_count, 'row')}; the ledger {says}"
        yield Difference(Kind.UNKNOWN, day, text, receipt.row_count)
    elif receipt.generation != booked.generation:
        kind = Kind.STALE if receipt.generation < booked.generation else Kind.AHEAD
        text = f"Postgres holds generation {receipt.generation}, the ledger published {booked.generation}"
        yield Difference(kind, day, text, receipt.row_count)
    else:
        yield from _agreed(booked, receipt)


def missing(booked: Booked) -> Difference:
    """A day that the ledger calls published, and Postgres has no receipt."""
    text = f"published with {amount(booked.rows, 'row')} (generation {booked.generation}), but not in Postgres"
    return Difference(Kind.MISSING, booked.day, text, booked.rows)


def _counted(receipt: Receipt, held: Held) -> Iterator[Difference]:
    """The rows that are there against the receipt that vouches for them."""
    promised = (receipt.row_count, receipt.clicks, receipt.impressions)
    found = (held.rows, held.clicks, held.impressions)
    if found == promised:
        return
    kind = Kind.PARTIAL if held.rows < receipt.row_count else Kind.ALTERED
    names = ("rows", "clicks", "impressions")
    parts = [
        f"{is_now:,} {name} of {was:,}"
        for name, is_now, was in zip(names, found, promised, strict=True)
        if is_now != was
    ]
    yield Difference(kind, held.day, f"{', '.join(parts)} in its receipt", abs(receipt.row_count - held.rows))


def _agreed(booked: Booked, receipt: Receipt) -> Iterator[Difference]:
    """The same generation on both sides: rows and requests must fit as well."""
    if booked.rows != receipt.row_count:
        text = f"the ledger booked {amount(booked.rows, 'row')}, its receipt says {receipt.row_count:,}"
        yield Difference(Kind.ALTERED, booked.day, text, abs(booked.rows - receipt.row_count))
    if wrong := wrong_requests(booked.start_rows, receipt):
        yield Difference(Kind.REQUESTS, booked.day, wrong, receipt.row_count)


def wrong_requests(start_rows: Sequence[int], receipt: Receipt) -> str:
    """What is wrong with the start rows of a day's done items, "" for nothing.

    The last response is the one that was not full, so the rows served say how many requests there must be.
    """
    served = 0 if receipt.kept else receipt.row_count + receipt.doubles
    expected = range(0, served + 1, ROWS_PER_RESPONSE)
    twice = sorted({row for row in start_rows if start_rows.count(row) > 1})
    lacking = sorted(set(expected) - set(start_rows))
    surplus = sorted(set(start_rows) - set(expected))
    parts = [
        f"{what} {', '.join(map(str, rows))}"
        for what, rows in (("twice", twice), ("not done", lacking), ("too many", surplus))
        if rows
    ]
    return f"start rows of {amount(served, 'row')}: {'; '.join(parts)}" if parts else ""


def gaps(held: Iterable[Day], known: Iterable[Day]) -> Iterator[Day]:
    """Dates between the first and the last that is held of a site, report and search type, and that nobody knows."""
    dates: dict[tuple[str, str, str], set[dt.date]] = defaultdict(set)
    for day in held:
        dates[day[:3]].add(day.date)
    known = frozenset(known)
    for (site, report, search_type), there in sorted(dates.items()):
        first, last = min(there), max(there)
        for number in range((last - first).days + 1):
            day = Day(site, report, search_type, first + dt.timedelta(days=number))
            if day not in known:
                yield day
