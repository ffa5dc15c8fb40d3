"""Chaos, the faults: each is drawn, done, and undone after its time. Only kinds and times come from the seed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg.conninfo import make_conninfo
from work import WORKERS, Work

from gsc_daemon.demo.stage import Stage

STORM: Final = ("429", "qps", "500", "503", "html", "reset", "cut", "truncate", "garbage", "trickle", "hang", "late")
CUT: Final = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE usename = current_user AND pid <> pg_backend_pid() AND state <> 'idle'
"""


@dataclass(frozen=True, slots=True)
class Kill:
    """One SIGKILL. whom: its role. at_ms: UTC milliseconds."""

    whom: str
    pid: int
    at_ms: int


class Faults:
    """Draws and does them.

    Attributes:
        done: number by kind. halts: seconds that each `gscd halt --wait` took.
    """

    def __init__(self, made: Stage, work: Work, luck: random.Random) -> None:
        self.made, self.work, self.luck = made, work, luck
        self.done: Counter[str] = Counter()
        self.kills: list[Kill] = []
        self.halts: list[float] = []
        self._undo: list[tuple[float, Callable[[], object]]] = []
        self._busy: set[str] = set()  # services that are away now
        self._kinds: list[tuple[Callable[[], None], float]] = [
            (self._kill_worker, 100),
            (self._kill_coordinator, 12),
            (self._kill_reporter, 3),
            (self._kill_supervisor, 5),
            (self._freeze_worker, 0.5),
            (self._halt, 0.6),
            (self._reload, 0.6),
            (self._storm, 2),
            (self._expire_tokens, 0.5),
            (self._cut_connections, 6),
            (self._kill_postgres, 0.25),
            (self._kill_redis, 0.4),
            (self._freeze_postgres, 0.25),
            (self._freeze_redis, 0.4),
        ]

    def next(self, rate: float) -> None:
        """Wait for the next fault's time, and do it."""
        until = time.monotonic() + self.luck.expovariate(rate)
        kind = self.luck.choices([kind for kind, _ in self._kinds], [weight for _, weight in self._kinds])[0]
        self._undo_due()
        time.sleep(max(0.0, until - time.monotonic()))
        kind()

    def stop(self) -> None:
        """Undo everything."""
        for _, undo in self._undo:
            undo()
        self._undo.clear()
        self.made.emulator.configure(faults=[])

    def summary(self) -> str:
        """In a few words."""
        return f"{len(self.kills):,} kills, {sum(self.done.values()):,} faults, {self.work.starts} starts"

    def _undo_due(self) -> None:
        now = time.monotonic()
        for at, undo in [one for one in self._undo if one[0] <= now]:
            undo()
            self._undo.remove((at, undo))

    def _later(self, seconds: float, undo: Callable[[], object]) -> None:
        self._undo.append((time.monotonic() + seconds, undo))

    # processes

    def _kill(self, whom: str, pid: int) -> None:
        at_ms = time.time_ns() // 1_000_000
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.kills.append(Kill(whom, pid, at_ms))
            self.done[f"kill {whom}"] += 1

    def _kill_worker(self) -> None:
        workers = self.work.workers()
        if workers:
            self._kill("worker", self.luck.choice(workers))

    def _others(self) -> list[int]:
        """Children that are no workers: the coordinator is forked first, so its pid is the lower one mostly."""
        workers = set(self.work.workers())
        return [pid for pid in self.work.children() if pid not in workers]

    def _kill_coordinator(self) -> None:
        others = self._others()
        if others:
            self._kill("coordinator or reporter", self.luck.choice(others))

    def _kill_reporter(self) -> None:
        self._kill_coordinator()

    def _kill_supervisor(self) -> None:
        process = self.work.process
        if process is not None and process.poll() is None:
            self._kill("supervisor", process.pid)
            process.wait()

    def _freeze_worker(self) -> None:
        workers = self.work.workers()
        if workers:
            pid = self.luck.choice(workers)
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)
                self.done["SIGSTOP beyond the lease"] += 1

    # orders

    def _halt(self) -> None:
        view = self.work.view()
        if view is None or not view.alive:
            return
        began = time.monotonic()
        if self.work.gscd("halt", "--reason", "chaos", "--wait"):
            self.halts.append(time.monotonic() - began)
        self.done["halt and resume"] += 1
        self.work.gscd("resume")

    def _reload(self) -> None:
        workers = self.luck.choice((WORKERS - 2, WORKERS - 1, WORKERS))
        text = self.made.config.read_text()
        lines = [
            f"max_concurrency = {workers}" if line.startswith("max_concurrency") else line for line in text.splitlines()
        ]
        self.made.config.write_text("\n".join(lines) + "\n")
        process = self.work.process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGHUP)
            self.done["reload"] += 1

    # the API

    def _storm(self) -> None:
        kind = self.luck.choice(STORM)
        fault: dict[str, Any] = {"kind": kind, "rate": 0.6, "seconds": 4.0}
        self.made.emulator.configure(faults=[fault])
        self._later(self.luck.uniform(0.3, 1.5), lambda: self.made.emulator.configure(faults=[]))
        self.done[f"API storm of {kind}"] += 1

    def _expire_tokens(self) -> None:
        self.made.emulator.expire_tokens()
        self.done["tokens expired"] += 1

    # the stores

    def _cut_connections(self) -> None:
        """In the middle of whatever they do; some of them in COMMIT."""
        if "postgres" in self._busy:
            return
        dsn = make_conninfo(self.made.postgres.dsn, connect_timeout=2)
        with contextlib.suppress(psycopg.Error), psycopg.connect(dsn, autocommit=True) as side:
            self.done["Postgres connections cut"] += len(side.execute(CUT).fetchall())

    def _away(
        self, service: str, what: str, act: Callable[[], object], undo: Callable[[], object], seconds: float
    ) -> None:
        if service in self._busy:
            return
        self._busy.add(service)
        act()
        self.done[what] += 1

        def back() -> None:
            undo()
            self._busy.discard(service)

        self._later(seconds, back)

    def _kill_postgres(self) -> None:
        server = self.made.postgres
        self._away("postgres", "Postgres killed", server.kill, server.start, self.luck.uniform(0.1, 3.0))

    def _kill_redis(self) -> None:
        server = self.made.redis
        self._away("redis", "Redis killed, restarted empty", server.kill, server.start, self.luck.uniform(0.1, 3.0))

    def _freeze_postgres(self) -> None:
        server = self.made.postgres
        self._away("postgres", "Postgres frozen", server.freeze, server.thaw, self.luck.uniform(0.5, 4.0))

    def _freeze_redis(self) -> None:
        server = self.made.redis
        self._away("redis", "Redis frozen", server.freeze, server.thaw, self.luck.uniform(0.5, 4.0))
