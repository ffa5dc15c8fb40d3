"""A supervisor in a process of its own, with children that do as they are told by files in its folder."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsc_daemon.halt import DaemonView, daemon_path, read_daemon

# A worker beats until told to leave; a file in the folder makes it misbehave. `started` has a line for each child.
PROGRAM = """
import os, sys, time
from pathlib import Path
from gsc_daemon import events, halt, journal
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import ConfigError
from gsc_daemon.halt import DaemonFile
from gsc_daemon.supervisor import Role, Supervisor
from gsc_daemon.systemd import Notifier

folder = Path(sys.argv[1])

def note(name, text):
    with open(folder / name, "a") as file:
        file.write(text + chr(10))

def work(child):
    journal.attach("debug")
    note("started", f"{child.role} {child.slot} {os.getpid()} {child.halted}")
    if (folder / "crash").exists() and child.role == "worker":
        os._exit(3)
    if (folder / "unsettled").exists():
        raise ConfigError("the settings cannot work")
    child.say("ready")
    if (folder / "useful").exists():
        child.say("useful")
    while not child.quitting and not (child.draining and not (folder / "busy").exists()):
        for order in child.orders(0.05):
            note("orders", f"{child.role} {order['do']} {order.get('pid', '')}")
        if child.quitting and (folder / "deaf").exists():
            time.sleep(60)
        if (folder / "deaf").exists() and child.halted:
            time.sleep(60)
        child.beat("halted" if child.halted else "working", "a site")
    return 0

def roles():
    slots = int((folder / "slots").read_text())
    return [Role("coordinator", work, 1, 30.0), Role("worker", work, slots, 1.0)]

def reload():
    note("reloads", "one")
    if (folder / "bad").exists():
        raise ConfigError("gscd.toml:3: no such setting")
    return roles(), "changed: workers.max_concurrency"

file = DaemonFile(halt.daemon_path(folder / "ledger.db"))
file.acquire("run-1")
journal.attach("debug")
code = Supervisor(roles(), daemon_file=file, halt_file=folder / "HALT", notifier=Notifier(),
                  clock=SystemClock(), reload=reload).run()
file.release()
sys.exit(code)
"""


@dataclass(frozen=True)
class Running:
    """The supervisor's process and its folder."""

    process: subprocess.Popen[str]
    folder: Path

    def view(self) -> DaemonView:
        """What its file says."""
        view = read_daemon(daemon_path(self.folder / "ledger.db"))
        assert view is not None
        return view

    def lines(self, name: str) -> list[list[str]]:
        """What the children noted."""
        with contextlib.suppress(FileNotFoundError):
            return [line.split() for line in (self.folder / name).read_text().splitlines()]
        return []

    def started(self, role: str = "worker") -> list[int]:
        """The pids of all children of a role, the dead ones too."""
        return [int(line[2]) for line in self.lines("started") if line[0] == role]

    def living(self, role: str = "worker") -> list[int]:
        """Those of them that live."""
        return [pid for pid in self.started(role) if Path(f"/proc/{pid}").exists()]

    def signal(self, number: int) -> None:
        """To the supervisor alone."""
        self.process.send_signal(number)

    def ended(self) -> tuple[int, str]:
        """Its exit code and what it said."""
        _, said = self.process.communicate(timeout=30)
        return self.process.returncode, said


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something is so; fails with the test's own words otherwise."""

    def wait(condition: Callable[[], bool], seconds: float = 20.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, "it did not come to be"
            time.sleep(0.02)

    return wait


@pytest.fixture
def start(tmp_path: Path, until: Callable[[Callable[[], bool]], None]) -> Iterator[Callable[..., Running]]:
    """Start one with so many workers and such files in its folder; it and its children are gone afterwards."""
    running: list[Running] = []

    def begin(slots: int = 2, *files: str, wait: bool = True) -> Running:
        (tmp_path / "slots").write_text(str(slots))
        for name in files:
            (tmp_path / name).touch()
        process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(tmp_path)], stderr=subprocess.PIPE, text=True, start_new_session=True
        )
        running.append(Running(process, tmp_path))
        if wait:
            until(lambda: len(running[-1].living()) == slots and running[-1].view().state in ("running", "halted"))
        return running[-1]

    yield begin
    for one in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(one.process.pid, signal.SIGKILL)
        one.process.communicate()
