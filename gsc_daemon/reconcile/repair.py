"""Reconcile, the repair: what differs is planned again, as far as Google can still give it. Nothing is deleted here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from gsc_daemon import plan
from gsc_daemon.model import Day, Priority, WantedDay
from gsc_daemon.ports import Ledger
from gsc_daemon.reconcile.compare import Difference, Kind

# How each kind is put right. A claim looks at the receipts first, so days that Postgres holds cost no request.
AGAIN: Final = frozenset({Kind.MISSING, Kind.STALE})  # as if they had never been published
AFRESH: Final = frozenset({Kind.PARTIAL, Kind.ALTERED, Kind.ORPHANED, Kind.REQUESTS, Kind.AHEAD})  # a new generation
ADOPTED: Final = frozenset({Kind.UNKNOWN, Kind.AHEAD})  # Postgres holds them; Google is not asked


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the daemon works on, from the settings.

    Args:
        sites: None for every property that the credential can read. reports: their names.
    """

    sites: frozenset[str] | None
    reports: frozenset[str]

    def __contains__(self, difference: Difference) -> bool:
        day = difference.day
        return day.report in self.reports and (self.sites is None or day.site in self.sites)


@dataclass(frozen=True, slots=True)
class Repair:
    """What was done about the differences.

    Args:
        planned: days that are planned now. too_old: beyond what Google keeps, so they stay as they are.
        unwanted: of a site or report that the settings no longer name; they stay as they are too.
    """

    planned: int
    too_old: tuple[Difference, ...]
    unwanted: tuple[Difference, ...]


def repair(ledger: Ledger, differences: Iterable[Difference], wanted: Wanted, today: dt.date) -> Repair:
    """Plan again what differs. Args: today: the Pacific date. Raises as `Ledger`."""
    oldest = plan.oldest_kept(today)
    too_old: list[Difference] = []
    unwanted: list[Difference] = []
    again: set[Day] = set()
    others: dict[Day, WantedDay] = {}
    for difference in differences:
        if difference not in wanted:
            unwanted.append(difference)
        elif difference.day.date < oldest and difference.kind not in ADOPTED:
            too_old.append(difference)
        elif difference.kind in AGAIN:
            again.add(difference.day)
        else:
            fresh = difference.kind in AFRESH or (difference.day in others and others[difference.day].force)
            others[difference.day] = WantedDay(difference.day, Priority.RECENT, force=fresh)
    planned = ledger.mark_missing(sorted(again)) if again else 0
    # What mark_missing has planned needs no second word, and `force` would only cost another generation.
    result = ledger.add_days(want for day, want in others.items() if day not in again)
    return Repair(planned + result.new + result.again, tuple(too_old), tuple(unwanted))
