"""Chaos, the work: a daemon that is started again as a service manager would, with days to fetch that never run out."""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from gsc_daemon import halt
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.demo.stage import Stage
from gsc_daemon.emulator import SiteSpec
from gsc_daemon.errors import GscdError
from gsc_daemon.halt import DaemonView
from gsc_daemon.wiring import open_ledger

SITES: Final = (
    SiteSpec("sc-domain:example.com", rows_per_day=400),
    SiteSpec("https://www.example.com/", rows_per_day=26_000, seed=2),  # two responses a day
)
DATES: Final = {SITES[0].site_url: 60, SITES[1].site_url: 6}
LAST: Final = pacific_today(SystemClock()) - dt.timedelta(days=5)
WORKERS: Final = 6
LOW: Final = 60  # days left, below which more are wanted
FINISH_SECONDS: Final = 240.0
DEADLINE: Final = 5  # seconds for a response, so that the lease can be short


def settings() -> dict[str, dict[str, Any]]:
    """Many small workers, short leases, and no budget that would slow them down."""
    return {
        "workers": {"max_concurrency": WORKERS, "batch_size": 4, "max_in_flight": 2 * WORKERS + 4, "lease_seconds": 40},
        "api": {"deadline_seconds": DEADLINE},
        "rate_limit": {"site_qpm": 100_000, "user_qpm": 100_000, "project_qpm": 1_000_000},
        "sync": {"sites": [site.site_url for site in SITES], "every": ""},
    }


class Work:
    """The daemon's process and its days.

    Attributes:
        starts: of the daemon. commands_failed: `gscd` commands that did not do what they should, with their words.
    """

    def __init__(self, made: Stage) -> None:
        self.made = made
        self.process: subprocess.Popen[bytes] | None = None
        self.starts = 0
        self.rounds = 0
        self.commands_failed: list[str] = []
        self._looked = 0.0
        self._ledger = open_ledger(made.settings, create=True)

    def start(self) -> None:
        """As a service manager would: in a session of its own, its words in the log."""
        with self.made.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "gsc_daemon", "--config", str(self.made.config), "run"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.starts += 1

    def gscd(self, *words: str) -> bool:
        """A command; what fails is noted."""
        try:
            self.made.gscd(*words)
        except GscdError as error:
            self.commands_failed.append(str(error))
            return False
        return True

    def want(self) -> None:
        """All days afresh."""
        self.rounds += 1
        for site, dates in DATES.items():
            first = LAST - dt.timedelta(days=dates - 1)
            words = ("sync", "range", "--from", f"{first}", "--to", f"{LAST}", "--site", site, "--yes", "--force")
            self.gscd(*words)

    def keep_busy(self) -> None:
        """Start the daemon again if it has ended; want more when little is left."""
        if self.process is None or self.process.poll() is not None:
            self.start()
        if time.monotonic() - self._looked > 1.0:
            self._looked = time.monotonic()
            counts = self._ledger.counts()
            if counts.planned_days + counts.ready + counts.waiting + counts.leased < LOW:
                self.want()

    def view(self) -> DaemonView | None:
        """What the daemon's file says."""
        return halt.read_daemon(halt.daemon_path(self.made.settings.ledger.path))

    def children(self) -> list[int]:
        """Pids of the daemon's children: coordinator, reporter, workers."""
        if self.process is None:
            return []
        listed = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        with contextlib.suppress(OSError):
            return [int(pid) for pid in listed.read_text().split()]
        return []

    def workers(self) -> list[int]:
        """Pids of workers that live."""
        view = self.view()
        alive = set(self.children())
        return [worker.pid for worker in view.workers if worker.pid in alive] if view else []

    def finish(self) -> None:
        """No faults any more: let it do what is left, then stop it."""
        if self.process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.process.pid, signal.SIGTERM)
            self.process.wait(60)
        self.gscd("resume")
        self.gscd("ledger", "requeue")
        for site in DATES:
            self._ledger.unpark_site(site)
        with self.made.daemon("--until-idle") as process:
            process.wait(FINISH_SECONDS)
            if process.returncode != 0:
                raise self.made.failed(process)

    def close(self) -> None:
        """Let go of the ledger."""
        self._ledger.close()
