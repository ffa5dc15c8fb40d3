"""A short soak: weeks pass over one daemon, and what should stay flat does; the judgement sees what does not."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).parents[2]
SOAK = CHECKOUT / "scripts" / "soak_run"


@pytest.fixture
def figures(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(SOAK))
    import figures

    yield figures
    del sys.modules["figures"]


@pytest.mark.timeout(150)
def test_six_weeks_of_a_sync_each_stay_flat(tmp_path: Path) -> None:
    report = tmp_path / "soak.json"
    words = ("--weeks", "6", "--step", "7", "--rows", "150", "--json", str(report))
    said = subprocess.run([sys.executable, str(SOAK), *words], capture_output=True, text=True)
    assert said.returncode == 0, said.stdout + said.stderr
    weeks = json.loads(report.read_text())
    assert [week["number"] for week in weeks] == [1, 2, 3, 4, 5, 6]
    assert weeks[3]["oldest_days"] > 21  # nothing is forgotten early
    assert weeks[-1]["oldest_days"] < 31  # and what is older is
    assert weeks[-1]["rows"] > weeks[0]["rows"] > 0


def _week(figures: Any, number: int, **changed: float) -> Any:
    flat = dict.fromkeys((field.name for field in dataclasses.fields(figures.Week)), 1000)
    return figures.Week(**flat | {"number": number, "oldest_days": min(30.0, number * 7.0), "wal": 0} | changed)


@pytest.mark.parametrize(
    "grown",
    [
        {"oldest_days": 32.0},
        {"wal": 17 * 2**20},
        {"processes": 1001},
        {"pss": 100 * 2**20},
        {"files": 1007},
        {"history": 1300},
        {"batches": 1300},
        {"bytes_per_row": 1200},
        {"catalog": 10**7},
    ],
    ids=lambda grown: next(iter(grown)),
)
def test_what_grows_is_told(figures: Any, grown: dict[str, float]) -> None:
    flat = [_week(figures, number) for number in range(1, 9)]
    assert figures.faults(flat) == []
    assert len(figures.faults([*flat, _week(figures, 9, **grown)])) == 1


def test_the_rule_is_the_ledgers_own(figures: Any) -> None:
    from gsc_daemon.ledger.care import HISTORY_KEPT

    assert figures.HISTORY_DAYS * 86_400 == HISTORY_KEPT
