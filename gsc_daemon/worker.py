"""A worker: one forked process that runs the pipeline until it is halted, drained or told to quit."""

from __future__ import annotations

import os
import queue
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gsc_daemon import failpoint
from gsc_daemon.child import Child, Message
from gsc_daemon.clock import Clock
from gsc_daemon.errors import GscdError, LedgerUnavailable, SinkUnavailable
from gsc_daemon.events import bind, emit
from gsc_daemon.model import Report, WorkerIdentity
from gsc_daemon.pipeline import SERVICE_RETRY, Arrival, Limits, Pipeline
from gsc_daemon.pipeline.properties import Properties
from gsc_daemon.ports import Budget, Ledger, Sink, Sources
from gsc_daemon.process import boot_id, pid_start
from gsc_daemon.settings import Choice

BEAT: Final = 0.5  # seconds between beats, and the longest sleep
LEDGER_RETRY: Final = 2.0
CHORES_EVERY: Final = 10.0
ROLL_UP_EVERY: Final = 300.0
QUIET: Final = 10.0  # seconds without work, after which there is time for sums


@dataclass(frozen=True, slots=True)
class Steps:
    """What a worker works with, built after its fork."""

    ledger: Ledger
    budget: Budget
    sources: Sources
    sink: Sink


class Worker:
    """The main loop around `Pipeline`.

    Args:
        build: opens ledger, budget, sources and sink. halt_present: whether the halt file is there now.
        take_over: the sink may be taken from another ledger.
    """

    def __init__(
        self,
        child: Child,
        build: Callable[[], Steps],
        *,
        clock: Clock,
        run_id: str,
        limits: Limits,
        reports: dict[str, Report],
        sites: Choice,
        halt_present: Callable[[], bool],
        take_over: bool,
    ) -> None:
        self.child, self.clock, self.run_id = child, clock, run_id
        self.halt_present, self.take_over = halt_present, take_over
        self.steps = build()
        pid = os.getpid()
        identity = WorkerIdentity(child.slot, pid, pid_start(pid), boot_id())
        self.worker_id = self.steps.ledger.register_worker(identity, run_id)
        bind(worker_id=self.worker_id)
        self.wakeups: queue.SimpleQueue[Arrival | None] = queue.SimpleQueue()
        self.pipeline = Pipeline(
            self.steps.ledger,
            self.steps.budget,
            self.steps.sources,
            self.steps.sink,
            clock=clock,
            worker_id=self.worker_id,
            run_id=run_id,
            limits=limits,
            reports=reports,
            halted=self.halted,
            arrivals=self.wakeups,
        )
        self.properties = Properties(self.steps.ledger, self.steps.sources, clock, sites, self.pipeline.back_to_work)
        self._prepared = False
        self._prepare_at = self._chores_at = self._beat_at = 0.0
        self._busy_at = clock.monotonic()
        self._rolling = False  # months wait for their sums
        self._useful = False
        self._failing = False

    def halted(self) -> bool:
        """By order or by the file itself, whichever is seen first."""
        return self.child.halted or self.halt_present()

    def run(self) -> int:
        """Until told to leave; gives the exit code."""
        self.child.listen(self._on_order)
        self.child.say("ready")
        emit("worker.started", slot=self.child.slot, pid=os.getpid())
        while True:
            try:
                if self._leaving():
                    self.pipeline.give_back()
                    self.steps.ledger.retire_worker(self.worker_id, "asked to leave")
                    emit("worker.stopped", slot=self.child.slot, pid=os.getpid(), reason="asked to")
                    return 0
                self._turn()
                self._failing = False
            except LedgerUnavailable as error:
                if self.child.quitting:
                    return 0  # what it holds is freed when the coordinator hears of its end
                self.pipeline.let_go()
                self._ledger_failing(error)

    def _leaving(self) -> bool:
        return self.child.quitting or (self.child.draining and not self.pipeline.busy)

    def _on_order(self, order: Message) -> None:
        """In the orders' thread: a halt cuts what the main thread may be waiting for."""
        if order["do"] in ("halt", "quit"):
            self.steps.sources.abandon()
            self.steps.sink.cancel()
        self.wakeups.put(None)

    def _turn(self) -> None:
        if self.halted():
            self.pipeline.give_back()
            self._beat("halted")
            self._wait()
            return
        if not self._prepared:
            self._prepare()
            return
        self._chores()
        self.pipeline.step(claim=not self.child.draining, timeout=BEAT)
        if self.pipeline.busy:
            self._busy_at = self.clock.monotonic()
        if not self._useful and self.pipeline.published:
            self._useful = True
            self.child.say("useful")
        self._beat("working" if self.pipeline.busy else "idle")

    def _prepare(self) -> None:
        """Before the first claim: the sink's schema and owner, and what it holds read into the ledger."""
        now = self.clock.monotonic()
        if now < self._prepare_at:
            self._beat("waiting for Postgres")
            self._wait()
            return
        ledger, sink = self.steps.ledger, self.steps.sink
        try:
            sink.migrate(tuple(self.pipeline.reports.values()))
            sink.own(ledger.ledger_id, take_over=self.take_over)
            if ledger.needs_seed(self.run_id):
                changed = ledger.seed(self.run_id, sink.highest_token(), sink.receipts_since(ledger.token))
                emit("ledger.seeded", days=changed)
        except SinkUnavailable as error:
            self._prepare_at = now + failpoint.patience(SERVICE_RETRY)
            self.pipeline.services.away("sink", error)
        else:
            self._prepared = True
            self.pipeline.services.back("sink")

    def _chores(self) -> None:
        """What is nobody's batch, for all workers: the lists of properties, once an hour; sums in quiet moments."""
        now = self.clock.monotonic()
        if now < self._chores_at:
            return
        self._chores_at = now + failpoint.patience(CHORES_EVERY)
        self.properties.look()
        if now > self._busy_at + QUIET:
            self._roll_up()

    def _roll_up(self) -> None:
        """A month's sums at a time, until none is out of date; then again after a while."""
        ledger, sink = self.steps.ledger, self.steps.sink
        if not self._rolling and not ledger.claim_chore("roll_up", ROLL_UP_EVERY):
            return
        try:
            self._rolling = sink.roll_up()
        except SinkUnavailable as error:
            self._rolling = False
            if not self.halted():
                emit("sums.late", reason=str(error))
        if self._rolling:
            self._chores_at = 0.0

    def _ledger_failing(self, error: GscdError) -> None:
        if not self._failing:
            self._failing = True
            emit("ledger.trouble", reason=str(error))
        self._beat("waiting for the ledger")
        self._wait(LEDGER_RETRY)

    def _wait(self, seconds: float = BEAT) -> None:
        """Sleep, but wake for an order; answers that come meanwhile are of batches already given back."""
        try:
            arrival = self.wakeups.get(timeout=seconds)
        except queue.Empty:
            return
        if arrival is not None:
            arrival.drop()

    def _beat(self, state: str) -> None:
        now = self.clock.monotonic()
        if state == "halted" or now >= self._beat_at:
            self._beat_at = now + BEAT
            self.child.beat(state, self.pipeline.site)
