"""A play of many days: at its end every day is the truth at its last fetch, every defect is marked, and nothing else.

GSCD_TEST_LONG=1 also plays a year of one site and thirty days of twenty, which takes about half an hour.
"""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from passing_days import SETTINGS, TODAY, Play

from gsc_daemon.model import ROWS_PER_DAY

SetStage = Callable[..., Any]
SITES = ("sc-domain:example.com", "https://www.example.com/", "https://shop.example.com/a/")


LONG = pytest.mark.skipif(os.environ.get("GSCD_TEST_LONG") != "1", reason="half an hour; GSCD_TEST_LONG=1 plays it")


def _play(set_stage: SetStage, sites: tuple[str, ...], peaks: tuple[int, ...], rows: int) -> Play:
    dates = tuple(TODAY + dt.timedelta(days=number) for number in peaks)
    stage = set_stage(sites=sites, rows=rows, about_sites={"rows_vary": 0.5, "peaks": dates}, today=TODAY)
    stage.settings(sync=SETTINGS)
    return Play(stage)


def _holds(play: Play, peaks: int) -> None:
    """All is true and marked, and there was something to be marked."""
    assert list(play.differences()) == []
    assert len({day.date for day in play.expected if play.expected[day][0] == ROWS_PER_DAY}) == peaks
    with psycopg.connect(play.stage.dsn) as connection:
        assert connection.execute("SELECT count(*) > 0 FROM gsc.days WHERE suspect").fetchall() == [(True,)]
    reconciled = play.stage.gscd("reconcile")
    assert reconciled.returncode == 0, reconciled.stdout


@pytest.mark.timeout(300)
def test_days_pass_and_what_is_held_is_true(set_stage: SetStage) -> None:
    play = _play(set_stage, SITES, peaks=(1,), rows=400)
    play.day(emptied=(1, 1))
    play.day()
    play.day(lost=1)
    for number in range(12):
        play.day(restated=number % 2, late=number == 3)
    _holds(play, peaks=1)


@LONG
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(("sites", "days"), [(20, 30), (1, 365)], ids=["thirty days of twenty sites", "a year of one"])
def test_many_days_pass(set_stage: SetStage, sites: int, days: int) -> None:
    names = tuple(f"sc-domain:site{number}.example" for number in range(sites))
    play = _play(set_stage, names, peaks=(3, 9), rows=150)  # dates that are not emptied below
    for number in range(days):
        play.day(
            restated=number % 3 == 0,
            emptied=(number % 10 == 1, number % 10 == 5),
            lost=number % 9 == 4,
            late=number % 11 == 3,
        )
    for _ in range(4):
        play.day()
    _holds(play, peaks=2)
