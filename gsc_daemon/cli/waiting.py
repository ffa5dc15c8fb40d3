"""`gscd sync --wait`: until the days are published, or it is clear that they will not be for now."""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from gsc_daemon.cli.progress import Progress
from gsc_daemon.cli.work import EVERY, live_daemon
from gsc_daemon.errors import Exit
from gsc_daemon.model import Day
from gsc_daemon.ports import Ledger
from gsc_daemon.settings import Settings
from gsc_daemon.status import SERVICES, halt_of
from gsc_daemon.words import amount

POLL: Final = 0.5  # seconds
DAEMON_PATIENCE: Final = 15.0  # seconds without a daemon, as while it is restarted

Slot = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Waited:
    """How the waiting ended. left: days that are neither published nor set aside; stopped: why no longer waited."""

    published: int
    quarantined: int
    parked: int
    left: int
    stopped: str = ""

    @property
    def code(self) -> Exit:
        """As `gscd run --until-idle` would exit."""
        if self.stopped:
            return Exit.TRY_AGAIN
        return Exit.PROBLEM if self.quarantined else Exit.TRY_AGAIN if self.parked else Exit.OK

    def __str__(self) -> str:
        parts = [f"{amount(self.published, 'day')} published"]
        if self.quarantined:
            parts.append(f"{self.quarantined:,} in quarantine (`gscd status` says why)")
        if self.parked:
            parts.append(f"{self.parked:,} of parked sites (`gscd sites` says why)")
        if self.left:
            parts.append(f"{self.left:,} left")
        return ", ".join(parts) + (f"; {self.stopped}" if self.stopped else "")

    def as_data(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "published": self.published,
            "quarantined": self.quarantined,
            "parked": self.parked,
            "left": self.left,
            "stopped": self.stopped,
            "exit_code": int(self.code),
        }


def wait_for(settings: Settings, ledger: Ledger, days: Iterable[Day]) -> Waited:
    """Watch the ledger until nothing more can come of these days by itself."""
    slots: dict[Slot, set[dt.date]] = {}
    for site, report, search_type, date in days:
        slots.setdefault((site, report, search_type), set()).add(date)
    total = sum(map(len, slots.values()))
    seen_at = time.monotonic()
    with Progress("days") as progress:
        while True:
            found = _look(ledger, slots)
            daemon = live_daemon(settings)
            if not found.left:
                return found
            halted = halt_of(settings, ledger, daemon)
            if halted.halted:
                return _stopped(found, "halted; `gscd resume` goes on")
            if daemon is not None:
                seen_at = time.monotonic()
            elif time.monotonic() - seen_at > DAEMON_PATIENCE:
                return _stopped(found, "no daemon runs; `systemctl start gscd` goes on")
            note = "" if daemon is not None else "no daemon runs"
            progress.show(total - found.left, total, note or _outages(ledger))
            time.sleep(POLL)


def _look(ledger: Ledger, slots: Mapping[Slot, set[dt.date]]) -> Waited:
    parked_sites = {site.site for site in ledger.known_sites() if site.parked}
    aside: dict[Slot, set[dt.date]] = {}
    for item, _, _ in ledger.quarantine(EVERY):
        aside.setdefault(item.day[:3], set()).add(item.day.date)
    published = quarantined = parked = left = 0
    for slot, dates in slots.items():
        bad = dates & aside.get(slot, set())
        open_dates = (dates & ledger.pending_days(*slot)) - bad
        published += len((dates & ledger.published_days(*slot).keys()) - open_dates - bad)
        quarantined += len(bad)
        if slot[0] in parked_sites:
            parked += len(open_dates)
        else:
            left += len(open_dates)
    return Waited(published, quarantined, parked, left)


def _stopped(found: Waited, why: str) -> Waited:
    return Waited(found.published, found.quarantined, found.parked, found.left, why)


def _outages(ledger: Ledger) -> str:
    return ", ".join(f"{SERVICES.get(service, service)} is away" for service in ledger.outages())
