"""Step 1, plan: which days are wanted. Pure: dates in, days out; nothing here knows a store.

All dates are Google's, Pacific time, and ranges include both ends.
"""

from __future__ import annotations

import calendar
import datetime as dt
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from gsc_daemon.errors import UsageError
from gsc_daemon.model import (
    DAYS_UNTIL_FINAL,
    MONTHS_KEPT,
    Day,
    DayState,
    Priority,
    Report,
    WantedDay,
)
from gsc_daemon.reports import HOURLY_DAYS, types_of
from gsc_daemon.words import in_words

ANNOUNCE_ABOVE = 1_000  # days; more are announced first and want --yes
SMALL_SYNC = 31  # days a site; up to here a sync by hand goes before everything else

# What one day of a large site takes (25,000 + 15,000 rows): two requests and a totals query, 305 bytes a row
# (docs/performance.md says how both were measured); a small site takes far less, so this is the most.
REQUESTS_PER_DAY = {"totals": 1}
REQUESTS_PER_LARGE_DAY = 2
BYTES_PER_LARGE_DAY = 40_000 * 305


def oldest_kept(today: dt.date) -> dt.date:
    """The oldest date that Google still gives: the same day of the month, 16 months ago."""
    months = today.year * 12 + today.month - 1 - MONTHS_KEPT
    year, month = divmod(months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return dt.date(year, month + 1, min(today.day, last))


def newest_final(today: dt.date, told: dt.date | None = None) -> dt.date:
    """The newest date that Google will not change in its daily course: as it has told, else three days ago."""
    return told or today - dt.timedelta(days=DAYS_UNTIL_FINAL)


def state_of(date: dt.date, today: dt.date, told: dt.date | None = None) -> DayState:
    """Whether a day that is fetched today is final. told: the newest date that Google has called so."""
    return DayState.FINAL if date <= newest_final(today, told) else DayState.PROVISIONAL


def check_range(first: dt.date, last: dt.date, today: dt.date) -> None:
    """Refuse dates that Google cannot answer for. Raises `UsageError`."""
    if first > last:
        raise UsageError(f"the range {first} to {last} is reversed", hint=f"Say --from {last} --to {first}.")
    if last > today:
        raise UsageError(f"{last} is in the future", hint=f"Google's date is {today} (Pacific time) now.")
    oldest = oldest_kept(today)
    if first < oldest:
        raise UsageError(
            f"{first} is older than the {MONTHS_KEPT} months that Google keeps",
            hint=f"The oldest date is {oldest} today.",
        )


def dates(first: dt.date, last: dt.date) -> list[dt.date]:
    """All dates of a range, newest first."""
    return [last - dt.timedelta(days=back) for back in range((last - first).days + 1)]


def oldest_given(report: Report, today: dt.date) -> dt.date:
    """The oldest date that Google still gives of a report; hours are gone after ten days."""
    return today - dt.timedelta(days=HOURLY_DAYS - 1) if report.hourly else oldest_kept(today)


def combined(
    reports: Sequence[Report], search_types: Sequence[str], only: Sequence[str] = ()
) -> Iterator[tuple[Report, str]]:
    """Each report with each search type that it is fetched for.

    Args:
        search_types: those wanted where a report names none. only: these instead, as far as a report is for them.
    """
    for report in reports:
        for search_type in types_of(report, only or report.search_types or search_types):
            yield report, search_type


def range_days(
    sites: Iterable[str],
    wanted_reports: Sequence[tuple[Report, str]],
    wanted: Sequence[dt.date],
    today: dt.date,
    *,
    force: bool = False,
    allow_loss: bool = False,
    priority: Priority | None = None,
) -> Iterator[WantedDay]:
    """Sites × reports with their search types × dates as wanted days, as far as Google has such.

    Unless given, the priority is that of a sync by hand, or of history where the dates are many.
    """
    rank = priority or (Priority.ASKED if len(wanted) <= SMALL_SYNC else Priority.BACKFILL)
    for site in sites:
        for date in wanted:
            for report, search_type in wanted_reports:
                if not report.hourly or date >= oldest_given(report, today):
                    yield WantedDay(Day(site, report.name, search_type, date), rank, force, allow_loss)


def recent_days(
    site: str,
    report: Report,
    search_type: str,
    *,
    published: Mapping[dt.date, str],
    pending: frozenset[dt.date],
    today: dt.date,
    lookback_days: int,
    new_site_days: int | None,
    told: dt.date | None = None,
) -> Iterator[WantedDay]:
    """What keeps one site current: missing and non-final days since its first held day, plus the look-back.

    Args:
        published: date → ``provisional`` or ``final``. pending: dates on their way.
        lookback_days: final days before the newest final one that are fetched again, 0 for none.
        new_site_days: how far back a site goes that holds nothing yet; None for all that Google keeps.
        told: the newest date that Google has called final, None where it has not said.
    """
    final_edge = newest_final(today, told)
    oldest = oldest_given(report, today)
    held = min((*published, *pending), default=None)
    if held is None:
        back = (today - oldest).days if new_site_days is None else new_site_days + DAYS_UNTIL_FINAL
        held = max(oldest, today - dt.timedelta(days=back))
    lookback_edge = final_edge - dt.timedelta(days=lookback_days)
    for date in dates(max(held, oldest), today):
        state = published.get(date)
        again = state is not None and (state != DayState.FINAL or lookback_edge < date)
        if (state is None or again) and date not in pending:
            yield WantedDay(Day(site, report.name, search_type, date), Priority.RECENT, force=again)


def end_of_history(seen: Iterable[tuple[dt.date, bool, int]], run: int) -> dt.date | None:
    """The oldest date of the first run of empty days that follows days with rows; None where there is none yet.

    Args:
        seen: date, whether it is published, rows; newest first. run: consecutive empty days that end a history; what
            is empty before the newest day with rows is a leading gap and ends nothing.
    """
    met_rows, empty, expected = False, 0, None
    for date, published, rows in seen:
        unbroken = expected is None or date == expected
        expected = date - dt.timedelta(days=1)
        if not published or rows:
            met_rows, empty = met_rows or rows > 0, 0
        elif met_rows:
            empty = empty + 1 if unbroken else 1
        if run and empty >= run:
            return date
    return None


@dataclass(frozen=True, slots=True)
class Announcement:
    """What a large plan will cost at most: said before it is begun.

    Args:
        seconds: at the budget alone. gigabytes: in Postgres, with its index.
    """

    days: int
    requests: int
    seconds: float
    gigabytes: float

    def __str__(self) -> str:
        return (
            f"{self.days:,} days: up to {self.requests:,} requests, about {in_words(self.seconds)} at the budget, "
            f"and up to {self.gigabytes:,.1f} GB in Postgres if every day has 40,000 rows"
        )


def announce(days: Mapping[str, int], budget_qpm: int) -> Announcement:
    """Args: days: report name → number of days. budget_qpm: queries a minute that the budget allows."""
    requests = sum(count * REQUESTS_PER_DAY.get(report, REQUESTS_PER_LARGE_DAY) for report, count in days.items())
    large = sum(count for report, count in days.items() if report not in REQUESTS_PER_DAY)
    return Announcement(
        sum(days.values()), requests, requests / budget_qpm * 60, large * BYTES_PER_LARGE_DAY / 1_000_000_000
    )
