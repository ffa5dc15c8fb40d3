"""The ledger is looked at: counts, progress, quarantine, latency, and what reconcile compares. Nothing is changed."""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Sequence
from typing import Any

from gsc_daemon.ledger.store import Store, day_of, item_of, span
from gsc_daemon.model import BatchStats, Day, Item, QueueCounts, SiteProgress


class Looking(Store):
    """Questions."""

    @property
    def ledger_id(self) -> str:
        return str(self._value("ledger_id"))

    def counts(self) -> QueueCounts:
        """As `ports.Ledger`. What lies ready or waiting with a parked site is no queue: its days count as planned."""
        row = self._one("counts")
        assert row is not None
        return QueueCounts(*row)

    def progress(self) -> Sequence[SiteProgress]:
        return [_progress(row) for row in self._all("progress")]

    def known_sites(self) -> Sequence[SiteProgress]:
        return self.progress()

    def quarantine(self, limit: int = 100) -> Sequence[tuple[Item, str, int]]:
        return [(item_of(row), *row[13:]) for row in self._all("quarantine", limit=limit)]

    def batch_stats(self, seconds: float) -> BatchStats:
        after = self._now() - round(seconds * 1000)
        with self._db.read():
            row = self._one("batch_stats", after=after)
            assert row is not None
            batches, queries, average = row
            if not batches:
                return BatchStats()
            slowest = self._value("batch_stats.nth", after=after, nth=batches - math.ceil(0.99 * batches))
        return BatchStats(batches, queries, average, slowest)

    def worker_deaths(self, seconds: float) -> int:
        return int(self._value("worker_deaths", after=self._now() - round(seconds * 1000)))

    def sent_queries(self, seconds: float) -> int:
        now = self._now()
        return int(self._value("sent_queries", after=now - round(seconds * 1000), now=now))

    def receipts(
        self, site: str | None, first: dt.date | None, last: dt.date | None
    ) -> Iterator[tuple[Day, str, int, int, tuple[int, ...]]]:
        """As `ports.Ledger`; by site and date. A site at a time, so that no reader holds up the care of the WAL."""
        chosen = span(site, first, last)
        for (name,) in self._all("receipts.sites", site=site):
            for date, report, search_type, state, generation, rows, starts in self._all(
                "receipts", **{**chosen, "site": name}
            ):
                day = day_of(name, report, search_type, date)
                yield day, state, generation, rows, tuple(sorted(map(int, starts.split(",")))) if starts else ()


def _progress(row: Sequence[Any]) -> SiteProgress:
    site, wanted, published, quarantined, oldest, newest, parked, until, permission, final, stalled, *read = row
    credential, parked_for = read
    return SiteProgress(
        site,
        wanted,
        published,
        quarantined,
        dt.date.fromisoformat(oldest) if oldest else None,
        dt.date.fromisoformat(newest) if newest else None,
        parked,
        until,
        permission,
        dt.date.fromisoformat(final) if final else None,
        stalled,
        credential,
        parked_for,
    )
