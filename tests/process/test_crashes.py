"""kill -9 of anyone at any time: nothing is lost, doubled or altered, and what Postgres holds is not fetched again."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

SetStage = Callable[..., Any]
Until = Callable[..., None]
DAYS = 24


def held_days(stage: Any) -> set[tuple[str, str]]:
    """Report and date of each day that Postgres holds."""
    return {(day.report, str(day.date)) for day in stage.held()}


def asked(stage: Any) -> dict[tuple[str, str], int]:
    """Report and date → how often its first row was asked for."""
    fetches = stage.emulator.stats()["fetches"]
    return {
        ("query_page" if one["shape"] else "totals", one["dates"]): one["asked"]
        for one in fetches
        if one["start_row"] == 0
    }


@pytest.mark.parametrize("whom", ["worker", "coordinator", "supervisor"])
def test_a_kill_in_mid_backfill_costs_nothing(set_stage: SetStage, until: Until, whom: str) -> None:
    stage = set_stage(rows=26_000, latency_median_s=0.2, latency_p99_s=0.5)
    stage.wanted(DAYS)
    daemon = stage.daemon("--until-idle")
    until(lambda: len(stage.held()) >= 6, "six published days")
    held = held_days(stage)
    if whom == "worker":
        for pid in stage.workers():
            os.kill(pid, signal.SIGKILL)
    elif whom == "coordinator":
        others = {*stage.workers()}
        for pid in stage.children(daemon):
            if pid not in others:
                os.kill(pid, signal.SIGKILL)
    else:
        daemon.kill()
        daemon.wait()
        daemon = stage.daemon("--until-idle")
    assert daemon.wait(timeout=90) == 0
    assert stage.differences(DAYS) == []
    again = {day: times for day, times in asked(stage).items() if times > 1 and day in held}
    assert again == {}
