"""The reporter: looks every few seconds, and tells: /metrics and the page, alerts, the heartbeat, memory and rate.

The main thread hears orders and looks; a listener serves what was seen, and messages leave from a thread of their own,
so that nothing outside this machine holds it up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final

from gsc_daemon.child import Child
from gsc_daemon.clock import Clock, SystemClock
from gsc_daemon.events import emit
from gsc_daemon.ports import Ledger
from gsc_daemon.reporter.alerts import Alerts
from gsc_daemon.reporter.listener import Listener, Texts, plain_page
from gsc_daemon.reporter.metrics import APPROACHING, render
from gsc_daemon.reporter.outgoing import Message, Outgoing
from gsc_daemon.reporter.picture import MEGABYTE, MEMORY_LIMIT, Looker, Picture
from gsc_daemon.settings import Settings

TICK: Final = 0.5  # seconds; the longest that an order waits while nothing is looked at
LOOK_EVERY: Final = 5.0
BIND_EVERY: Final = 60.0
HEARTBEAT_EVERY: Final = 60.0
HEARTBEAT: Final = "heartbeat"


class Reporter:
    """One of a kind.

    Args:
        open_ledger: with the patience that a look may take.
    """

    def __init__(
        self,
        child: Child,
        settings: Settings,
        open_ledger: Callable[[], Ledger],
        *,
        clock: Clock | None = None,
    ) -> None:
        self.child, self.settings = child, settings
        self.clock = clock or SystemClock()
        self.looker = Looker(settings, open_ledger, clock=self.clock, supervisor=os.getppid())
        self.outgoing = Outgoing()
        self.alerts = Alerts(settings.telemetry.slack_webhook_file, self.outgoing)
        self.listener: Listener | None = None
        self._look_at = self._bind_at = self._heartbeat_at = 0.0
        self._cannot_listen = self._memory_high = self._heartbeat_failing = False
        self._approaching: frozenset[tuple[str, str]] = frozenset()

    def run(self) -> int:
        """Until told to leave; gives the exit code."""
        self.child.say("ready")
        while not self.child.quitting:
            for _ in self.child.orders(TICK):
                pass
            self._turn()
        if self.listener is not None:
            self.listener.close()
        return 0

    def _turn(self) -> None:
        now = self.clock.monotonic()
        if now >= self._bind_at:
            self._bind_at = now + BIND_EVERY
            self._listen()
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._look(now)
        for outcome in self.outgoing.outcomes():
            if outcome.message.key == HEARTBEAT:
                self._heartbeat_was_sent(outcome.trouble)
            else:
                self.alerts.heard(outcome)
        self.child.beat("halted" if self.child.halted else "working")

    def _listen(self) -> None:
        """Have the address, or try again in a minute: another program may let it go."""
        address = self.settings.telemetry.listen_address
        if address is None or self.listener is not None:
            return
        try:
            self.listener = Listener(address)
        except OSError as error:
            if not self._cannot_listen:
                emit("reporter.deaf", address=self.settings.telemetry.listen, reason=error.strerror or str(error))
            self._cannot_listen = True
        else:
            self._cannot_listen = False

    def _look(self, now: float) -> None:
        picture = self.looker.look()
        if self.listener is not None:
            self.listener.texts = Texts(render(picture), plain_page(picture.status), self.clock.monotonic())
        self._tell_memory(picture)
        self._tell_rates(picture)
        self.alerts.look(picture)
        if now >= self._heartbeat_at and self.settings.telemetry.heartbeat_url_file is not None and _well(picture):
            self._heartbeat_at = now + HEARTBEAT_EVERY
            self.outgoing.send(Message(HEARTBEAT, self.settings.telemetry.heartbeat_url_file))

    def _heartbeat_was_sent(self, trouble: str) -> None:
        if trouble and not self._heartbeat_failing:
            emit("heartbeat.failed", reason=trouble)
        self._heartbeat_failing = bool(trouble)

    def _tell_memory(self, picture: Picture) -> None:
        taken, limit = round(picture.memory.pss / MEGABYTE), MEMORY_LIMIT // MEGABYTE
        emit("daemon.memory", pss_mb=taken, limit_mb=limit)
        high = picture.memory.pss > MEMORY_LIMIT
        if high and not self._memory_high:
            emit("daemon.memory_high", pss_mb=taken, limit_mb=limit)
        self._memory_high = high

    def _tell_rates(self, picture: Picture) -> None:
        """Each scope's use, and once when it comes near the quota."""
        near = set()
        for usage in picture.usage:
            emit(
                "rate_limit.usage",
                scope=usage.scope,
                name=usage.name,
                used=usage.used,
                budget=usage.budget,
                quota=usage.quota,
            )
            if usage.scope == "pace" or usage.used < APPROACHING * usage.quota:
                continue
            near.add((usage.scope, usage.name))
            if (usage.scope, usage.name) not in self._approaching:
                percent = round(100 * usage.used / usage.quota)
                emit(
                    "rate_limit.approaching",
                    scope=usage.scope,
                    name=usage.name,
                    used=usage.used,
                    quota=usage.quota,
                    percent=percent,
                )
        self._approaching = frozenset(near)


def _well(picture: Picture) -> bool:
    """Whether the daemon is alive, halted or not, and days become final: who watches the heartbeat must hear else."""
    stalled = any(site.progress.stalled_ms is not None for site in picture.status.sites)
    return not picture.ledger_trouble and picture.workers_alive > 0 and not stalled
