"""`gscd demo` with a TMPDIR of its own, and what runs or lies there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

CHECKOUT = Path(__file__).parents[2]


@dataclass(frozen=True)
class DemoTemp:
    """A folder that every account may use."""

    path: Path

    def entries(self) -> list[Path]:
        return list(self.path.iterdir())

    def processes(self) -> list[psutil.Process]:
        """Whatever was started with this TMPDIR, or works in it; servers have an environment of their own."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                mine = process.environ().get("TMPDIR") == str(self.path)
                if mine or process.cwd().startswith(str(self.path)):
                    found.append(process)
        return found

    def of_the_daemon(self) -> int:
        """How many of them are the daemon."""
        count = 0
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                count += "--until-idle" in process.cmdline()
        return count

    def left(self) -> list[object]:
        """What is still there after up to 30 s."""
        deadline = time.monotonic() + 30
        while (left := [*self.entries(), *self.processes()]) and time.monotonic() < deadline:
            time.sleep(0.05)
        return left

    @contextlib.contextmanager
    def gscd(self, *words: str) -> Iterator[subprocess.Popen[str]]:
        """The program, with settings in its environment that are none of the demo's business."""
        environment = os.environ | {
            "TMPDIR": str(self.path),
            "PYTHONDONTWRITEBYTECODE": "1",
            "GSCD_SINK__SCHEMA": "elsewhere",
            "GSCD_WORKERS__MAX_CONCURRENCY": "7",
            "GSCD_CONFIG": "/nowhere/gscd.toml",
        }
        command: Sequence[str] = [sys.executable, "-m", "gsc_daemon", *words]
        pipe = subprocess.PIPE
        with subprocess.Popen(command, env=environment, stdout=pipe, stderr=pipe, text=True, cwd=CHECKOUT) as process:
            try:
                yield process
            finally:
                process.kill()
