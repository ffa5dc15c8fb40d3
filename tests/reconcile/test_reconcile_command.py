"""`gscd reconcile` on what the real daemon has fetched: exit codes, words, JSON, repair, and a daemon at work."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest

from gsc_daemon import cli
from gsc_daemon.demo.stage import Stage, stage
from gsc_daemon.emulator import EmulatorConfig, SiteSpec

SITE = "sc-domain:example.com"


@pytest.fixture(scope="module")
def made(postgres_server: object, redis_server: object) -> Iterator[Stage]:
    """Five days, fetched by the daemon; skipped where there are no servers."""
    with stage(EmulatorConfig(sites=(SiteSpec(SITE, rows_per_day=200),))) as running:
        running.gscd("sync", "range", "--from", "2026-11-01", "--to", "2026-11-05", "--yes")
        running.gscd("run", "--until-idle")
        yield running


@dataclass
class Said:
    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def reconcile(made: Stage, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    def run(*words: str) -> Said:
        capfd.readouterr()
        code = cli.run(["--config", str(made.config), "reconcile", *words])
        return Said(code, *capfd.readouterr())

    return run


def harm(made: Stage, statement: str) -> None:
    with psycopg.connect(made.postgres.dsn, options="-c search_path=gsc") as connection:
        connection.execute(statement.encode())


def test_what_the_daemon_has_fetched_is_clean(reconcile: Callable[..., Said]) -> None:
    said = reconcile()
    assert said == Said(0, "Clean: ledger and Postgres agree on 10 days of 1 site, 1,005 rows\n", "")
    said = reconcile("--site", SITE, "--from", "2026-11-02", "--to", "2026-11-03", "--json")
    assert said.code == 0
    assert said.data == {
        "clean": True, "days": 4, "rows": 402, "sites": 1, "under_way": 0, "counts": {}, "differences": [],
    }  # fmt: skip


def test_the_spot_check_agrees_with_the_api(reconcile: Callable[..., Said]) -> None:
    said = reconcile("--spot-check")
    assert (said.code, said.err) == (0, "")
    assert "URLs with " in said.out
    assert said.out.endswith(" rows are as Google gives them now\n")
    told = reconcile("--spot-check", "10", "--json").data["spot_check"]
    assert 0 < told["urls"] <= 10
    assert (told["faults"], told["differing"]) == (0, [])


def test_differences_are_told_and_repaired_by_the_daemon(made: Stage, reconcile: Callable[..., Said]) -> None:
    harm(made, "DELETE FROM query_page WHERE date = '2026-11-02' AND device = 'MOBILE'")
    harm(made, "UPDATE query_page SET clicks = clicks + 1 WHERE date = '2026-11-03'")
    harm(made, "DELETE FROM receipts WHERE date = '2026-11-04' AND report = 'totals'")
    harm(made, "DELETE FROM totals WHERE date = '2026-11-04'")
    said = reconcile()
    assert said.code == 1
    verdict, heading, *lines = said.out.splitlines()
    assert verdict.startswith("Not clean: 3 days differ; compared were 10 days of 1 site, ")
    assert heading.split()[:2] == ["difference", "days"]
    assert [line.split()[:2] for line in lines[:3]] == [["missing", "1"], ["partial", "1"], ["altered", "1"]]
    assert f"  missing: {SITE} 2026-11-04 totals web: published with 1 row (generation 1), but not in Postgres" in lines
    assert "--repair" in said.err
    spots = reconcile("--spot-check", "30", "--json")
    assert spots.code == 1
    assert spots.data["spot_check"]["faults"] > 0
    assert spots.data["counts"] == {"missing": 1, "partial": 1, "altered": 1}

    said = reconcile("--repair")
    assert said.code == 1
    assert "Repair: 3 days planned again; the daemon does the rest\n" in said.out
    waiting = reconcile("--json")
    assert (waiting.code, waiting.data["under_way"]) == (0, 3)
    made.gscd("run", "--until-idle")
    said = reconcile("--spot-check", "30")
    assert said.code == 0, said.out


def test_a_gap_is_found_and_closed(made: Stage, reconcile: Callable[..., Said]) -> None:
    made.gscd("sync", "range", "--from", "2026-10-30", "--to", "2026-10-30", "--yes")
    made.gscd("run", "--until-idle")
    said = reconcile("--repair", "--json")
    assert (said.code, said.data["counts"], said.data["repair"]["planned"]) == (1, {"gap": 2}, 2)
    made.gscd("run", "--until-idle")
    assert reconcile().code == 0


def test_what_cannot_be_compared_is_said(made: Stage, reconcile: Callable[..., Said]) -> None:
    said = reconcile("--site", "sc-domain:exampel.com")
    assert (said.code, said.out) == (2, "")
    assert f"Did you mean {SITE}?" in said.err
    assert reconcile("--from", "2026-11-03", "--to", "2026-11-02").code == 2
    made.gscd("halt")
    try:
        assert reconcile().code == 0  # looking is no work
        assert reconcile("--spot-check", "3").code == 75
    finally:
        made.gscd("resume")
    made.postgres.stop()
    try:
        assert reconcile().code == 69
    finally:
        made.postgres.start()


def test_another_ledgers_postgres_is_not_compared(made: Stage, reconcile: Callable[..., Said]) -> None:
    harm(made, "UPDATE owner SET ledger_id = 'x' || ledger_id")
    try:
        said = reconcile("--repair")
    finally:
        harm(made, "UPDATE owner SET ledger_id = substr(ledger_id, 2)")
    assert said.code == 78
    assert "run --take-over" in said.err


def test_a_daemon_at_work_is_no_difference(made: Stage, reconcile: Callable[..., Said]) -> None:
    """Again and again while days come in and are fetched afresh; never is one of them called wrong."""
    made.gscd("sync", "range", "--from", "2026-10-01", "--to", "2026-10-29", "--yes")
    made.gscd("sync", "range", "--from", "2026-10-30", "--to", "2026-11-05", "--force", "--yes")
    looks, busy = 0, 0
    with made.daemon("--until-idle") as process:
        while process.poll() is None:
            said = reconcile("--json")
            assert said.code == 0, said.out
            looks, busy = looks + 1, busy + bool(said.data["under_way"])
    assert process.returncode == 0
    assert looks >= busy > 3
    said = reconcile("--json")
    assert (said.code, said.data["days"], said.data["under_way"]) == (0, 2 * 36, 0)


def test_progress_is_shown_on_a_terminal_only(made: Stage) -> None:
    command = [sys.executable, "-m", "gsc_daemon", "--config", str(made.config), "reconcile"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")
