"""monitoring/: the alerts go off when they should and not else, and name what the reporter serves."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from gsc_daemon.reporter.metrics import METRICS

FOLDER = Path(__file__).parents[2] / "monitoring"
RULES = FOLDER / "gscd.rules.yml"
DASHBOARD = json.loads((FOLDER / "gscd.dashboard.json").read_text(encoding="utf-8"))
NAME = re.compile(r"\bgscd_\w+")


def named_by_the_dashboard() -> set[str]:
    expressions = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    return {name for expression in expressions for name in NAME.findall(expression)}


def test_the_rules_name_metrics_that_there_are() -> None:
    named = set(NAME.findall(RULES.read_text(encoding="utf-8")))
    assert len(named) > 10
    assert named <= set(METRICS)


def test_the_dashboard_names_metrics_that_there_are() -> None:
    named = named_by_the_dashboard()
    assert len(named) > 20
    assert named <= set(METRICS)


def test_no_panel_lies_over_another() -> None:
    taken: dict[tuple[int, int], str] = {}
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert taken.setdefault((x, y), panel["title"]) == panel["title"]
        assert at["x"] + at["w"] <= 24


def test_every_alert_has_a_test_and_says_what_to_do() -> None:
    tested = (FOLDER / "gscd.rules.test.yml").read_text(encoding="utf-8")
    alerts = re.findall(r"- alert: (\w+)\n(.*?)(?=\n      - alert|\Z)", RULES.read_text(encoding="utf-8"), re.DOTALL)
    assert len(alerts) >= 13
    for name, body in alerts:
        assert f"alertname: {name}" in tested
        assert [word for word in ("summary:", "action:", "severity:") if word not in body] == [], name


def test_the_alerts_by_promtool() -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (Debian's package prometheus): the alerts were not tried")
    for words in (("check", "rules", "gscd.rules.yml"), ("test", "rules", "gscd.rules.test.yml")):
        done = subprocess.run([promtool, *words], cwd=FOLDER, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stdout + done.stderr
