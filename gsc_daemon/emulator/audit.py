"""Emulator, truth: what a client should hold of each day, counted from the rows themselves."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from gsc_daemon.emulator.answers import Answers, days_of
from gsc_daemon.emulator.config import SiteSpec
from gsc_daemon.emulator.digest import add_digests, key_hash, row_digest, storable
from gsc_daemon.emulator.render import Figures
from gsc_daemon.emulator.request import CANONICAL, PAGES_ONLY, Query
from gsc_daemon.emulator.truth import Day, Truth

_NO_CAP: Final = 2**31
_FINEST: Final = {"discover": ("page", "country"), "googleNews": ("page", "country", "device")}


@dataclass(frozen=True, slots=True)
class DayTruth:
    """One date of one site and search type.

    Args:
        rows: what paging can reach, at most the cap. clicks, impressions: their sums. all_rows: without the cap.
        digest: sum over those rows of `gsc_daemon.emulator.digest.row_digest`.
        total_clicks, total_impressions: of the property, as a query without dimensions gives them.
        final: Google will not change it any more, short of a restatement.
    """

    date: dt.date
    rows: int
    clicks: int
    impressions: int
    digest: int
    all_rows: int
    total_clicks: int
    total_impressions: int
    final: bool


def dimensions_of(search_type: str) -> tuple[str, ...]:
    """The finest dimensions that this search type has."""
    return _FINEST.get(search_type, CANONICAL)


class Audit:
    """Says what is true today."""

    def __init__(self, truth: Truth, answers: Answers) -> None:
        self._truth, self._answers = truth, answers

    def rows(self, site: SiteSpec, query: Query, today: dt.date) -> list[Figures]:
        """The rows of a query that paging can reach, by clicks descending."""
        return self._answers.rows(site, query, today)

    def days(self, site: SiteSpec, query: Query, today: dt.date) -> Iterator[DayTruth]:
        """Every date of the query's range, those without data included."""
        for number in range((query.last - query.first).days + 1):
            date = query.first + dt.timedelta(days=number)
            yield self._day(site, dataclasses.replace(query, first=date, last=date), today)

    def _day(self, site: SiteSpec, query: Query, today: dt.date) -> DayTruth:
        final = query.first <= self._truth.newest_final(today)
        held = days_of(self._truth, site, query, today)
        if not held:
            return DayTruth(query.first, 0, 0, 0, 0, 0, 0, 0, final)
        if query.dimensions == CANONICAL and query.search_type not in PAGES_ONLY:
            counted = self._from_chunks(held[0])
        else:
            counted = self._from_rows(self._answers.rows(site, query, today, cap=_NO_CAP), query)
        whole = dataclasses.replace(query, dimensions=(), by_page=query.search_type in PAGES_ONLY)
        total = self._answers.rows(site, whole, today)
        sums = (total[0].clicks, total[0].impressions) if total else (0, 0)
        return DayTruth(query.first, *counted, *sums, final)

    def _from_chunks(self, day: Day) -> tuple[int, int, int, int, int]:
        rows = min(day.rows, self._truth.config.cap)
        clicks = impressions = 0
        for chunk, _, stop in day.parts(0, rows):
            clicks += sum(chunk.clicks[:stop])
            impressions += sum(chunk.impressions[:stop])
        return rows, clicks, impressions, day.digest(rows), day.rows

    def _from_rows(self, found: list[Figures], query: Query) -> tuple[int, int, int, int, int]:
        placed = query.search_type not in PAGES_ONLY
        rows = found[: self._truth.config.cap]
        digest = add_digests(
            row_digest(
                key_hash([storable(value) for value in row.keys]),
                row.clicks,
                row.impressions,
                row.ctr,
                row.position if placed else None,
            )
            for row in rows
        )
        return len(rows), sum(row.clicks for row in rows), sum(row.impressions for row in rows), digest, len(found)
