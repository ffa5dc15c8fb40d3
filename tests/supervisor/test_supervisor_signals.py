"""TERM drains, HUP reloads, USR1 halts, and a halt reaches workers that do not listen."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

from gsc_daemon import halt

Start = Callable[..., Any]
Until = Callable[..., None]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_term_and_int_drain(start: Start, number: int, code: int) -> None:
    running = start(2)
    running.signal(number)
    assert running.ended()[0] == code
    orders = [line[1] for line in running.lines("orders") if line[0] == "worker"]
    assert orders == ["drain", "drain"]
    assert not running.living()
    assert running.view().state == "stopped"


def test_a_second_term_does_not_wait_for_the_work(start: Start, until: Until) -> None:
    running = start(1, "busy")
    running.signal(signal.SIGTERM)
    until(lambda: running.view().state == "draining")
    running.signal(signal.SIGTERM)
    assert running.ended()[0] == 0
    assert [line[1] for line in running.lines("orders") if line[0] == "worker"] == ["drain", "quit"]


def test_whoever_does_not_quit_is_killed(start: Start, until: Until) -> None:
    running = start(1, "busy", "deaf")
    running.signal(signal.SIGTERM)
    until(lambda: running.view().state == "draining")
    running.signal(signal.SIGTERM)
    assert running.ended()[0] == 0
    assert not running.living()


def test_hup_forks_everyone_anew_with_the_new_settings(start: Start, until: Until) -> None:
    running = start(1)
    before = running.living()
    (running.folder / "slots").write_text("3")
    running.signal(signal.SIGHUP)
    until(lambda: len(running.living()) == 3 and not set(before) & set(running.living()))
    (running.folder / "slots").write_text("1")
    running.signal(signal.SIGHUP)
    until(lambda: len(running.living()) == 1 and len(running.view().workers) == 1)


def test_hup_with_bad_settings_changes_nothing(start: Start, until: Until) -> None:
    running = start(2)
    before = running.living()
    (running.folder / "bad").touch()
    running.signal(signal.SIGHUP)
    until(lambda: running.lines("reloads"))
    running.signal(signal.SIGTERM)
    _, said = running.ended()
    assert "the old settings stay in force: gscd.toml:3: no such setting" in said
    assert running.started() == before


def test_the_halt_file_stills_workers_and_its_removal_moves_them(start: Start, until: Until) -> None:
    running = start(2)
    halt.write(running.folder / "HALT", "maintenance", "somebody")
    until(lambda: running.view().state == "halted")
    assert running.view().reason == "maintenance"
    assert {worker.state for worker in running.view().workers} == {"halted"}
    halt.clear(running.folder / "HALT")
    until(lambda: {worker.state for worker in running.view().workers} == {"working"})
    assert running.view().state == "running"


def test_a_halt_survives_a_restart(start: Start, until: Until) -> None:
    halted = start(1)
    halt.write(halted.folder / "HALT", "maintenance", "somebody")
    until(lambda: halted.view().state == "halted")
    halted.signal(signal.SIGTERM)
    halted.ended()
    again = start(1)
    until(lambda: again.view().state == "halted")
    assert again.lines("started")[-1][3] == "True"


def test_usr1_becomes_the_halt_file(start: Start, until: Until) -> None:
    running = start(1)
    running.signal(signal.SIGUSR1)
    until(lambda: running.view().state == "halted")
    state = halt.read(running.folder / "HALT")
    assert state is not None
    assert state.reason == "signal USR1"


def test_a_worker_deaf_to_the_halt_is_killed_and_its_successor_stands_still(start: Start, until: Until) -> None:
    running = start(1, "deaf")
    victim = running.living()[0]
    halt.write(running.folder / "HALT", "now", "somebody")
    until(lambda: victim not in running.living())
    until(lambda: len(running.started()) > 1)
    assert running.lines("started")[-1][3] == "True"


def test_signals_to_the_whole_unit_do_the_children_no_harm(start: Start, until: Until) -> None:
    running = start(2)
    before = running.living()
    for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2):
        for pid in before:
            os.kill(pid, number)
    running.signal(signal.SIGUSR2)
    os.killpg(running.process.pid, signal.SIGUSR1)
    until(lambda: running.view().state == "halted")
    assert running.living() == before
    running.signal(signal.SIGTERM)
    _, said = running.ended()
    assert "most recent call first" in said
