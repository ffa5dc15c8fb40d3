"""`gscd sync full-history` ends where a site has no data any more, and not where the newest days are empty."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from gsc_daemon import plan

SetStage = Callable[..., Any]
FIRST = dt.date(2026, 3, 1)


def _end(pattern: str, run: int = 3) -> int | None:
    """Newest first: ``x`` has rows, ``.`` is empty, ``?`` is not published; gives the place of the end."""
    seen = [(FIRST - dt.timedelta(days=n), sign != "?", int(sign == "x")) for n, sign in enumerate(pattern)]
    found = plan.end_of_history(seen, run)
    return None if found is None else (FIRST - found).days


@pytest.mark.parametrize(
    ("pattern", "end"),
    [
        ("xx...??", 4),
        ("xx..x..", None),
        (".....xx??", None),  # a leading gap
        (".....x...?", 8),
        ("xx.?...", 6),
        ("xx..?.x", None),
        ("", None),
    ],
)
def test_only_a_run_of_empty_days_behind_rows_ends_it(pattern: str, end: int | None) -> None:
    assert _end(pattern) == end
    assert _end(pattern, run=0) is None


def test_days_before_the_first_of_a_site_are_not_asked_for(set_stage: SetStage) -> None:
    today = dt.datetime.now(dt.UTC).date()
    stage = set_stage(rows=100, about_sites={"first_day": today - dt.timedelta(days=20)})
    stage.settings(batch_size=1, workers=2)
    assert stage.gscd("sync", "full-history", "--yes").returncode == 0
    assert stage.finish() == 0
    held = {day.date for day in stage.held()}
    assert held >= {today - dt.timedelta(days=back) for back in range(2, 20 + 14)}
    assert min(held) > today - dt.timedelta(days=460)
    assert "days after them were empty" in stage.log()
