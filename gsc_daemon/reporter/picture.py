"""The reporter's look: one picture of everything that metrics, page and alerts say, read at one time.

Each service that cannot be asked leaves its part empty and says so; a picture is always made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil

from gsc_daemon.budget import RateLimits, make_budget
from gsc_daemon.clock import Clock
from gsc_daemon.errors import BudgetUnavailable, GscdError
from gsc_daemon.model import Pace, Usage
from gsc_daemon.ports import Budget, Ledger
from gsc_daemon.process import pid_start
from gsc_daemon.settings import Settings
from gsc_daemon.status import Status, gather, judge

MEGABYTE: Final = 1_000_000
MEMORY_LIMIT: Final = 500 * MEGABYTE  # of all processes together


@dataclass(frozen=True, slots=True)
class Memory:
    """Of the supervisor and all its descendants. pss: bytes, shared pages counted once."""

    pss: int
    processes: int


@dataclass(frozen=True, slots=True)
class Picture:
    """What was seen.

    Args:
        ledger_trouble, budget_trouble: why it could not be read, or "". usage: of the budget; empty if unknown.
        workers_wanted, workers_alive: processes. ledger_bytes, wal_bytes: sizes of the files.
    """

    status: Status
    ledger_trouble: str
    budget_trouble: str
    usage: Sequence[Usage]
    memory: Memory
    workers_wanted: int
    workers_alive: int
    ledger_bytes: int
    wal_bytes: int


class Looker:
    """Makes pictures; keeps the ledger and the budget open between them.

    Args:
        supervisor: pid of the process whose family's memory counts.
    """

    def __init__(self, settings: Settings, open_ledger: Callable[[], Ledger], *, clock: Clock, supervisor: int) -> None:
        self.settings, self.clock, self.supervisor = settings, clock, supervisor
        self._open_ledger = open_ledger
        self._ledger: Ledger | None = None
        self._budget: Budget | None = None

    def look(self) -> Picture:
        """See everything now; takes as long as the ledger's patience at most."""
        unreachable = self._reach_ledger()
        facts = gather(self._ledger, self.settings, self.clock, trouble=unreachable)
        if facts.trouble is not None:
            self._leave_ledger()
        status = judge(facts, self.settings)
        usage, budget_trouble = self._ask_budget()
        ledger = self.settings.ledger.path
        return Picture(
            status,
            "" if facts.trouble is None else str(facts.trouble),
            budget_trouble,
            usage,
            family_memory(self.supervisor),
            self.settings.workers.max_concurrency,
            sum(1 for worker in status.workers if worker.state != "gone" and pid_start(worker.pid)),
            _size(ledger),
            _size(ledger.with_name(ledger.name + "-wal")),
        )

    def _reach_ledger(self) -> GscdError | None:
        if self._ledger is None:
            try:
                self._ledger = self._open_ledger()
            except GscdError as error:
                return error
        return None

    def _leave_ledger(self) -> None:
        """After trouble the file is opened anew: it may have been replaced."""
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def _ask_budget(self) -> tuple[Sequence[Usage], str]:
        """Usage of each scope; with ``memory://`` only the worker knows it."""
        rates = self.settings.rate_limit
        if rates.storage.startswith("memory:"):
            return (), ""
        if self._budget is None:  # it is only looked at, so it needs nothing of the ledger
            self._budget = make_budget(
                rates.storage,
                RateLimits(rates.site_qpm, rates.user_qpm, rates.project_qpm, rates.budget_share),
                recent_sends=lambda _: (),
                load_pace=lambda _: Pace(),
                save_pace=lambda *_: None,
            )
        try:
            return self._budget.usage(), ""
        except BudgetUnavailable as error:
            return (), str(error)


def family_memory(pid: int) -> Memory:
    """PSS of a process and its descendants; one that ends meanwhile counts nothing."""
    try:
        parent = psutil.Process(pid)
        family = [parent, *parent.children(recursive=True)]
    except psutil.Error:
        return Memory(0, 0)
    sizes = [size for process in family if (size := _pss(process))]
    return Memory(sum(sizes), len(sizes))


def _pss(process: psutil.Process) -> int:
    try:
        full = process.memory_full_info()
    except psutil.Error:
        return 0
    return int(getattr(full, "pss", full.uss))  # systems other than Linux know no PSS


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
