"""The reporter's alerts: what a person must hear of, once, and the all-clear when it is over.

What heals by itself (Postgres, Redis) is told when it has lasted a minute, all else at once. A reporter that is started
anew tells again what still is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gsc_daemon.events import emit
from gsc_daemon.reporter.outgoing import Message, Outcome, Outgoing
from gsc_daemon.reporter.picture import MEGABYTE, MEMORY_LIMIT, Picture
from gsc_daemon.words import amount, moment

PATIENCE_MS: Final = {"sink": 60_000, "budget": 60_000, "source": 0}
EXCESS: Final = 1.01  # of the budget; Redis and we do not count from the same instant
NAMES: Final = {"sink": "Postgres", "budget": "Redis", "source": "Google"}


@dataclass(slots=True)
class Alerts:
    """Compares each picture with what was told before. webhook: the file with its URL; None: nobody is told."""

    webhook: Path | None
    outgoing: Outgoing
    told: dict[str, str] = field(default_factory=dict)
    failing: bool = False

    def look(self, picture: Picture) -> None:
        """Send what is new and what is over. A ledger that cannot be read changes nothing that came from it."""
        if self.webhook is None or picture.ledger_trouble:
            return
        wrong = dict(_wrong(picture))
        for key, text in wrong.items():
            if key not in self.told:
                self.outgoing.send(Message(f"alert {key}", self.webhook, f":rotating_light: gscd: {text}"))
        for key, text in self.told.items():
            if key not in wrong:
                self.outgoing.send(Message(f"clear {key}", self.webhook, f":white_check_mark: gscd: over: {text}"))

    def heard(self, outcome: Outcome) -> None:
        """One of our messages arrived, or failed and is sent again with the next picture."""
        if outcome.trouble:
            if not self.failing:
                emit("alert.failed", reason=outcome.trouble)
            self.failing = True
            return
        self.failing = False
        what, _, key = outcome.message.key.partition(" ")
        if what == "alert":
            self.told[key] = (outcome.message.text or "").partition("gscd: ")[2]
        else:
            self.told.pop(key, None)


def _wrong(picture: Picture) -> Iterator[tuple[str, str]]:
    """Key and sentence of everything that is wrong."""
    status = picture.status
    if status.queue.quarantined:
        items = amount(status.queue.quarantined, "item")
        yield "quarantine", f"{items} in quarantine. `gscd status` shows why, `gscd ledger requeue` tries again"
    stalled = [site.progress for site in status.sites if site.progress.stalled_ms is not None]
    if stalled:
        example = f"{stalled[0].site}, newest {stalled[0].newest_final or 'none'}"
        yield "stalled", f"no day becomes final any more of {amount(len(stalled), 'site')} ({example})"
    lost = [site.progress for site in status.sites if site.progress.parked_for]
    if lost:
        yield "lost", f"{amount(len(lost), 'site')} cannot be read ({lost[0].site}: {lost[0].parked}). The others go on"
    for usage in picture.usage:
        if usage.scope != "pace" and usage.used > EXCESS * usage.budget:
            yield (
                f"budget {usage.scope} {usage.name}",
                f"{usage.used} queries in 60 s for the {usage.scope} {usage.name}, of {usage.budget} that it may be. "
                "Does anything else use this Redis? `gscd halt` stops all",
            )
    if picture.memory.pss > MEMORY_LIMIT:
        megabytes = f"{picture.memory.pss // MEGABYTE} MB of memory, of {MEMORY_LIMIT // MEGABYTE} MB"
        yield "memory", f"all processes take {megabytes}. Fewer workers take less"
    for service, (since_ms, note) in status.outages.items():
        if status.at_ms - since_ms >= PATIENCE_MS.get(service, 0):
            name = NAMES.get(service, service)
            what = "refuses the credential" if service == "source" else "is away"
            yield service, f"{name} {what} since {moment(since_ms)}: {note}"
