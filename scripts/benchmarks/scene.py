"""What the cases share: a stage, a run of the daemon on it with its processor time and memory, and the audit."""

from __future__ import annotations

import contextlib
import datetime as dt
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.demo.stage import Stage, stage
from gsc_daemon.demo.watch import memory
from gsc_daemon.demo.whole import check
from gsc_daemon.emulator import EmulatorConfig, SiteSpec

SITE = "sc-domain:example.com"
LAST = pacific_today(SystemClock()) - dt.timedelta(days=5)
LATENCY = {"latency_median_s": 0.8, "latency_p99_s": 3.0}


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the daemon to its end.

    Args:
        seconds: from its start to its end. cpu: seconds of the processor, of the daemon, Postgres, Redis and the
            emulator together. memory: bytes (PSS) of the daemon's processes, the most that was seen.
    """

    seconds: float
    cpu: float
    memory: int


@contextlib.contextmanager
def scene(rows: int = 40_000, *, settings: dict[str, dict[str, Any]] | None = None, **config: Any) -> Iterator[Stage]:
    """A stage whose site has so many rows a day."""
    sites = config.pop("sites", (SiteSpec(SITE, rows_per_day=rows),))
    with stage(EmulatorConfig(sites=sites, **config), **(settings or {})) as made:
        yield made


def want(made: Stage, days: int, *more: str) -> tuple[dt.date, dt.date]:
    """Put the newest days into the ledger; gives the first and last date."""
    first = LAST - dt.timedelta(days=days - 1)
    made.gscd("sync", "range", "--from", f"{first}", "--to", f"{LAST}", "--yes", *more)
    return first, LAST


def run(made: Stage) -> Run:
    """The daemon until it has nothing left to do."""
    spent: dict[int, float] = {}
    most = 0
    began = time.monotonic()
    with made.daemon("--until-idle") as process:
        while True:
            _note(spent, [process.pid, made.emulator.pid, *_servers()])
            most = max(most, memory(process.pid))
            try:
                process.wait(0.5)
                break
            except subprocess.TimeoutExpired:
                continue
        seconds = time.monotonic() - began
        if process.returncode != 0:
            raise made.failed(process)
    return Run(seconds, sum(spent.values()), most)


def _servers() -> list[int]:
    """Pids of the private Postgres and Redis: children of this process."""
    names = ("postgres", "redis-server", "valkey-server")
    return [child.pid for child in psutil.Process().children() if child.name().startswith(names)]


def _note(spent: dict[int, float], pids: list[int]) -> None:
    """The processor time of these processes and all below them, so far; what ends keeps what was last seen."""
    for pid in pids:
        with contextlib.suppress(psutil.Error):
            parent = psutil.Process(pid)
            for one in (parent, *parent.children(recursive=True)):
                with contextlib.suppress(psutil.Error):
                    times = one.cpu_times()
                    spent[one.pid] = times.user + times.system


def audit(made: Stage, first: dt.date, last: dt.date) -> float:
    """Rows that are missing, double or altered against what was served."""
    found = check(made, first, last)
    return float(sum(found[what] for what in ("missing", "double", "altered", "differences")))
