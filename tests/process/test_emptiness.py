"""Days that come back empty, although totals or earlier rows say otherwise: asked again, then marked."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.model import EMPTY_ASKS

SetStage = Callable[..., Any]
TODAY = pacific_today(SystemClock())
DATE = TODAY - dt.timedelta(days=3)


def _asked(stage: Any) -> int:
    """How often the rows of the date were asked for."""
    asked = [call["fetch"] for call in stage.emulator.requests() if call["fetch"]]
    return sum(1 for one in asked if one["dates"] == str(DATE) and "query" in one["shape"])


def _marks(stage: Any) -> list[tuple[Any, ...]]:
    with psycopg.connect(stage.dsn) as connection:
        return connection.execute(
            "SELECT report, row_count > 0, kept, suspect FROM gsc.days WHERE date = %s ORDER BY report", [DATE]
        ).fetchall()


def _pass(stage: Any, days: int) -> None:
    stage.pass_to(TODAY + dt.timedelta(days=days))
    assert stage.finish() == 0


@pytest.fixture
def stage(set_stage: SetStage) -> Any:
    built = set_stage(rows=200, today=TODAY)
    built.settings(sync='every = "1h"\nlookback_days = 0')
    return built


def _go_empty(stage: Any) -> None:
    site = stage.sites[0]
    stage.emulator.configure(faults=[{"kind": "empty", "rate": 1.0, "site": site, "date": DATE, "rows": True}])


def test_an_empty_day_with_totals_is_asked_for_seven_times_and_marked(stage: Any) -> None:
    _go_empty(stage)
    _pass(stage, 0)
    for day in range(1, EMPTY_ASKS):
        _pass(stage, day)
    assert _marks(stage) == [("query_page", False, False, False), ("totals", True, False, False)]
    _pass(stage, EMPTY_ASKS)
    assert _marks(stage) == [("query_page", False, False, True), ("totals", True, False, False)]
    asked = _asked(stage)
    _pass(stage, EMPTY_ASKS + 1)
    assert _asked(stage) == asked == 1 + EMPTY_ASKS
    events = stage.log().count("was asked 7 times more")
    assert events == 1


def test_what_was_there_stays_and_rows_that_come_back_clear_the_mark(stage: Any) -> None:
    _pass(stage, 0)
    _go_empty(stage)
    assert stage.gscd("sync", "range", "--from", str(DATE), "--to", str(DATE), "--force").returncode == 0
    for day in range(1, EMPTY_ASKS + 2):
        _pass(stage, day)
    assert _marks(stage) == [("query_page", True, True, True), ("totals", True, False, False)]
    stage.emulator.configure(faults=[])
    assert stage.gscd("sync", "range", "--from", str(DATE), "--to", str(DATE), "--force").returncode == 0
    assert stage.finish() == 0
    assert _marks(stage) == [("query_page", True, False, False), ("totals", True, False, False)]


def test_rows_are_held_against_the_totals(stage: Any) -> None:
    _pass(stage, 0)
    (truth,) = stage.emulator.truth(stage.sites[0], DATE, DATE)
    with psycopg.connect(stage.dsn) as connection:
        covered = connection.execute(
            "SELECT click_coverage, impression_coverage FROM gsc.days WHERE date = %s ORDER BY report", [DATE]
        ).fetchall()
    assert covered[0] == (
        pytest.approx(truth["clicks"] / truth["total_clicks"]),
        pytest.approx(truth["impressions"] / truth["total_impressions"]),
    )
    assert covered[1] == (1.0, 1.0)
