"""Pacific dates: what is final, what is not yet, what is forgotten, hours of days of 23 and 25, restatements."""

from __future__ import annotations

import datetime as dt

import pytest
from emulator_client import ALL_FOUR, DAY, SITE, TODAY, Client, Start

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.emulator import SiteSpec


def total(client: Client, date: dt.date | str, **body: object) -> int:
    """Clicks of a day; 0 if it has none."""
    rows = client.rows(startDate=f"{date}", endDate=f"{date}", **body)
    return int(rows[0]["clicks"]) if rows else 0


def test_final_data_ends_three_days_ago_and_all_data_today(served: Client) -> None:
    dates = [TODAY - dt.timedelta(days=n) for n in range(-1, 5)]
    assert [total(served, date) > 0 for date in dates] == [False, False, False, False, True, True]
    assert [total(served, date, dataState="all") > 0 for date in dates] == [False, True, True, True, True, True]


def test_a_fresh_day_grows_until_it_is_final_and_then_stays(start: Start) -> None:
    client = start()
    date = TODAY
    seen = []
    for later in range(5):
        client.emulator.configure(today=TODAY + dt.timedelta(days=later))
        day = {"startDate": f"{date}", "endDate": f"{date}"}
        seen.append(client.rows(**day, dataState="all", dimensions=ALL_FOUR))
    assert [len(rows) for rows in seen] == [750, 1500, 2250, 3000, 3000]
    assert seen[3] == seen[4]
    assert seen[0] != seen[1][:750]


@pytest.mark.parametrize(("spelling", "name"), [("camel", "firstIncompleteDate"), ("snake", "first_incomplete_date")])
def test_the_first_incomplete_date_is_told_for_all_data_grouped_by_date(start: Start, spelling: str, name: str) -> None:
    client = start(metadata=spelling)
    span = {"startDate": "2026-11-10", "endDate": "2026-11-20"}
    assert client.ask(**span, dimensions=["date"], dataState="all").json()["metadata"] == {name: "2026-11-18"}
    assert "metadata" not in client.ask(**span, dimensions=["date"]).json()
    assert "metadata" not in client.ask(**span, dataState="all").json()
    assert (
        "metadata" not in client.ask(**{**span, "endDate": "2026-11-17"}, dimensions=["date"], dataState="all").json()
    )


def test_the_newest_day_is_found_by_dates_as_google_advises(served: Client) -> None:
    rows = served.rows(startDate="2026-11-11", endDate="2026-11-20", dimensions=["date"])
    assert max(row["keys"][0] for row in rows) == "2026-11-17"


def test_data_goes_back_sixteen_months_or_to_the_first_day(start: Start) -> None:
    client = start(sites=(SiteSpec(SITE, rows_per_day=5), SiteSpec("sc-domain:new.com", first_day=DAY)))
    assert [total(client, date) > 0 for date in ("2025-07-19", "2025-07-20")] == [False, True]
    client.emulator.configure(today=TODAY + dt.timedelta(days=1))
    assert total(client, "2025-07-20") == 0
    day_before = DAY - dt.timedelta(days=1)
    asked = [client.rows("sc-domain:new.com", startDate=f"{date}", endDate=f"{date}") for date in (day_before, DAY)]
    assert [bool(rows) for rows in asked] == [False, True]


def test_today_is_pacific_unless_it_is_set(start: Start) -> None:
    client = start(today=None)
    before = pacific_today(SystemClock())
    newest = max(
        row["keys"][0]
        for row in client.rows(
            startDate=f"{before - dt.timedelta(days=5)}", endDate="2099-12-31", dimensions=["date"], dataState="all"
        )
    )
    assert newest in (f"{before}", f"{pacific_today(SystemClock())}")


def test_a_restatement_changes_its_days_only_and_outlives_a_restart(start: Start) -> None:
    client = start()
    span = (SITE, DAY - dt.timedelta(days=1), DAY + dt.timedelta(days=1))
    before = client.emulator.truth(*span)
    client.emulator.restate(SITE, DAY, DAY)
    after = client.emulator.truth(*span)
    assert [old == new for old, new in zip(before, after, strict=True)] == [True, False, True]
    assert client.rows(dimensions=ALL_FOUR) == client.emulator.rows(SITE, DAY)
    client.emulator.restart()
    assert client.emulator.truth(*span) == after


@pytest.mark.parametrize(
    ("date", "hours", "offsets"),
    [
        ("2026-03-08", 23, {"-08:00", "-07:00"}),
        ("2026-11-01", 25, {"-07:00", "-08:00"}),
        ("2026-11-03", 24, {"-08:00"}),
    ],
)
def test_a_day_has_as_many_hours_as_it_has(start: Start, date: str, hours: int, offsets: set[str]) -> None:
    client = start(today=dt.date.fromisoformat(date) + dt.timedelta(days=5))
    day = {"startDate": date, "endDate": date}
    rows = client.rows(**day, dimensions=["hour"], dataState="HOURLY_ALL", aggregationType="byPage")
    assert len({row["keys"][0] for row in rows}) == len(rows) == hours
    assert {row["keys"][0][-6:] for row in rows} == offsets
    assert all(row["keys"][0].startswith(f"{date}T") for row in rows)
    (whole,) = client.rows(**day, aggregationType="byPage")
    assert sum(row["clicks"] for row in rows) == whole["clicks"]


def test_hours_are_kept_for_ten_days_and_today_is_half_over(served: Client) -> None:
    span = {"startDate": "2026-11-01", "endDate": "2026-11-20"}
    response = served.ask(**span, dimensions=["hour"], dataState="hourly_all")
    hours = sorted(row["keys"][0] for row in response.json()["rows"])
    assert hours[0][:10] == "2026-11-11"
    assert hours[-1] == "2026-11-20T11:00:00-08:00"
    assert response.json()["metadata"] == {"firstIncompleteHour": "2026-11-18T00:00:00-08:00"}


def test_search_appearances_are_had_in_two_steps(served: Client) -> None:
    found = {
        row["keys"][0]: row["clicks"] for row in served.rows(dimensions=["searchAppearance"], aggregationType="byPage")
    }
    assert len(found) == 4
    for appearance, clicks in found.items():
        chosen = {"filters": [{"dimension": "searchAppearance", "expression": appearance}]}
        rows = served.rows(dimensions=["page"], dimensionFilterGroups=[chosen])
        assert sum(row["clicks"] for row in rows) == clicks
