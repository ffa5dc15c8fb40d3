"""A halt reaches everything, with requests or Postgres hanging too; `resume` finishes the work."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

SetStage = Callable[..., Any]
Until = Callable[..., None]
DAYS = 12


def test_a_halt_with_requests_hanging_is_awaited_and_resume_finishes(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(rows=2_000)
    stage.emulator.configure(faults=[{"kind": "hang", "rate": 1.0, "seconds": 60.0}])
    stage.wanted(DAYS)
    daemon = stage.daemon("--until-idle")
    until(lambda: stage.emulator.stats()["in_flight"] >= 12, "requests in flight")
    said = stage.gscd("halt", "--reason", "a test", "--wait")
    assert said.returncode == 0, said.stderr
    assert {worker.state for worker in stage.view().workers} <= {"halted"}
    assert stage.ask("SELECT count(*) FROM leases") == [(0,)]
    assert stage.ask("SELECT count(*) FROM item WHERE failures > 0") == [(0,)]
    until(lambda: stage.emulator.stats()["in_flight"] == 0, "an end of all requests")
    assert daemon.wait(timeout=30) == 75
    stage.emulator.configure(faults=[])
    assert stage.gscd("resume").returncode == 0
    assert stage.finish() == 0
    assert stage.differences(DAYS) == []


def test_a_halt_with_postgres_frozen_is_awaited(set_stage: SetStage, own_servers: Any, until: Until) -> None:
    postgres, _ = own_servers
    stage = set_stage(rows=26_000, dsn=postgres.create_database("frozen"))
    stage.wanted(DAYS)
    daemon = stage.daemon()
    until(lambda: len(stage.held()) >= 2, "published days")
    postgres.freeze()
    try:
        said = stage.gscd("halt", "--wait")
        assert said.returncode == 0, said.stderr
    finally:
        postgres.thaw()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=30) == 0
    stage.gscd("resume")
    assert stage.finish() == 0
    assert stage.differences(DAYS) == []


def test_a_halt_in_the_ledger_alone_holds_too(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(rows=500)
    stage.wanted(DAYS)
    assert stage.gscd("halt").returncode == 0
    (stage.folder / "HALT").unlink()
    daemon = stage.daemon()
    until(lambda: stage.view().state == "halted", "a halted daemon")
    assert stage.held() == []
    assert json.loads(stage.gscd("status", "--json").stdout)["verdict"]["kind"] == "halted"
    assert stage.gscd("resume").returncode == 0
    until(lambda: len(stage.held()) == 2 * DAYS, "all days")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=30) == 0


def test_drain_finishes_what_is_leased_and_takes_nothing_new(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(rows=2_000, latency_median_s=0.5, latency_p99_s=0.6)
    stage.wanted(60)
    daemon = stage.daemon()
    until(lambda: stage.emulator.stats()["in_flight"] >= 6, "requests in flight")
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=30) == 0
    assert 0 < len(stage.held()) < 120
    assert stage.ask("SELECT count(*) FROM leases") == [(0,)]
    assert stage.finish() == 0
    assert stage.differences(60) == []
