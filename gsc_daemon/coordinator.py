"""The coordinator: plans what is due, tops up the queue, frees leases of the dead, wakes waiting items, tends the WAL.

It talks to the ledger and to the supervisor only, so that neither Postgres nor the network can hold it up.
"""

from __future__ import annotations

import os
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from gsc_daemon import plan
from gsc_daemon.child import Child, Message
from gsc_daemon.clock import Clock, pacific_today
from gsc_daemon.errors import Exit, LedgerUnavailable
from gsc_daemon.events import emit
from gsc_daemon.model import QueueCounts, Report, WorkerIdentity
from gsc_daemon.ports import Ledger
from gsc_daemon.process import boot_id, pid_start
from gsc_daemon.reports import may_be_empty
from gsc_daemon.settings import Choice

TICK: Final = 0.1  # seconds; a dead worker's leases are free well within half a second
TEND_EVERY: Final = 1.0
PRUNE_EVERY: Final = 60.0
READY_BATCHES: Final = 4  # ready items for each worker, in batches
LOOKBACK_EVERY: Final = 86_400.0
ASK_EVERY: Final = 72_000.0  # seconds until an empty day is asked for again: daily, whatever the hour of the planning
HISTORY_EVERY: Final = 5.0  # seconds between looks at whether a full history has come to its end
PLAN_CHECK: Final = 60.0  # seconds between looks at whether a site is due
QUEUE_WARN: Final = 0.5


@dataclass(frozen=True, slots=True)
class Plan:
    """What the coordinator keeps current by itself.

    Args:
        sites: as the settings choose them.
        every: seconds between plannings, None for only when asked.
        new_site_days: how far back a site goes that holds nothing, None for all.
        empty_days: consecutive days without rows that end full-history, 0 for none.
    """

    sites: Choice
    reports: tuple[Report, ...]
    search_types: tuple[str, ...]
    every: float | None
    new_site_days: int | None
    lookback_days: int
    empty_days: int = 0


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
        self._tend_at = self._watch_at = self._history_at = 0.0
        self._pruned_ms = 0
        self._dead: deque[Message] = deque()  # orders to free the leases of a dead worker, not yet followed
        self._due: deque[str] = deque()  # sites to be planned, one a turn
        self._plan_at: dict[str, float] = {}
        self._halted_by_ledger = False
        self._queue_warned = False
        self._failing_since: float | None = None

    def run(self) -> int:
        """Until told to leave; gives the exit code."""
        self._bury_earlier_workers()
        self.ledger.renew_chores("list_sites")  # what may be read, and with what, may have changed
        self._take_in_sites(self.wanted.sites)
        self.child.say("ready")
        while not self.child.quitting:
            for order in self.child.orders(TICK):
                if order["do"] == "dead":
                    self._dead.append(order)
            try:
                self._turn()
            except LedgerUnavailable as error:
                self._failing(error)
            else:
                self._well()
        return 0

    def _turn(self) -> None:
        now = self.clock.monotonic()
        while self._dead:
            self._free_leases(self._dead[0])
            self._dead.popleft()
        halt_state = self.ledger.halt_state()
        if halt_state.halted != self._halted_by_ledger:
            self._halted_by_ledger = halt_state.halted
            self.child.say("halted_by_ledger", on=halt_state.halted)
        halted = self.child.halted or halt_state.halted
        if not halted:
            self._plan_next()
            self.ledger.promote()
            self.ledger.top_up(self.ready_target, self.max_queue_size)
        if now >= self._tend_at:
            self._tend_at = now + TEND_EVERY
            self._tend(halted)
            self.child.beat("halted" if halted else "working")
        wall_ms = self.clock.wall_ms()  # by which it is decided what is old; set back, it must not stop the pruning
        if abs(wall_ms - self._pruned_ms) >= PRUNE_EVERY * 1000:
            self._pruned_ms = wall_ms
            self.ledger.prune()

    def _failing(self, error: LedgerUnavailable) -> None:
        self.child.beat("waiting for the ledger")
        if self._failing_since is None:
            self._failing_since = self.clock.monotonic()
            emit("ledger.trouble", reason=str(error))

    def _well(self) -> None:
        if self._failing_since is not None:
            emit("ledger.well", duration=round(self.clock.monotonic() - self._failing_since, 1))
            self._failing_since = None

    # leases of the dead

    def _free_leases(self, order: Message) -> None:
        """Of a worker that has died of itself, or that the supervisor had to kill: no day is to blame for that."""
        pid = order["pid"]
        if order["blame"]:
            self._freed(pid, self.ledger.release_dead(pid, order["pid_start"]))
            return
        for worker_id, identity in self.ledger.workers():
            if (identity.pid, identity.pid_start) == (pid, order["pid_start"]):
                self._freed(pid, self.ledger.retire_worker(worker_id, "killed by the supervisor"))

    @staticmethod
    def _freed(pid: int, items: int) -> None:
        emit("leases.freed", pid=pid, items=items)

    def _bury_earlier_workers(self) -> None:
        """At the start: nobody of an earlier run may go on working. They died with their supervisor, not of a day."""
        for worker_id, identity in self.ledger.workers():
            if self._is_ours(identity):
                continue
            if _lives(identity):
                os.kill(identity.pid, signal.SIGKILL)
                psutil.wait_procs([psutil.Process(identity.pid)], timeout=2)
            self._freed(identity.pid, self.ledger.retire_worker(worker_id, "its daemon is no more"))

    def _is_ours(self, identity: WorkerIdentity) -> bool:
        """A living child of our own supervisor."""
        try:
            return _lives(identity) and psutil.Process(identity.pid).ppid() == os.getppid()
        except psutil.NoSuchProcess:
            return False

    def _end_expired_leases(self) -> None:
        """A lease that has run out is freed when its worker is dead; one that lives is killed first."""
        expired = {lease.worker_id: lease for lease in self.ledger.expired_leases()}
        if not expired:
            return
        for worker_id, identity in self.ledger.workers():
            lease = expired.get(worker_id)
            if lease is not None and _lives(identity):
                self.child.say("kill", pid=lease.pid, reason=f"its lease {lease.token} of {lease.site} has run out")
            elif lease is not None:
                self._freed(identity.pid, self.ledger.release_dead(identity.pid, identity.pid_start))

    # care

    def _tend(self, halted: bool) -> None:
        self.ledger.checkpoint()
        self._end_expired_leases()
        if not halted:
            self._look_for_due_sites()
            if self.clock.monotonic() >= self._history_at:
                self._history_at = self.clock.monotonic() + HISTORY_EVERY
                self._end_histories()
            self._watch_frontiers()
        self._watch_queue(halted)

    def _end_histories(self) -> None:
        """full-history goes no further back than a site has data."""
        if not self.wanted.empty_days:
            return
        for site in self._sites():
            days = self.ledger.end_histories(site, lambda seen: plan.end_of_history(seen, self.wanted.empty_days))
            if days:
                reason = f"{self.wanted.empty_days} days after them were empty"
                emit("sync.cancelled", site=site, days=days, reason=reason)

    def _watch_frontiers(self) -> None:
        """Somebody must hear of a site whose days do not come any more, though nothing fails."""
        now = self.clock.monotonic()
        if self.wanted.every is None or now < self._watch_at:
            return
        self._watch_at = now + PLAN_CHECK
        wanted = [(report.name, search_type) for report, search_type in self._reports()]
        expected = plan.newest_final(pacific_today(self.clock))
        for site, stands in self.ledger.watch(self._sites(), wanted, expected):
            emit("site.stalled" if stands else "site.moving", site=site)

    def _watch_queue(self, halted: bool) -> None:
        counts = self.ledger.counts()
        queued = counts.ready + counts.waiting
        emit("coordinator.queue_size", ready=counts.ready, waiting=counts.waiting, planned=counts.planned_days)
        emit("coordinator.in_flight", batches=counts.batches, items=counts.leased)
        full = queued >= QUEUE_WARN * self.max_queue_size
        if full and not self._queue_warned:
            emit("coordinator.queue_warning", queued=queued, limit=self.max_queue_size)
        self._queue_warned = full
        if not self.until_idle:
            return
        if halted:
            self.child.say("idle", code=Exit.TRY_AGAIN, reason="halted")
        elif counts.idle and not self._due and self._sites_known():
            self.child.say("idle", **_idle_end(counts))

    def _sites_known(self) -> bool:
        """With a pattern nothing is idle until a worker has asked Google once which properties there are."""
        return not self.wanted.sites.open or bool(self.ledger.known_sites())

    # 1: plan

    def _take_in_sites(self, sites: Choice) -> None:
        """Sites of the settings become known; one that has left them keeps its data, its queued days are cancelled."""
        self.ledger.ensure_sites(sites.named)
        for known in self.ledger.known_sites():
            days = 0 if sites.has(known.site) else self.ledger.cancel_days(known.site, None, None)
            if days:
                emit("sync.cancelled", site=known.site, days=days, reason="the settings do not name it any more")

    def _look_for_due_sites(self) -> None:
        """Every ``sync.every``, and at once for a site that has come to be known."""
        if self.wanted.every is None or self._due:
            return
        now = self.clock.monotonic()
        for site in self._sites():
            if now >= self._plan_at.get(site, 0.0):
                self._plan_at[site] = now + min(PLAN_CHECK, self.wanted.every)
                self._due.append(site)

    def _sites(self) -> Sequence[str]:
        if not self.wanted.sites.open:
            return self.wanted.sites.named
        return self.wanted.sites.among(site.site for site in self.ledger.known_sites() if site.readable)

    def _plan_next(self) -> None:
        """Plan one site that is due, so that many sites never hold up the leases of the dead."""
        if not self._due or self.wanted.every is None:
            return
        site = self._due[0]
        if self.ledger.claim_chore(f"plan {site}", self.wanted.every):
            again = self.ledger.claim_chore(f"lookback {site}", LOOKBACK_EVERY)
            try:
                self._plan(site, self.wanted.lookback_days if again else 0)
            except LedgerUnavailable:
                self.ledger.chore_failed(f"plan {site}", 10.0)
                raise
        self._due.popleft()

    def _plan(self, site: str, lookback_days: int) -> None:
        today, told = pacific_today(self.clock), self.ledger.newest_final(site)
        judged = [report.name for report in self.wanted.reports if not may_be_empty(report)]
        new, again = 0, self.ledger.ask_again(site, judged, plan.oldest_kept(today), ASK_EVERY)
        for report, search_type in self._reports():
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
                    told=told.get(search_type),
                )
            )
            new, again = new + result.new, again + result.again
        emit("sync.planned", site=site, new=new, again=again)

    def _reports(self) -> Iterator[tuple[Report, str]]:
        return plan.combined(self.wanted.reports, self.wanted.search_types)


def _idle_end(counts: QueueCounts) -> Message:
    """The exit code of ``run --until-idle``, and why."""
    if counts.quarantined:
        return {"code": Exit.PROBLEM, "reason": f"{counts.quarantined} items are quarantined"}
    if counts.parked_days:
        return {"code": Exit.TRY_AGAIN, "reason": f"{counts.parked_days} days of parked sites are left"}
    return {"code": Exit.OK, "reason": "nothing is left to do"}


def _lives(identity: WorkerIdentity) -> bool:
    return identity.boot_id == boot_id() and pid_start(identity.pid) == identity.pid_start
