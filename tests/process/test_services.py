"""Postgres or Redis away, at the start or in the middle: nothing exits, no attempt is spent, work goes on by itself."""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import SinkUnavailable
from gsc_daemon.ledger import open_ledger
from gsc_daemon.pipeline.services import Services

SetStage = Callable[..., Any]
Until = Callable[..., None]
DAYS = 10


@pytest.mark.parametrize("which", ["postgres", "redis"])
def test_a_service_away_at_the_start_is_waited_for(
    set_stage: SetStage, own_servers: Any, until: Until, which: str
) -> None:
    postgres, redis = own_servers
    stage = set_stage(rows=500, dsn=postgres.create_database("away"), redis=redis.url)
    stage.wanted(DAYS)
    server = postgres if which == "postgres" else redis
    server.stop()
    daemon = stage.daemon("--until-idle")
    until(lambda: stage.ask("SELECT service FROM outages"), "an outage in the ledger")
    assert stage.queries() == 0
    assert daemon.poll() is None
    said = stage.gscd("status")
    assert ("Postgres" if which == "postgres" else "Redis") in said.stdout + said.stderr
    server.start()
    assert daemon.wait(timeout=90) == 0
    assert stage.differences(DAYS) == []
    assert stage.ask("SELECT * FROM outages") == []


@pytest.mark.parametrize("which", ["postgres", "redis"])
def test_a_service_killed_in_the_middle_costs_no_attempt(
    set_stage: SetStage, own_servers: Any, until: Until, which: str
) -> None:
    postgres, redis = own_servers
    stage = set_stage(rows=5_000, dsn=postgres.create_database("killed"), redis=redis.url, latency_median_s=0.3)
    stage.wanted(4 * DAYS)
    daemon = stage.daemon("--until-idle")
    until(lambda: len(stage.held()) >= 6, "published days")
    server = postgres if which == "postgres" else redis
    server.kill()
    until(lambda: stage.ask("SELECT service FROM outages"), "an outage in the ledger")
    server.start()
    assert daemon.wait(timeout=90) == 0
    assert stage.differences(4 * DAYS) == []
    assert stage.ask("SELECT count(*) FROM item WHERE failures > 0 OR crashes > 0") == [(0,)]


def test_a_second_daemon_is_refused(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(rows=500)
    daemon = stage.daemon()
    until(lambda: stage.view().state == "running", "a running daemon")
    second = stage.gscd("run")
    assert second.returncode == 75
    assert f"pid {daemon.pid}" in second.stderr


def test_another_ledger_on_the_same_sink_is_refused_until_it_takes_over(set_stage: SetStage) -> None:
    stage = set_stage(rows=500)
    stage.wanted(2)
    assert stage.finish() == 0
    asked = stage.queries()
    for file in stage.folder.glob("ledger.db*"):
        file.unlink()
    stage.wanted(2)
    assert stage.finish() == 78
    assert "--take-over" in stage.log()
    assert stage.daemon("--until-idle", "--take-over").wait(timeout=60) == 0
    assert stage.queries() == asked


def test_more_workers_by_reload(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(rows=500)
    stage.settings(workers=1)
    stage.daemon()
    until(lambda: stage.view().state == "running", "a running daemon")
    assert len(stage.workers()) == 1
    stage.settings(workers=4)
    assert stage.gscd("reload").returncode == 0
    until(lambda: len(stage.workers()) == 4, "four workers")


def test_the_whole_unit_may_be_signalled(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(rows=500)
    daemon = stage.daemon()
    until(lambda: stage.view().state == "running", "a running daemon")
    before = sorted(stage.workers())
    for pid in stage.children(daemon):
        for number in (signal.SIGUSR1, signal.SIGHUP, signal.SIGUSR2, signal.SIGTERM):
            stage.signal(pid, number)
    stage.signal(daemon.pid, signal.SIGUSR1)
    until(lambda: stage.view().state == "halted", "a halted daemon")
    assert sorted(stage.workers()) == before


def test_what_one_worker_noted_is_cleared_by_any_that_gets_an_answer(tmp_path: Path) -> None:
    """The one that noted it may have nothing more to do, and never ask again."""
    with closing(open_ledger(tmp_path / "ledger.db", SystemClock(), create=True)) as ledger:
        noting, other = Services(ledger), Services(ledger)
        other.back("sink")
        noting.away("sink", SinkUnavailable("Postgres does not answer"))
        assert list(ledger.outages()) == ["sink"]
        other.back("sink")
        assert list(ledger.outages()) == []
