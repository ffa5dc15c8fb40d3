"""`gscd halt` and `gscd resume` with a real ledger: told if it can be, never waited for."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from gsc_daemon import halt
from gsc_daemon.cli import halt as command
from gsc_daemon.clock import SystemClock
from gsc_daemon.model import HaltState

ledger_module = pytest.importorskip("gsc_daemon.ledger")


def make(folder: Path) -> None:
    ledger_module.open_ledger(folder / "ledger.db", SystemClock(), create=True).close()


def state(folder: Path) -> HaltState:
    ledger = ledger_module.open_ledger(folder / "ledger.db", SystemClock())
    try:
        return ledger.halt_state()
    finally:
        ledger.close()


def test_both_are_told_and_both_are_cleared(gscd: Callable[..., object], folder: Path) -> None:
    make(folder)
    assert gscd("halt", "--reason", "moving", "--json").data["held_by"] == ["file", "ledger"]
    got = state(folder)
    assert (got.halted, got.reason) == (True, "moving")
    assert gscd("resume", "--json").data["was_halted"] is True
    assert not state(folder).halted
    assert not halt.present(folder / "HALT")


def test_a_locked_ledger_is_not_waited_for(
    gscd: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "LEDGER_PATIENCE", 0.1)
    monkeypatch.setattr(command, "RESUME_PATIENCE", 0.1)
    make(folder)
    holder = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        said = gscd("halt", "--json")
        assert (said.code, said.data["held_by"]) == (0, ["file"])
        assert said.err.startswith("the ledger could not be told (")
        assert said.err.endswith("); the halt file is enough\n")
        said = gscd("resume")
        assert said.code == 69
        assert said.err.startswith("gscd: still halted, nothing has changed: ")
        assert halt.present(folder / "HALT")
    finally:
        holder.close()
    assert gscd("resume").code == 0
    assert not halt.present(folder / "HALT")


def test_a_broken_ledger_does_not_keep_anyone_from_halting(gscd: Callable[..., object], folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"not a database " * 1000)
    said = gscd("halt", "--json")
    assert (said.code, said.data["held_by"]) == (0, ["file"])
    assert "the ledger could not be told (" in said.err


def test_without_the_file_the_ledger_holds_the_halt(gscd: Callable[..., object], folder: Path) -> None:
    settings = folder / "gscd.toml"
    settings.write_text(settings.read_text().replace('"HALT"', '"none/HALT"'))
    make(folder)
    said = gscd("halt", "--json")
    assert (said.code, said.data["held_by"]) == (0, ["ledger"])
    assert said.err.endswith("; the ledger holds the halt\n")
    assert state(folder).halted


def test_the_measured_average_is_shown(gscd: Callable[..., object], folder: Path) -> None:
    make(folder)
    ledger = ledger_module.open_ledger(folder / "ledger.db", SystemClock())
    ledger.note_batch(1, 1, "sc-domain:example.com", 10, 1.0, "ok")
    ledger.close()
    said = gscd("config", "check")
    assert said.code == 0
    assert "= 1,800 a minute, over 1,200: the limiter holds them back" in said.err
