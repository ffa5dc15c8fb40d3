"""The whole way: planned, fetched, published, and equal to the truth, value by value."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

SetStage = Callable[..., Any]


def test_a_backfill_is_what_the_api_has(set_stage: SetStage) -> None:
    stage = set_stage(rows=30_000)  # two requests a day
    stage.wanted(8)
    assert stage.finish() == 0
    assert stage.differences(8) == []


def test_awkward_texts_and_anonymised_queries_arrive_as_they_are(set_stage: SetStage) -> None:
    stage = set_stage(rows=4_000, impossible_characters=True)
    stage.wanted(3)
    assert stage.finish() == 0
    assert stage.differences(3) == []


def test_many_sites_take_turns(set_stage: SetStage) -> None:
    sites = ("sc-domain:example.com", "https://www.example.com/", "https://shop.example.com/a/")
    stage = set_stage(sites=sites, rows=500)
    stage.wanted(12)
    assert stage.finish() == 0
    assert stage.differences(12) == []
    claims = stage.ask("SELECT DISTINCT token, site FROM changes WHERE to_state = 'leased' ORDER BY token LIMIT 3")
    assert {site for _, site in claims} == set(sites)


@pytest.mark.parametrize(
    "how", [{"workers": 1, "batch_size": 1}, {"transport": "multipart"}], ids=["sequential", "multipart"]
)
def test_sequential_mode_and_multipart_give_the_same_rows(set_stage: SetStage, how: dict[str, Any]) -> None:
    stage = set_stage(rows=26_000)
    stage.settings(**how)
    stage.wanted(4)
    assert stage.finish() == 0
    assert stage.differences(4) == []


def test_a_day_synced_again_is_fetched_again_only_with_force(set_stage: SetStage) -> None:
    stage = set_stage(rows=1_000)
    stage.wanted(3)
    assert stage.finish() == 0
    asked = stage.queries()
    stage.wanted(3)
    assert stage.finish() == 0
    assert stage.queries() == asked
    stage.wanted(3, "--force")
    assert stage.finish() == 0
    assert stage.queries() == 2 * asked
    assert stage.differences(3) == []


def test_faults_of_every_kind_cost_no_row(set_stage: SetStage) -> None:
    stage = set_stage(rows=26_000)
    kinds = ("500", "503", "html", "reset", "cut", "truncate", "garbage", "429", "qps")
    stage.emulator.configure(faults=[{"kind": kind, "times": 2} for kind in kinds])
    stage.wanted(6)
    assert stage.finish() == 0
    assert stage.differences(6) == []


def test_a_site_that_cannot_be_read_is_parked_and_the_others_go_on(set_stage: SetStage) -> None:
    stage = set_stage(sites=("sc-domain:example.com", "sc-domain:example.org"), rows=500)
    stage.emulator.configure(faults=[{"kind": "forbidden", "rate": 1.0, "site": "sc-domain:example.org"}])
    stage.wanted(4)
    assert stage.finish() == 75
    parked = stage.ask("SELECT site, parked FROM progress WHERE parked <> ''")
    assert [site for site, _ in parked] == ["sc-domain:example.org"]
    assert "permission" in parked[0][1]
    held = [line for line in stage.differences(4) if "example.com" in line]
    assert held == []


def test_a_request_that_google_refuses_for_good_is_quarantined(set_stage: SetStage) -> None:
    stage = set_stage(rows=500, months_kept=0)
    stage.emulator.configure(faults=[{"kind": "400", "rate": 1.0}])
    stage.wanted(1)
    assert stage.finish() == 1
    assert stage.gscd("status").returncode == 1
