"""What the demo counts as right, when it refuses to begin, and what it says when a row is wrong."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import shutil
from typing import Any

import msgspec
import pytest

from gsc_daemon import cli
from gsc_daemon.cli import demo as command
from gsc_daemon.demo import Drilled, Outcome, room_needed, whole
from gsc_daemon.demo.whole import against_truth
from gsc_daemon.model import Day, Held

DATE = dt.date(2026, 10, 1)
TRUTH = [{"date": "2026-10-01", "rows": 5, "clicks": 3, "impressions": 9, "digest": 77}]
HELD = Held(Day("sc-domain:example.com", "query_page", "web", DATE), None, 5, 3, 9, 77)
OUTCOME = Outcome(
    days=150, rows=6_000_000, seconds=60.0, requests=450, mean_qpm=450.0, most_qpm=450, slice_days=8,
    slice_seconds=16.0, memory=300_000_000, missing=0, double=0, altered=0, differences=0,
)  # fmt: skip


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (HELD, (0, 0, 0)),
        (None, (5, 0, 0)),
        (msgspec.structs.replace(HELD, rows=3), (2, 0, 0)),
        (msgspec.structs.replace(HELD, rows=6), (0, 1, 0)),
        (msgspec.structs.replace(HELD, clicks=4), (0, 0, 1)),
        (msgspec.structs.replace(HELD, impressions=8), (0, 0, 1)),
        (msgspec.structs.replace(HELD, digest=78), (0, 0, 1)),
    ],
)
def test_what_is_held_against_what_was_served(held: Held | None, found: tuple[int, int, int]) -> None:
    counted = against_truth({DATE: held} if held is not None else {}, TRUTH)
    assert (counted["missing"], counted["double"], counted["altered"]) == found


def test_how_many_times_as_fast_is_by_the_day() -> None:
    assert OUTCOME.times_faster == pytest.approx(5.0)  # 2 s a day against 0.4 s


def test_the_report_for_people(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(command, "backfill", lambda *_: OUTCOME)
    assert cli.run(["demo"]) == 0
    out, err = capfd.readouterr()
    assert err == ""
    assert "Every row is right: 150 days, 6,000,000 rows in 60.0 s (100,000 rows/s)" in out
    assert "missing 0, double 0, altered 0; ledger and Postgres agree" in out
    assert "5.0 times as fast as one request after another: 0.40 s a day with its start, against 2.00 s" in out
    assert "at most 450 in any 60 s" in out
    assert "300 MB of memory" in out
    assert "gscd --config gscd.toml doctor" in out


@pytest.mark.parametrize("name", ["missing", "double", "altered", "differences"])
def test_a_single_wrong_row_is_said_and_exits_1(
    name: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    outcome = dataclasses.replace(OUTCOME, **{name: 1})
    monkeypatch.setattr(command, "backfill", lambda *_: outcome)
    assert cli.run(["demo"]) == 1
    assert "NOT every row is right: 150 days" in capfd.readouterr().out
    assert cli.run(["demo", "--json"]) == 1
    assert json.loads(capfd.readouterr().out)["clean"] is False


def test_a_disk_without_room_is_told_before_anything_begins(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    usage: Any = shutil._ntuple_diskusage  # type: ignore[attr-defined]
    monkeypatch.setattr(whole.shutil, "disk_usage", lambda _path: usage(10**12, 10**12, 2_500_000_000))
    assert cli.run(["demo"]) == 69
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("gscd: 150 days of 40,000 rows need 3.0 GB in ")
    assert "--days" in err


def test_room_grows_with_rows_but_the_log_of_postgres_has_an_end() -> None:
    assert room_needed(5, 2_000) == 2 * 5 * 2_000 * 305 + 200_000_000
    assert room_needed(480, 50_000) == 480 * 50_000 * 305 + 1_200_000_000


@pytest.mark.parametrize(("good", "code", "said"), [(True, 0, "as it should be"), (False, 1, "NOT as it should be")])
def test_a_drill_says_what_came_of_it(
    good: bool, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    from gsc_daemon.cli import drill

    monkeypatch.setitem(drill.DRILLS, "backlog", lambda _tell: Drilled(good, {"back after": "3.0 s"}))
    assert cli.run(["drill", "backlog"]) == code
    assert capfd.readouterr().out == f"backlog: {said}\n  back after: 3.0 s\n"
    assert cli.run(["drill", "nonsense"]) == 2
