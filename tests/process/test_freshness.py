"""Days as they pass: what is fresh changes until Google calls it final, as Google itself tells."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.sink import PostgresSink

SetStage = Callable[..., Any]
TODAY = pacific_today(SystemClock())
SITE = "sc-domain:example.com"
ITSELF = 'every = "1h"'  # the daemon plans by itself, so once in each run


def _held(stage: Any) -> dict[dt.date, Any]:
    sink = PostgresSink(stage.dsn, "gsc")
    try:
        found = [one for one in sink.audit(None, None, None, digests=True) if one.day.report == "query_page"]
        return {one.day.date: one for one in found}
    finally:
        sink.close()


def _wrong(stage: Any) -> list[str]:
    """Days that are not what Google has now, or not as far as Google has them."""
    held = _held(stage)
    wrong = []
    for truth in stage.emulator.truth(SITE, min(held), max(held)):
        day = held[dt.date.fromisoformat(truth["date"])]
        is_now = (day.rows, day.clicks, day.impressions, day.digest, day.receipt.state == "final")
        if is_now != tuple(truth[name] for name in ("rows", "clicks", "impressions", "digest", "final")):
            wrong.append(f"{day} is not {truth}")
    return wrong


@pytest.mark.parametrize("metadata", ["camel", "snake"])
def test_each_day_is_fetched_again_until_google_calls_it_final(set_stage: SetStage, metadata: str) -> None:
    stage = set_stage(rows=500, today=TODAY, metadata=metadata)
    stage.settings(sync=ITSELF)
    for passed, lag in enumerate((3, 3, 5, 6, 4)):  # Google is late, then catches up
        stage.pass_to(TODAY + dt.timedelta(days=passed), final_lag_days=lag)
        assert stage.finish() == 0
        assert _wrong(stage) == []
    assert max(_held(stage)) == TODAY + dt.timedelta(days=4)


def test_final_days_beyond_the_lookback_are_left_alone(set_stage: SetStage) -> None:
    stage = set_stage(rows=500, today=TODAY)
    stage.settings(sync=ITSELF + '\nnew_sites = "20d"')
    stage.pass_to(TODAY)
    assert stage.finish() == 0
    before = {date: day.receipt.generation for date, day in _held(stage).items()}
    stage.pass_to(TODAY + dt.timedelta(days=1))
    assert stage.finish() == 0
    again = {date for date, day in _held(stage).items() if day.receipt.generation > before.get(date, 0)}
    # by what was final yesterday: Google is asked when the first of them are fetched
    assert again == {TODAY + dt.timedelta(days=1 - back) for back in range(1 + 3 + 4)}


def test_what_google_restates_is_had_by_force(set_stage: SetStage) -> None:
    stage = set_stage(rows=500)
    stage.wanted(3)
    assert stage.finish() == 0
    first, last = min(_held(stage)), max(_held(stage))
    stage.emulator.restate(SITE, first, last)
    assert len(_wrong(stage)) == 3
    stage.wanted(3, "--force")
    assert stage.finish() == 0
    assert _wrong(stage) == []
