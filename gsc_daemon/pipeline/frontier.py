"""Freshness: asks Google up to which date its data are final, a small query for each site and search type."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from typing import Final

from gsc_daemon.clock import Clock, pacific_today
from gsc_daemon.errors import ConfigError, Refusal, SourceError
from gsc_daemon.events import emit
from gsc_daemon.model import Day, Denial, Query, Send
from gsc_daemon.ports import Budget, Ledger, Sources

PROBE_EVERY: Final = 6 * 3600.0  # seconds; Google finishes a day once a day, at no hour that it names
RETRY: Final = 600.0
# Days that are asked for, today included: developers.google.com/webmaster-tools/v1/how-tos/all-your-data
RANGE: Final = 10


class Frontier:
    """Keeps what Google says of its progress, before days are fetched that may not be final."""

    def __init__(self, ledger: Ledger, budget: Budget, sources: Sources, clock: Clock) -> None:
        self.ledger, self.budget, self.sources, self.clock = ledger, budget, sources, clock

    def refresh(self, days: Iterable[Day]) -> None:
        """Ask where days of a site may not be final and the last answer is old; without one, the last one holds.

        Workers that come at the same time ask each for itself, so that none goes by the older answer.
        Raises `BudgetUnavailable`, `LedgerUnavailable`.
        """
        today = pacific_today(self.clock)
        since = today - dt.timedelta(days=RANGE - 1)
        for site, search_type in dict.fromkeys((day.site, day.search_type) for day in days if day.date >= since):
            if not self.ledger.frontier_due(site, search_type):
                continue
            query = Query(0, site, since, search_type, ("date",), final_only=False, last=today)
            try:
                self._ask(query)
            except (SourceError, ConfigError) as error:
                self.ledger.probe_failed(site, search_type, RETRY)
                emit("frontier.unknown", site=site, search_type=search_type, reason=str(error))

    def told(self, day: Day) -> dt.date | None:
        """The newest date that Google has called final, None where it has not said."""
        return self.ledger.newest_final(day.site).get(day.search_type)

    def _ask(self, query: Query) -> None:
        site, credential = query.site, self.sources.credential_of(query.site)
        answer = self.budget.check_rate(site, credential, 1)
        if isinstance(answer, Denial):
            self.ledger.probe_failed(site, query.search_type, answer.wait)
            return
        (delay,) = answer.delays
        sent_ms = self.clock.wall_ms() + round(delay * 1000)
        # Noted like a day's queries, so that an emptied Redis counts it too; no item is concerned.
        self.ledger.start_items(0, (), [Send(sent_ms, site, credential, 1)], 0.0)
        try:
            incomplete = self.sources.of(site).first_incomplete(query, delay)
        except SourceError as error:
            if error.kind is Refusal.RATE:
                self.budget.slow_down(site, credential, sent_ms)
            raise
        newest = incomplete - dt.timedelta(days=1) if incomplete else None
        if newest != self.told(Day(site, "", query.search_type, query.date)):
            emit("frontier.told", site=site, search_type=query.search_type, date=str(newest) if newest else None)
        self.ledger.note_final(site, query.search_type, newest, PROBE_EVERY)
