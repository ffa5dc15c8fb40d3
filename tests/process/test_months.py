"""A worker that has had nothing to do for a while sums the months that were published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

SetStage = Callable[..., Any]


def _waiting(stage: Any) -> int:
    with psycopg.connect(stage.dsn) as connection:
        row = connection.execute("SELECT count(*) FROM gsc.months WHERE NOT rolled_up").fetchone()
        assert row is not None
        return int(row[0])


def test_months_are_summed_in_a_quiet_moment_and_no_sooner(set_stage: SetStage, until: Callable[..., None]) -> None:
    stage = set_stage(rows=100)
    stage.settings()
    stage.wanted(40)
    assert stage.finish() == 0
    published = _waiting(stage)
    assert published >= 2  # the daemon left as soon as it was idle
    daemon = stage.daemon()
    until(lambda: _waiting(stage) == 0, "the last sum", seconds=60)
    daemon.terminate()
    assert daemon.wait(timeout=30) == 0
    assert "sums.late" not in stage.log()
