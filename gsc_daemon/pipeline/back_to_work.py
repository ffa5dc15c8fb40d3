"""Step 7, requeue_batch: what a refusal or failure means for everyone's pace, for the site, and for the day."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import Final

from gsc_daemon.clock import Clock, next_pacific_midnight_ms
from gsc_daemon.errors import ConfigError, GscdError, Refusal, SourceError
from gsc_daemon.events import emit
from gsc_daemon.pipeline.sitting import Sitting
from gsc_daemon.ports import Budget, Ledger, Sources

LOAD_PARK: Final = 15 * 60  # seconds: developers.google.com/webmaster-tools/limits, "load quota"
SITE_PARK: Final = 24 * 3600  # a property that is lost is tried again daily
CREDENTIAL_PARK: Final = 3600
BACKOFF: Final = (2.0, 900.0)  # seconds: first ceiling and highest, full jitter below it


@dataclass(frozen=True, slots=True)
class Return:
    """How a day's items go back to the ledger.

    Args:
        failure: an attempt is spent for it. delay: seconds until they are ready again. permanent: never.
        overlap: a refetch is counted, not a failure.
    """

    failure: GscdError | None = None
    delay: float = 0.0
    permanent: bool = False
    overlap: bool = False


class BackToWork:
    """Judges refusals for one worker."""

    def __init__(self, ledger: Ledger, budget: Budget, sources: Sources, clock: Clock) -> None:
        self.ledger, self.budget, self.sources, self.clock = ledger, budget, sources, clock

    def refused(self, sitting: Sitting, error: GscdError) -> Return:
        """Slow down, park the site, or spend an attempt. Raises `BudgetUnavailable`, `LedgerUnavailable`."""
        sitting.batch.retries += 1
        site = sitting.item.day.site
        match error.kind if isinstance(error, SourceError) else Refusal.TRANSIENT:
            case Refusal.ABANDONED:
                return Return()
            case Refusal.RATE:
                pace = self.budget.slow_down(site, self.sources.credential_of(site), sitting.sent_ms)
                emit("rate_limit.exceeded", **sitting.where, reason=str(error), pace_qpm=pace.qpm)
                return Return(delay=_retry_after(error))
            case Refusal.LOAD:
                next_day_ms = next_pacific_midnight_ms(self.clock)
                until_ms = self.ledger.load_refused(site, str(error), LOAD_PARK, next_day_ms)
                return self._parked(sitting, error, until_ms)
            case Refusal.SITE:
                self.lost(site, error)
                return Return()
            case Refusal.CREDENTIAL:
                self.credential_refused(self.sources.credential_of(site), error)
                return Return()
            case Refusal.REQUEST:
                emit("item.quarantined", **sitting.where, reason=str(error))
                return Return(failure=error, permanent=True)
            case Refusal.TRANSIENT:
                return self._failed(sitting, error)

    def _failed(self, sitting: Sitting, error: GscdError) -> Return:
        failures = sitting.item.failures
        delay = max(_retry_after(error), backoff(failures))
        emit("item.requeued", **sitting.where, reason=str(error), delay=round(delay, 1), failures=failures)
        return Return(failure=error, delay=delay)

    def can_ask(self, site: str) -> bool:
        """Whether somebody here can read the site; else it waits. Raises `LedgerUnavailable`."""
        try:
            credential = self.sources.credential_of(site)
        except ConfigError as error:  # the settings have changed
            self.lost(site, error)
            return False
        try:
            self.sources.of(site)
        except ConfigError as error:
            self.credential_refused(credential, error)
            return False
        return True

    def lost(self, site: str, error: GscdError) -> None:
        """Nobody here may read it: it waits, all others go on."""
        if self.ledger.lose_site(site, str(error), self.clock.wall_ms() + SITE_PARK * 1000):
            emit("site.lost", site=site, reason=str(error))

    def credential_refused(self, name: str, error: GscdError) -> None:
        """Google refuses the credential: its sites wait, all others go on."""
        sites = self.sources.read_by(name, [site.site for site in self.ledger.known_sites()])
        until_ms = self.clock.wall_ms() + CREDENTIAL_PARK * 1000
        if self.ledger.refuse_credential(name, sites, f"{name} is refused: {error}", until_ms):
            emit("credential.refused", credential=name, reason=str(error))

    def _parked(self, sitting: Sitting, error: GscdError, until_ms: int) -> Return:
        emit("site.parked", site=sitting.item.day.site, reason=str(error), until_ms=until_ms)
        return Return()


def backoff(failures: int) -> float:
    """Seconds until the next attempt: exponential, full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""
    first, most = BACKOFF
    return random.uniform(0.0, min(most, first * 2.0 ** min(failures, 16)))


def _retry_after(error: GscdError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, SourceError) else 0.0
