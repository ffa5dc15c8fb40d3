"""systemd understands every line of the unit, and finds it well hardened."""

from __future__ import annotations

import configparser
import json
import shutil
import subprocess
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "systemd"
UNIT = FOLDER / "gscd.service"


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with a program that exists here; skips without systemd's tools."""
    return _tried(UNIT.name, tmp_path)


def _tried(name: str, folder: Path) -> Path:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    copy = folder / name
    copy.write_text((FOLDER / name).read_text().replace("/opt/gscd/venv/bin/gscd", "/bin/true"))
    return copy


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False, timeout=60)


def test_systemd_understands_every_line(unit: Path) -> None:
    verified = analyze("verify", unit)
    # Unknown keys and values are only printed, with status 0.
    assert (verified.returncode, verified.stderr) == (0, "")


def test_systemd_understands_the_weekly_reconciliation_and_finds_it_hardened(tmp_path: Path) -> None:
    service = _tried("gscd-reconcile.service", tmp_path)
    for unit in (service, _tried("gscd-reconcile.timer", tmp_path)):
        verified = analyze("verify", unit)
        assert (verified.returncode, verified.stderr) == (0, "")
    judged = analyze("security", "--offline=yes", "--threshold=15", "--no-pager", service)
    assert judged.returncode == 0, judged.stdout


def test_systemd_would_complain_about_a_wrong_line(unit: Path) -> None:
    unit.write_text(unit.read_text().replace("KillMode=mixed", "KillMode=gently"))
    assert "gently" in analyze("verify", unit).stderr


def test_the_exposure_is_at_most_15_of_100(unit: Path) -> None:
    judged = analyze("security", "--offline=yes", "--threshold=15", "--no-pager", "--json=short", unit)
    exposed = {entry["name"]: entry["exposure"] for entry in json.loads(judged.stdout) if entry["exposure"]}
    assert judged.returncode == 0, exposed


def test_the_drain_fits_into_the_time_that_systemd_gives() -> None:
    text = UNIT.read_text()
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    service, unit = parser["Service"], parser["Unit"]
    assert int(service["TimeoutStopSec"]) >= 15 + 5
    assert service["KillMode"] == "mixed"
    assert (service["Restart"], service["RestartPreventExitStatus"]) == ("on-failure", "78")
    assert unit["StartLimitIntervalSec"] == "0"
    assert "Requires" not in unit
    assert {"postgresql.service", "redis-server.service"} <= set(unit["After"].split())
