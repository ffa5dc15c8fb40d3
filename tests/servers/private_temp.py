"""A TMPDIR of one test, and what runs or lies in it."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import psutil


class PrivateTemp:
    """A folder that every account may use, watched for what is left in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def entries(self) -> list[Path]:
        return list(self.path.iterdir())

    def processes(self) -> list[psutil.Process]:
        """Everything whose working folder is in there: servers run in their own folder."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.cwd().startswith(str(self.path)):
                    found.append(process)
        return found

    def wait_until_nothing_is_left(self) -> None:
        deadline = time.monotonic() + 30
        while (left := [*self.entries(), *self.processes()]) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert left == []
