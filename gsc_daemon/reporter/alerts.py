"""The reporter's alerts: what a person must hear of, once, with since when and what to do, and the all-clear.

What heals by itself (Postgres, Redis, a locked ledger) is told when it has lasted a minute, all else at once. A
reporter that is started anew tells again what still is so.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from gsc_daemon.events import emit
from gsc_daemon.model import Parked
from gsc_daemon.reporter.outgoing import Message, Outcome, Outgoing
from gsc_daemon.reporter.picture import MEGABYTE, MEMORY_LIMIT, Picture
from gsc_daemon.words import amount, moment

PATIENCE_MS: Final = {"sink": 60_000, "budget": 60_000, "ledger": 60_000, "workers": 60_000, "memory": 60_000}
EXCESS: Final = 1.01  # of the budget; Redis and we do not count from the same instant
NAMES: Final = {"sink": "Postgres", "budget": "Redis", "source": "Google"}
SLOW_SECONDS: Final = 5.0  # the seed's bound on the 99th percentile of a batch
SLOW_BATCHES: Final = 20  # of fewer, a percentile says nothing


@dataclass(frozen=True, slots=True)
class Wrong:
    """One thing that is wrong.

    Args:
        what: a sentence's beginning. do: what to do, without its period. since_ms: UTC; None: since it was first seen.
        note: what is said of it after its time.
    """

    key: str
    what: str
    do: str
    since_ms: int | None = None
    note: str = ""

    def text(self, since_ms: int) -> str:
        """As a webhook gets it; Slack would take & < > for its own marks."""
        note = f": {self.note}" if self.note else ""
        said = f"{self.what} since {moment(since_ms)}{note}. To do: {self.do}"
        return said.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


@dataclass(slots=True)
class Alerts:
    """Compares each picture with what was told before. webhook: the file with its URL; None: nobody is told.

    Attributes:
        told: texts of what was told and is not over, by key. seen_ms: UTC when a wrong was seen first, by key.
    """

    webhook: Path | None
    outgoing: Outgoing
    told: dict[str, str] = field(default_factory=dict)
    seen_ms: dict[str, int] = field(default_factory=dict)
    failing: bool = False

    def look(self, picture: Picture) -> None:
        """Send what is new and what is over. A ledger that cannot be read changes nothing that came from it."""
        if self.webhook is None:
            return
        wrong = {one.key: one for one in (_blind(picture) if picture.ledger_trouble else _wrong(picture))}
        self.seen_ms = {key: self.seen_ms.get(key, picture.status.at_ms) for key in wrong}
        for key, one in wrong.items():
            since_ms = self.seen_ms[key] if one.since_ms is None else one.since_ms
            if key not in self.told and picture.status.at_ms - since_ms >= PATIENCE_MS.get(key, 0):
                text = f":rotating_light: gscd: {one.text(since_ms)}"
                self.outgoing.send(Message(f"alert {key}", self.webhook, text))
        for key, text in self.told.items():
            if key not in wrong and not picture.ledger_trouble:
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
            self.told[key] = (outcome.message.text or "").partition("gscd: ")[2].partition(". To do: ")[0]
        else:
            self.told.pop(key, None)


def _blind(picture: Picture) -> Iterator[Wrong]:
    do = "`gscd status` says more, `gscd doctor` looks for the cause; nothing is fetched meanwhile"
    yield Wrong("ledger", "The ledger cannot be read", do, note=picture.ledger_trouble)


def _wrong(picture: Picture) -> Iterator[Wrong]:
    """Everything that is wrong."""
    yield from _work(picture)
    yield from _machine(picture)
    for service, (since_ms, note) in picture.status.outages.items():
        if service == "source":
            yield Wrong(service, "Google refuses the credential", "`gscd doctor` says what to do", since_ms, note)
        else:
            name = NAMES.get(service, service)
            yield Wrong(service, f"{name} is away", f"start {name}; the daemon goes on by itself", since_ms, note)


def _work(picture: Picture) -> Iterator[Wrong]:
    status = picture.status
    if status.halted.halted:
        by = f" by {status.halted.by}" if status.halted.by else ""
        yield Wrong("halted", f"Halted{by}", "`gscd resume`", status.halted.since_ms, status.halted.reason)
    if status.queue.quarantined:
        items = amount(status.queue.quarantined, "item")
        do = "`gscd status` shows why, `gscd ledger requeue` tries again, `gscd cancel` gives up"
        yield Wrong("quarantine", f"{items} in quarantine", do)
    sites = [site.progress for site in status.sites]
    stalled = [site for site in sites if site.stalled_ms is not None]
    if stalled:
        first = min(stalled, key=lambda site: site.stalled_ms or 0)
        what = f"No day becomes final any more of {amount(len(stalled), 'site')}"
        note = f"{first.site}, newest final day {first.newest_final or 'none'}"
        yield Wrong("stalled", what, "`gscd doctor` asks Google", first.stalled_ms, note)
    lost = [site for site in sites if site.parked_for == Parked.LOST]
    if lost:
        do = "give the account its permission in Search Console, or correct sync.sites; it goes on by itself"
        yield Wrong("lost", f"{amount(len(lost), 'site')} cannot be read", do, note=f"{lost[0].site}: {lost[0].parked}")
    for usage in picture.usage:
        if usage.scope != "pace" and usage.used > EXCESS * usage.budget:
            what = f"{usage.used} queries in 60 s for the {usage.scope} {usage.name}, of {usage.budget} that it may be,"
            do = "`gscd halt` stops all; does anything else use this Redis, or was it restored from a copy?"
            yield Wrong(f"budget {usage.scope} {usage.name}", what, do)


def _machine(picture: Picture) -> Iterator[Wrong]:
    status = picture.status
    alive = status.daemon is not None and status.daemon.alive
    if alive and not status.halted.halted and not picture.workers_alive:
        yield Wrong("workers", "No worker process lives", "`journalctl -u gscd -p warning` says what ended them")
    if picture.memory.pss > MEMORY_LIMIT:
        what = f"All processes take more than {MEMORY_LIMIT // MEGABYTE} MB"
        yield Wrong("memory", what, "set a smaller workers.max_concurrency, and tell which worker grew")
    if status.batches.batches >= SLOW_BATCHES and status.batches.p99_s >= SLOW_SECONDS:
        do = "set a smaller workers.batch_size; `gscd doctor` measures the way to Google"
        yield Wrong("slow", f"The slowest 1% of the batches take {SLOW_SECONDS:.0f} s or more", do)
