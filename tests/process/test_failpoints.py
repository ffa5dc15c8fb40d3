"""Broken at every commit and hand-over, each way: nothing is lost, doubled or altered, and held days are left alone.

`scripts/failpoints --times 50` does the same again and again, and reports. The run in which everybody stands still at
every point, past its lease, takes minutes and is made only there.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from failpoint_charges import Charges, points_in_the_code
from failpoint_report import Report

from gsc_daemon.failpoint import POINTS, VARIABLE

SetStage = Callable[..., Any]
SITES = ("sc-domain:example.com", "sc-domain:example.org", "sc-domain:example.net")
ROWS = (25_010, 40, 40)
DAYS = 6
TIMES = int(os.environ.get("GSCD_TEST_FAILPOINT_TIMES", "0"))
EMPTY_LONG_AGO = """UPDATE day SET row_count = 0, published_ms = 1, asked_again_ms = NULL, empty_asks = 0
WHERE report = 'query_page' AND state = 'published'"""
COMMANDS = frozenset(
    f"{verb}.{side}"
    for verb in (
        "ledger.add_days",
        "ledger.cancel_days",
        "ledger.forget_site",
        "ledger.halt",
        "ledger.mark_missing",
        "ledger.migrate",
        "ledger.requeue_quarantined",
        "ledger.resume",
        "ledger.seed",
        "ledger.unpark_site",
        "sink.forget",
    )
    for side in ("before", "after")
)
PLANNING = frozenset(f"ledger.{verb}.{side}" for verb in ("ask_again", "watch") for side in ("before", "after"))
RAISING = {point for point, raises in points_in_the_code().items() if raises}
HOWS = ("kill", "raise", "stop")
FAULTS: dict[str, dict[str, Any]] = {  # what leads to these verbs of the ledger and the budget
    "load_refused": {"kind": "load", "times": 3},
    "park_site": {"kind": "forbidden", "times": 3},
    "note_outage": {"kind": "disabled", "times": 3},
    "save_pace": {"kind": "qps", "times": 3},
    "slow": {"kind": "429", "times": 3},
    "probe_failed": {"kind": "503", "times": 6},
    "chore_failed": {"kind": "500", "times": 1, "path": "sites"},
}
ROUNDS = range(max(1, TIMES))
REPORT = Report()


def test_the_list_of_points_is_what_the_code_has() -> None:
    assert sorted(points_in_the_code()) == sorted(POINTS)
    assert set(POINTS) >= COMMANDS


def test_nothing_is_armed_without_the_variable(set_stage: SetStage, tmp_path: Path) -> None:
    charges = Charges(tmp_path / "points")
    charges.lay(POINTS, "kill", chance=random.Random(0))
    stage = set_stage(rows=40)
    stage.wanted(2)
    assert stage.finish() == 0
    assert charges.left() == set(POINTS)


class Marathon:
    """A daemon under work of every kind, until every charge has gone off."""

    def __init__(self, stage: Any, charges: Charges, redis: Any, chance: random.Random) -> None:
        self.stage, self.charges, self.redis, self.chance = stage, charges, redis, chance
        self.daemon: subprocess.Popen[str] | None = None
        self.recoveries: list[float] = []

    def run(self, seconds: float) -> None:
        deadline = time.monotonic() + seconds
        cycle = 0
        while self.charges.left():
            assert time.monotonic() < deadline, f"never reached: {sorted(self.charges.left())}"
            self._keep_alive()
            self._provoke(cycle)
            cycle += 1
            self._watch(0.7)
        self._watch(0.5)

    def _keep_alive(self) -> None:
        if self.daemon is None or self.daemon.poll() is not None:
            self.daemon = self.stage.daemon()

    def _watch(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.charges.wake()
            self._keep_alive()
            time.sleep(0.1)

    def _provoke(self, cycle: int) -> None:
        """What makes the rarer points come."""
        stage = self.stage
        verbs = {point.split(".")[1] for point in self.charges.left()}
        faults = [fault for verb, fault in FAULTS.items() if verb in verbs]
        self.chance.shuffle(faults)
        stage.emulator.configure(faults=[*faults, {"kind": self.chance.choice(("503", "429", "reset")), "times": 1}])
        self._make_due()
        with contextlib.suppress(subprocess.TimeoutExpired):
            stage.gscd("sync", "range", *stage.span(DAYS), "--force", timeout=20)
        if cycle % 2:
            self._signal(signal.SIGTERM if cycle % 4 == 1 else signal.SIGHUP)
            if cycle % 4 == 3:
                self.redis.flush()
        else:
            workers = stage.workers()
            if workers:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(self.chance.choice(workers), signal.SIGKILL)

    def _make_due(self) -> None:
        """Chores at once, no site stays parked, as if hours had gone by; and what a worker noted that is dead."""
        with contextlib.suppress(sqlite3.OperationalError):
            edit(
                self.stage,
                "UPDATE chore SET due_ms = 0",
                "UPDATE frontier SET due_ms = 0",
                "INSERT INTO outage VALUES ('sink', 0, 'Postgres does not answer') ON CONFLICT DO NOTHING",
                "UPDATE site SET parked_until_ms = 0 WHERE parked_until_ms IS NOT NULL",
            )

    def _signal(self, number: int) -> None:
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.send_signal(number)

    def end(self) -> None:
        """The last daemon leaves, whatever state it is in."""
        self.charges.remove()
        until = time.monotonic() + 60
        self._signal(signal.SIGTERM)
        while self.daemon is not None and self.daemon.poll() is None:
            assert time.monotonic() < until, "the daemon does not leave"
            self.charges.wake()
            time.sleep(0.05)


def edit(stage: Any, *statements: str) -> None:
    """By hand, as an operator would in `gscd ledger shell --write`."""
    with contextlib.closing(sqlite3.connect(stage.folder / "ledger.db", timeout=1, isolation_level=None)) as ledger:
        for statement in statements:
            ledger.execute(statement)


def settle(stage: Any) -> None:
    """The end of every run: no charges, no faults, whatever was parked, halted or set aside goes on."""
    stage.emulator.configure(faults=[])
    stage.gscd("resume")
    for site in stage.sites:
        stage.gscd("sites", "unpark", site)
    stage.gscd("ledger", "requeue")
    stage.wanted(DAYS)
    assert stage.finish() == 0, stage.log()


def audit(stage: Any) -> None:
    assert stage.differences(DAYS) == []
    assert stage.ask("SELECT count(*) FROM item WHERE state = 'leased'") == [(0,)]
    asked = stage.queries()
    stage.wanted(DAYS)
    assert stage.finish() == 0
    assert stage.queries() == asked, "held days were fetched again"
    assert stage.gscd("reconcile").returncode == 0


def build(set_stage: SetStage, tmp_path: Path, rows: tuple[int, ...]) -> tuple[Any, Charges]:
    charges = Charges(tmp_path / "points")
    stage = set_stage(sites=SITES, rows=rows)
    stage.variables[VARIABLE] = str(charges.folder)
    stage.last += dt.timedelta(days=5)  # young enough for Google to be asked how far its data are final
    return stage, charges


def reachable(how: str) -> set[str]:
    return RAISING if how == "raise" else set(POINTS)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("how", HOWS if TIMES else ("kill", "raise"))
def test_a_daemon_broken_at_every_point(
    set_stage: SetStage, redis_server: Any, tmp_path: Path, how: str, number: int
) -> None:
    chance = random.Random(number)
    stage, charges = build(set_stage, tmp_path, ROWS)
    stage.wanted(DAYS)
    marathon = Marathon(stage, charges, redis_server, chance)
    charges.lay(reachable(how) - COMMANDS - PLANNING, how, latest=2 if number else 1, chance=chance)
    marathon.run(400.0 if how == "stop" else 150.0)
    marathon.end()
    settle(stage)
    audit(stage)
    REPORT.add(how, charges.spent())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("how", HOWS)
def test_a_daemon_that_plans_by_itself_broken(
    set_stage: SetStage, until: Callable[..., None], tmp_path: Path, how: str, number: int
) -> None:
    stage, charges = build(set_stage, tmp_path, (40, 40, 40))
    stage.wanted(DAYS)
    assert stage.finish() == 0
    stage.variables["GSCD_SYNC__EVERY"] = "6h"
    charges.lay(PLANNING, how, chance=random.Random(number))
    daemon = stage.daemon()

    def all_gone_off() -> bool:
        charges.wake()
        with contextlib.suppress(sqlite3.OperationalError):
            edit(stage, "UPDATE chore SET due_ms = 0", EMPTY_LONG_AGO)
        return not charges.left() and not any(charges.standing())

    until(all_gone_off, "all charges spent", seconds=200.0)
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=60) == 0
    del stage.variables["GSCD_SYNC__EVERY"]
    settle(stage)
    assert [one for one in stage.differences(DAYS) if not one.endswith("is too many")] == []
    REPORT.add(how, charges.spent())


@pytest.mark.timeout(400)
@pytest.mark.parametrize("number", ROUNDS)
@pytest.mark.parametrize("how", HOWS)
def test_a_command_broken_at_every_point(set_stage: SetStage, tmp_path: Path, how: str, number: int) -> None:
    stage, charges = build(set_stage, tmp_path, (40, 40, 40))
    stage.wanted(DAYS)
    assert stage.finish() == 0
    for point in sorted(COMMANDS & reachable(how)):
        prepare, words = command_at(stage, point)
        prepare()
        charges.lay([point], how, chance=random.Random(number))
        break_command(stage, charges, words)
        assert charges.left() == set(), f"{words} did not come to {point}"
        assert stage.gscd(*words).returncode in (0, 1, 2), words  # 2: it is forgotten already
    settle(stage)
    audit(stage)
    REPORT.add(how, charges.spent())


def command_at(stage: Any, point: str) -> tuple[Callable[[], object], tuple[str, ...]]:
    """What leads up to it, and the command that comes to the point."""
    site = SITES[2]
    match point.split(".")[:2]:
        case ["ledger", "add_days"]:
            return nothing, ("sync", "range", *stage.span(DAYS), "--force")
        case ["ledger", "cancel_days"]:
            return nothing, ("cancel",)
        case ["ledger", "halt"]:
            return nothing, ("halt",)
        case ["ledger", "resume"]:
            return lambda: stage.gscd("halt"), ("resume",)
        case ["ledger", "unpark_site"]:
            return lambda: stage.gscd("sites", "park", SITES[0]), ("sites", "unpark", SITES[0])
        case ["ledger", "requeue_quarantined"]:
            return nothing, ("ledger", "requeue")
        case ["ledger", "mark_missing"]:
            return lambda: lose_a_day(stage), ("reconcile", "--repair")
        case ["ledger", "migrate" | "seed"]:
            return nothing, ("ledger", "rebuild", "--yes")
        case _:
            return lambda: make_known(stage, site), ("sites", "forget", site, "--purge", "--yes")


def nothing() -> None:
    """No preparation."""


def make_known(stage: Any, site: str) -> None:
    stage.wanted(DAYS, "--site", site)
    assert stage.finish() == 0


def lose_a_day(stage: Any) -> None:
    """As after the restore of an older backup."""
    with psycopg.connect(stage.dsn, autocommit=True) as postgres:
        postgres.execute("DELETE FROM gsc.query_page WHERE date = (SELECT max(date) FROM gsc.receipts)")
        postgres.execute("DELETE FROM gsc.receipts WHERE date = (SELECT max(date) FROM gsc.receipts)")


def break_command(stage: Any, charges: Charges, words: tuple[str, ...]) -> None:
    process = stage.start(*words)
    until = time.monotonic() + 60
    while process.poll() is None:
        assert time.monotonic() < until, f"{words} does not end"
        charges.wake()
        time.sleep(0.02)
