"""The supervisor forks, reaps and restarts; every process is real, and so are the signals."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

Start = Callable[..., Any]
Until = Callable[..., None]


def test_every_place_is_filled_and_shown(start: Start) -> None:
    running = start(3)
    view = running.view()
    assert view.state == "running"
    assert sorted(worker.pid for worker in view.workers) == sorted(running.living())
    assert len(running.living("coordinator")) == 1


def test_the_coordinator_comes_first(start: Start) -> None:
    running = start(2)
    assert running.lines("started")[0][0] == "coordinator"


def test_a_killed_worker_is_replaced_and_the_coordinator_told(start: Start, until: Until) -> None:
    running = start(2)
    victim = running.living()[0]
    os.kill(victim, signal.SIGKILL)
    until(lambda: len(running.living()) == 2 and victim not in running.living())
    until(lambda: ["coordinator", "dead", str(victim)] in running.lines("orders"))


def test_a_killed_coordinator_is_replaced(start: Start, until: Until) -> None:
    running = start(1)
    os.kill(running.living("coordinator")[0], signal.SIGKILL)
    until(lambda: len(running.started("coordinator")) == 2 and len(running.living("coordinator")) == 1)


def test_children_that_keep_crashing_make_it_give_up(start: Start) -> None:
    running = start(4, "crash", wait=False)
    code, said = running.ended()
    assert code == 1
    assert "crashes within 60 s" in running.view().fault
    assert "exit 3" in said


def test_a_crash_after_useful_work_is_no_crash_loop(start: Start, until: Until) -> None:
    running = start(1, "useful")
    for round_ in range(14):
        until(lambda: len(running.living()) == 1 and running.view().workers[0].state == "working")
        os.kill(running.living()[0], signal.SIGSEGV)
        until(lambda seen=round_ + 2: len(running.started()) >= seen)
    assert running.process.poll() is None


def test_killing_from_outside_is_no_fault_of_the_program(start: Start, until: Until) -> None:
    running = start(4)
    for _ in range(4):
        before = len(running.started())
        for pid in running.living():
            os.kill(pid, signal.SIGKILL)
        until(lambda seen=before: len(running.started()) >= seen + 4 and len(running.living()) == 4)
    assert running.process.poll() is None


def test_bad_settings_in_a_child_end_the_daemon_with_78(start: Start) -> None:
    running = start(1, "unsettled", wait=False)
    code, said = running.ended()
    assert code == 78
    assert "the settings cannot work" in said
    assert running.view().fault == "the settings cannot work"


def test_a_silent_worker_writes_its_stacks_and_is_replaced(start: Start, until: Until) -> None:
    running = start(1)
    victim = running.living()[0]
    os.kill(victim, signal.SIGSTOP)
    until(lambda: victim not in running.living() and len(running.living()) == 1)
    running.signal(signal.SIGTERM)
    _, said = running.ended()
    assert f"(pid {victim}) is killed: silent for more than 1 s" in said


def test_nobody_outlives_the_supervisor(start: Start, until: Until) -> None:
    running = start(3)
    running.signal(signal.SIGKILL)
    running.process.wait()
    until(lambda: not running.living() and not running.living("coordinator"))


def test_it_has_one_thread_and_no_connection(start: Start) -> None:
    running = start(2)
    process = Path(f"/proc/{running.process.pid}")
    assert len(list((process / "task").iterdir())) == 1
    opened = [str(fd.readlink()) for fd in (process / "fd").iterdir() if int(fd.name) > 2]
    files = [name for name in opened if name.startswith("/") and not name.startswith(("/dev", "/proc"))]
    assert files == [str(running.folder / "gscd.lock")]
