"""Reports of every kind, by a daemon: each relation holds what Google answers to the same question."""

from __future__ import annotations

import datetime as dt
import json
import urllib.request
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import psycopg
import pytest

from gsc_daemon.clock import SystemClock, pacific_today

SetStage = Callable[..., Any]
SITE = "sc-domain:example.com"
DAYS = 3
LAST = pacific_today(SystemClock()) - dt.timedelta(days=5)  # final, and young enough for hours
REPORTS = """
every = ""
search_types = ["web", "discover"]
[[reports]]
name = "query_page"
[[reports]]
name = "totals"
[[reports]]
name = "pages"
[[reports]]
name = "countries_devices"
[[reports]]
name = "search_appearance"
search_types = ["web"]
[[reports]]
name = "hourly"
[[reports]]
name = "mobile_pages"
dimensions = ["page", "country"]
filters = ["device equals MOBILE", "country notEquals usa"]
search_types = ["web", "image"]
aggregation = "byPage"
[[reports]]
name = "video_pages"
dimensions = ["page"]
filters = ["searchAppearance equals VIDEO"]
search_types = ["web"]
"""
ASKED: dict[str, tuple[str, dict[str, Any]]] = {  # relation, search type: what Google is asked
    "pages web": ("page", {"dimensions": ["page"]}),
    "pages discover": ("page", {"dimensions": ["page"]}),
    "countries_devices web": ("country, device", {"dimensions": ["country", "device"]}),
    "search_appearance web": ("search_appearance", {"dimensions": ["searchAppearance"]}),
    "video_pages web": (
        "page",
        {
            "dimensions": ["page"],
            "dimensionFilterGroups": [
                {"filters": [{"dimension": "searchAppearance", "operator": "equals", "expression": "VIDEO"}]}
            ],
        },
    ),
    "hourly web": ("hour", {"dimensions": ["hour"], "dataState": "hourly_all"}),
    "hourly discover": ("hour", {"dimensions": ["hour"], "dataState": "hourly_all"}),
    "mobile_pages image": (
        "page, country",
        {
            "dimensions": ["page", "country"],
            "aggregationType": "byPage",
            "dimensionFilterGroups": [
                {
                    "filters": [
                        {"dimension": "device", "operator": "equals", "expression": "MOBILE"},
                        {"dimension": "country", "operator": "notEquals", "expression": "usa"},
                    ]
                }
            ],
        },
    ),
}
Rows = list[tuple[Any, ...]]


@pytest.fixture
def stage(set_stage: SetStage) -> Any:
    made = set_stage(rows=400, require_auth=False)
    made.settings(sync=REPORTS)
    first = LAST - dt.timedelta(days=DAYS - 1)
    said = made.gscd("sync", "range", "--from", str(first), "--to", str(LAST))
    assert said.returncode == 0, said.stderr
    return made


def served(stage: Any, date: dt.date, search_type: str, body: dict[str, Any]) -> Rows:
    """What the emulator answers."""
    whole = {"startDate": str(date), "endDate": str(date), "type": search_type, "rowLimit": 25_000, **body}
    url = f"{stage.emulator.url}/webmasters/v3/sites/{quote(SITE, safe='')}/searchAnalytics/query"
    request = urllib.request.Request(url, json.dumps(whole).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        rows = json.load(answer).get("rows", [])
    figures = [(row["clicks"], row["impressions"], row["ctr"], row.get("position")) for row in rows]
    keys = [
        [dt.datetime.fromisoformat(key) if "hour" in body["dimensions"] else key for key in row["keys"]] for row in rows
    ]
    return sorted((*key, *figure) for key, figure in zip(keys, figures, strict=True))


def held(stage: Any, relation: str, columns: str, date: dt.date, search_type: str) -> Rows:
    with psycopg.connect(stage.dsn) as connection:
        query = f"SELECT {columns}, clicks, impressions, ctr, position FROM gsc.{relation}"
        found = connection.execute(f"{query} WHERE date = %s AND search_type = %s", [date, search_type]).fetchall()  # type: ignore[arg-type]
    return sorted(found)


def test_each_relation_holds_what_google_answers(stage: Any) -> None:
    assert stage.finish() == 0, stage.log()
    for name, (columns, body) in ASKED.items():
        relation, search_type = name.split()
        for back in range(DAYS):
            date = LAST - dt.timedelta(days=back)
            wanted = served(stage, date, search_type, body)
            assert held(stage, relation, columns, date, search_type) == wanted, (name, date)
            assert wanted, (name, date)
    fetched = {(day.report, day.search_type) for day in stage.held()}
    assert fetched == {
        *((report, kind) for report in ("totals", "pages", "hourly") for kind in ("web", "discover")),
        ("query_page", "web"),  # Discover has no queries
        ("countries_devices", "web"),  # and no devices
        ("search_appearance", "web"),
        ("video_pages", "web"),
        ("mobile_pages", "web"),
        ("mobile_pages", "image"),
    }
    assert stage.gscd("reconcile").returncode == 0


def test_a_report_taken_out_of_the_settings_sets_its_days_aside_and_brings_them_back(stage: Any) -> None:
    stage.settings()
    assert stage.finish() == 1
    said = stage.gscd("status")
    assert "the report pages is not in the settings any more, or not yet" in said.stdout + said.stderr + stage.log()
    stage.settings(sync=REPORTS)
    assert stage.gscd("ledger", "requeue").returncode == 0
    assert stage.finish() == 0
    assert stage.gscd("reconcile").returncode == 0


def test_hours_are_asked_for_as_long_as_google_has_them(set_stage: SetStage) -> None:
    stage = set_stage(rows=100)
    stage.settings(sync='every = ""\n[[reports]]\nname = "hourly"\n')
    today = pacific_today(SystemClock())
    said = stage.gscd("sync", "range", "--from", str(today - dt.timedelta(days=30)), "--to", str(today))
    assert said.returncode == 0, said.stderr
    days = stage.ask("SELECT min(date), max(date), count(*) FROM day")
    assert days == [(str(today - dt.timedelta(days=9)), str(today), 10)]


def test_a_name_that_has_come_to_mean_something_else_ends_the_start(set_stage: SetStage) -> None:
    stage = set_stage(rows=50)
    mine = 'every = ""\n[[reports]]\nname = "mine"\ndimensions = ["page"]\n'
    stage.settings(sync=mine)
    stage.wanted(1)
    assert stage.finish() == 0, stage.log()
    stage.settings(sync=mine + 'filters = ["country equals usa"]\n')
    stage.wanted(2)
    assert stage.finish() == 78
    assert "the report mine was made with other dimensions, filters or aggregation" in stage.log()
    assert "Give the new one another name" in stage.log()
    assert [day.report for day in stage.held()] == ["mine"]


def test_a_day_of_a_report_that_the_daemon_does_not_know_yet_waits_for_the_reload(
    set_stage: SetStage, until: Callable[..., None]
) -> None:
    stage = set_stage(rows=50)
    stage.settings(sync='every = ""\n[[reports]]\nname = "totals"\n')
    stage.wanted(1)
    stage.daemon()
    until(lambda: stage.held(), "the first day")
    stage.settings(sync='every = ""\n[[reports]]\nname = "totals"\n[[reports]]\nname = "countries_devices"\n')
    stage.wanted(1)
    until(lambda: stage.ask("SELECT 1 FROM item WHERE state = 'waiting'"), "the day that waits")
    assert stage.gscd("reload").returncode == 0
    until(lambda: {day.report for day in stage.held()} == {"totals", "countries_devices"}, "the new report's day")
    assert stage.ask("SELECT count(*) FROM history WHERE to_state = 'quarantined'") == [(0,)]
