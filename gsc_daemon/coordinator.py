"""The coordinator: plans what is due, tops up the queue, frees leases of the dead, wakes waiting items, tends the WAL.

It talks to the ledger and to the supervisor only, so that neither Postgres nor the network can hold it up.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from gsc_daemon import plan
from gsc_daemon.child import Child, Message, boot_id, pid_start
from gsc_daemon.clock import Clock, pacific_today
from gsc_daemon.errors import Exit, LedgerUnavailable
from gsc_daemon.events import emit
from gsc_daemon.model import Report, SiteProgress, WorkerIdentity
from gsc_daemon.ports import Ledger

TICK: Final = 0.1  # seconds; a dead worker's leases are free well within half a second
TEND_EVERY: Final = 1.0
PRUNE_EVERY: Final = 60.0
READY_BATCHES: Final = 4  # ready items for each worker, in batches
LOOKBACK_EVERY: Final = 86_400.0
QUEUE_WARN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What the coordinator keeps current by itself.

    Args:
        sites: as the settings name them; None for every property that the credential can read.
        every: seconds between plannings, None for only when asked.
        new_site_days: how far back a site goes that holds nothing, None for all.
    """

    sites: tuple[str, ...] | None
    reports: tuple[Report, ...]
    search_types: tuple[str, ...]
    every: float | None
    new_site_days: int | None
    lookback_days: int


class Coordinator:
    """One of a kind; its loop never waits on anything but the ledger's file."""

    def __init__(
        self,
        child: Child,
        open_ledger: Callable[[], Ledger],
        *,
        clock: Clock,
        wanted: Plan,
        ready_target: int,
        max_queue_size: int,
        until_idle: bool,
    ) -> None:
        self.child, self.clock, self.wanted = child, clock, wanted
        self.ready_target, self.max_queue_size, self.until_idle = ready_target, max_queue_size, until_idle
        self.ledger = open_ledger()
        self._tend_at = self._prune_at = 0.0
        self._planned: frozenset[str] = frozenset()
        self._halted_by_ledger = False
        self._queue_warned = False
        self._failing = False

    def run(self) -> int:
        """Until told to leave; gives the exit code."""
        self._release_the_dead()
        if self.wanted.sites:
            self.ledger.ensure_sites(self.wanted.sites)
        self.child.say("ready")
        while not self.child.quitting:
            try:
                for order in self.child.orders(TICK):
                    self._obey(order)
                self._turn()
                self._failing = False
            except LedgerUnavailable as error:
                if not self._failing:
                    self._failing = True
                    emit("ledger.trouble", reason=str(error))
        return 0

    def _obey(self, order: Message) -> None:
        if order["do"] == "dead":
            self._release(order["pid"], order["pid_start"])

    def _release(self, pid: int, started: int) -> None:
        items = self.ledger.release_dead(pid, started)
        emit("leases.freed", pid=pid, items=len(items))

    def _release_the_dead(self) -> None:
        """At the start: nobody of an earlier run may go on working; what is dead gives its leases back."""
        for _, identity in self.ledger.workers():
            if self._is_ours(identity):
                continue
            if pid_start(identity.pid) == identity.pid_start and identity.boot_id == boot_id():
                os.kill(identity.pid, signal.SIGKILL)
                psutil.wait_procs([psutil.Process(identity.pid)], timeout=2)
            self._release(identity.pid, identity.pid_start)

    def _is_ours(self, identity: WorkerIdentity) -> bool:
        """A living child of our own supervisor."""
        if identity.boot_id != boot_id() or pid_start(identity.pid) != identity.pid_start:
            return False
        try:
            return psutil.Process(identity.pid).ppid() == os.getppid()
        except psutil.NoSuchProcess:
            return False

    def _turn(self) -> None:
        now = self.clock.monotonic()
        halt_state = self.ledger.halt_state()
        if halt_state.halted != self._halted_by_ledger:
            self._halted_by_ledger = halt_state.halted
            self.child.say("halted_by_ledger", on=halt_state.halted)
        if not (self.child.halted or halt_state.halted):
            self.ledger.promote()
            self.ledger.top_up(self.ready_target, self.max_queue_size)
        if now >= self._tend_at:
            self._tend_at = now + TEND_EVERY
            self._tend()
            self.child.beat("halted" if self.child.halted else "working")
        if now >= self._prune_at:
            self._prune_at = now + PRUNE_EVERY
            self.ledger.prune()

    def _tend(self) -> None:
        self.ledger.checkpoint()
        for lease in self.ledger.expired_leases():
            if pid_start(lease.pid):
                self.child.say("kill", pid=lease.pid, reason=f"its lease {lease.token} of {lease.site} has run out")
        if not self.child.halted:
            self._plan_due()
        self._watch_queue()

    def _watch_queue(self) -> None:
        counts = self.ledger.counts()
        emit("coordinator.queue_size", ready=counts.ready, waiting=counts.waiting, planned=counts.planned_days)
        emit("coordinator.in_flight", batches=counts.batches, items=counts.leased)
        full = counts.ready + counts.waiting >= QUEUE_WARN * self.max_queue_size
        if full and not self._queue_warned:
            emit("coordinator.queue_warning", queued=counts.ready + counts.waiting, limit=self.max_queue_size)
        self._queue_warned = full
        if not self.until_idle:
            return
        if self.child.halted or self._halted_by_ledger:
            self.child.say("idle", code=Exit.TRY_AGAIN)
        elif counts.idle and self._sites_known():
            code = Exit.PROBLEM if counts.quarantined else Exit.TRY_AGAIN if counts.parked_days else Exit.OK
            self.child.say("idle", code=code)

    def _sites_known(self) -> bool:
        """With ``sites = ["*"]`` nothing is idle until a worker has asked Google once which properties there are."""
        return self.wanted.sites is not None or bool(self.ledger.known_sites())

    # 1: plan

    def _plan_due(self) -> None:
        """Every ``sync.every``, and at once for a site that has come to be known."""
        if self.wanted.every is None:
            return
        sites = frozenset(self._sites())
        if self.ledger.claim_chore("plan", self.wanted.every):
            lookback = self.wanted.lookback_days if self.ledger.claim_chore("lookback", LOOKBACK_EVERY) else 0
            self._plan(sites, lookback)
        elif sites - self._planned:
            self._plan(sites - self._planned, 0)
        self._planned = sites

    def _sites(self) -> Sequence[str]:
        if self.wanted.sites is not None:
            return self.wanted.sites
        return [site.site for site in self.ledger.known_sites() if _readable(site)]

    def _plan(self, sites: frozenset[str], lookback_days: int) -> None:
        today = pacific_today(self.clock)
        new = again = 0
        for site in sorted(sites):
            for report in self.wanted.reports:
                for search_type in self.wanted.search_types:
                    try:
                        result = self.ledger.add_days(
                            plan.recent_days(
                                site,
                                report,
                                search_type,
                                published=self.ledger.published_days(site, report.name, search_type),
                                pending=self.ledger.pending_days(site, report.name, search_type),
                                today=today,
                                lookback_days=lookback_days,
                                new_site_days=self.wanted.new_site_days,
                            )
                        )
                    except LedgerUnavailable:
                        self.ledger.chore_failed("plan", 10.0)
                        raise
                    new, again = new + result.new, again + result.again
        emit("sync.planned", sites=len(sites), new=new, again=again)


def _readable(site: SiteProgress) -> bool:
    return site.permission not in ("", "siteUnverifiedUser")
