"""Demo, watching: how far the daemon is, how fast it goes and what memory it takes, seen from outside."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, Protocol

import psutil

from gsc_daemon import halt
from gsc_daemon.demo.stage import Stage, relatives
from gsc_daemon.model import QUERY_PAGE
from gsc_daemon.ports import Ledger
from gsc_daemon.wiring import open_ledger
from gsc_daemon.words import in_words

EVERY: Final = 0.5  # seconds between two looks
MEMORY_EVERY: Final = 2  # looks


class Tell(Protocol):
    """How the demo speaks to whoever started it."""

    def say(self, text: str) -> None:
        """Something that stays."""

    def show(self, text: str) -> None:
        """How far it is; the next one takes its place."""


@dataclass(frozen=True, slots=True)
class Sight:
    """One look.

    Args:
        seconds: since the daemon was started. days, rows: published, of query_page. wanted: days of query_page.
        qpm: queries noted in the ledger in the last minute. workers: that live.
    """

    seconds: float
    days: int
    rows: int
    wanted: int
    qpm: int
    workers: int

    def __str__(self) -> str:
        speed = self.rows / self.seconds if self.seconds else 0.0
        left = in_words(self.seconds / self.days * (self.wanted - self.days)) if self.days else "?"
        return (
            f"{self.days}/{self.wanted} days  {self.rows:,} rows  {speed:,.0f} rows/s  {self.qpm} QPM  "
            f"{self.workers} workers  {left} left"
        )


@dataclass(slots=True)
class Watch:
    """Looks at a running daemon.

    Attributes:
        memory: bytes (PSS) of all its processes together, the most that was seen.
    """

    stage: Stage
    process: subprocess.Popen[bytes]
    wanted: int
    ledger: Ledger
    memory: int = 0
    started: float = field(default_factory=time.monotonic)
    _looks: int = 0

    def look(self) -> Sight:
        """Now. Raises as `Ledger`."""
        if self._looks % MEMORY_EVERY == 0:
            self.memory = max(self.memory, memory(self.process.pid))
        self._looks += 1
        published = [
            rows
            for day, _, generation, rows, _ in self.ledger.receipts(self.stage.site, None, None)
            if generation and day.report == QUERY_PAGE.name
        ]
        daemon = halt.read_daemon(halt.daemon_path(self.stage.settings.ledger.path))
        workers = sum(worker.works for worker in daemon.workers) if daemon is not None else 0
        seconds = time.monotonic() - self.started
        return Sight(seconds, len(published), sum(published), self.wanted, self.ledger.sent_queries(60.0), workers)

    def until_it_leaves(self, tell: Tell) -> float:
        """Look again and again; gives the seconds from its start to its end. Raises `GscdError` if it failed."""
        while True:
            try:
                self.process.wait(EVERY)
            except subprocess.TimeoutExpired:
                tell.show(str(self.look()))
                continue
            seconds = time.monotonic() - self.started
            tell.show(str(self.look()))
            if self.process.returncode != 0:
                raise self.stage.failed(self.process)
            return seconds


@contextlib.contextmanager
def watching(stage: Stage, process: subprocess.Popen[bytes], wanted: int) -> Iterator[Watch]:
    """A watch on a daemon that has just been started. Args: wanted: days of query_page."""
    ledger = open_ledger(stage.settings, read_only=True)
    try:
        yield Watch(stage, process, wanted, ledger)
    finally:
        ledger.close()


def memory(pid: int) -> int:
    """Bytes (PSS) of a process and its children together; shared pages count once."""
    total = 0
    for process in relatives(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            total += process.memory_full_info().pss
    return total
