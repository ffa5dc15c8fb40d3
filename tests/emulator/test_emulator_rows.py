"""What is served is the truth: paging, caps, order, sums over every set of dimensions, filters."""

from __future__ import annotations

import datetime as dt
import itertools
import re
from collections.abc import Callable
from typing import Any

import pytest
from emulator_client import ALL_FOUR, DAY, SITE, URL_SITE, Client, Start

from gsc_daemon.emulator import SiteSpec
from gsc_daemon.emulator.digest import add_digests, key_hash, row_digest, storable

SUBSETS = [list(chosen) for n in (1, 2, 3, 4) for chosen in itertools.combinations(ALL_FOUR, n)]


def digest(rows: list[dict[str, Any]]) -> int:
    """As a client computes it from what it was sent."""
    return add_digests(
        row_digest(
            key_hash([storable(key) for key in row["keys"]]),
            int(row["clicks"]),
            int(row["impressions"]),
            row["ctr"],
            row.get("position"),
        )
        for row in rows
    )


def by_key(rows: list[dict[str, Any]], places: list[int]) -> dict[tuple[str, ...], list[float]]:
    """Clicks, impressions and summed positions by some of the keys."""
    sums: dict[tuple[str, ...], list[float]] = {}
    for row in rows:
        one = sums.setdefault(tuple(row["keys"][place] for place in places), [0, 0, 0])
        one[0] += row["clicks"]
        one[1] += row["impressions"]
        one[2] += round(row["position"] * row["impressions"])
    return sums


@pytest.mark.parametrize("limit", [25_000, 1000, 777])
def test_the_union_of_all_pages_is_the_truth(served: Client, limit: int) -> None:
    rows = served.rows(dimensions=ALL_FOUR, rowLimit=limit)
    (truth,) = served.emulator.truth(SITE, DAY, DAY)
    assert rows == served.emulator.rows(SITE, DAY)
    assert len({tuple(row["keys"]) for row in rows}) == len(rows) == truth["rows"] == 3000
    assert sum(row["clicks"] for row in rows) == truth["clicks"]
    assert sum(row["impressions"] for row in rows) == truth["impressions"]
    assert digest(rows) == truth["digest"]


def test_totals_hold_what_anonymised_queries_hide(served: Client) -> None:
    (total,) = served.rows()
    (truth,) = served.emulator.truth(SITE, DAY, DAY)
    assert "keys" not in total
    assert (total["clicks"], total["impressions"]) == (truth["total_clicks"], truth["total_impressions"])
    assert truth["clicks"] < 0.8 * truth["total_clicks"]


def test_a_range_of_truth_names_every_date_and_what_is_final(served: Client) -> None:
    days = served.emulator.truth(SITE, dt.date(2026, 11, 15), dt.date(2026, 11, 22))
    assert [(day["date"][-2:], day["rows"], day["final"]) for day in days] == [
        *(("15", 3000, True), ("16", 3000, True), ("17", 3000, True)),
        *(("18", 2250, False), ("19", 1500, False), ("20", 750, False), ("21", 0, False), ("22", 0, False)),
    ]


def test_rows_come_by_clicks_descending_and_as_doubles(served: Client) -> None:
    response = served.ask(dimensions=ALL_FOUR)
    rows = response.json()["rows"]
    assert len(rows) == 1000  # the default rowLimit
    assert [row["clicks"] for row in rows] == sorted((row["clicks"] for row in rows), reverse=True)
    assert re.search(r'"clicks": \d+\.0,\n', response.text)
    assert all(re.fullmatch("[a-z]{3}", row["keys"][2]) and row["keys"][3].isupper() for row in rows)
    assert response.json()["responseAggregationType"] == "byPage"


def test_keys_come_in_the_order_of_the_request(served: Client) -> None:
    (turned,) = served.ask(dimensions=ALL_FOUR[::-1], rowLimit=1).json()["rows"]
    (straight,) = served.ask(dimensions=ALL_FOUR, rowLimit=1).json()["rows"]
    assert turned["keys"] == straight["keys"][::-1]


@pytest.mark.parametrize("dimensions", SUBSETS, ids=lambda chosen: "-".join(chosen))
def test_every_set_of_dimensions_sums_the_finest_rows(plain: Client, dimensions: list[str]) -> None:
    rows = plain.rows(dimensions=dimensions, aggregationType="byPage")
    expected = by_key(plain.rows(dimensions=ALL_FOUR), [ALL_FOUR.index(name) for name in dimensions])
    assert by_key(rows, list(range(len(dimensions)))) == expected
    assert len(rows) == len(expected)
    for row in rows:
        assert row["ctr"] == row["clicks"] / row["impressions"]


def test_by_property_counts_fewer_impressions_and_the_same_clicks(plain: Client) -> None:
    (page,) = plain.rows(aggregationType="byPage")
    (whole,) = plain.rows(aggregationType="byProperty")
    assert whole["clicks"] == page["clicks"]
    assert 0.8 * page["impressions"] < whole["impressions"] < page["impressions"]
    assert plain.ask(dimensions=["page"], rowLimit=1).json()["responseAggregationType"] == "byPage"
    assert plain.ask(dimensions=["query"], rowLimit=1).json()["responseAggregationType"] == "byProperty"


@pytest.mark.parametrize("others", [[], ["country"], ["query", "device"]])
def test_dates_split_a_range_wherever_they_stand_among_the_dimensions(plain: Client, others: list[str]) -> None:
    span = {"startDate": "2026-11-09", "endDate": "2026-11-11"}
    one_by_one = {
        (f"{date}", *row.get("keys", [])): row["clicks"]
        for date in (dt.date(2026, 11, 9), dt.date(2026, 11, 10), dt.date(2026, 11, 11))
        for row in plain.rows(startDate=f"{date}", endDate=f"{date}", dimensions=others)
    }
    first = {tuple(row["keys"]): row["clicks"] for row in plain.rows(**span, dimensions=["date", *others])}
    last = {tuple(row["keys"]): row["clicks"] for row in plain.rows(**span, dimensions=[*others, "date"])}
    assert first == one_by_one
    assert last == {(*key[1:], key[0]): clicks for key, clicks in one_by_one.items()}


def test_a_range_without_dates_sums_its_days(plain: Client) -> None:
    span = {"startDate": "2026-11-09", "endDate": "2026-11-11"}
    days = [
        plain.rows(startDate=f"2026-11-{n:02}", endDate=f"2026-11-{n:02}", dimensions=["page"]) for n in (9, 10, 11)
    ]
    assert by_key(plain.rows(**span, dimensions=["page"]), [0]) == by_key([row for day in days for row in day], [0])


FILTERS: list[tuple[str, str, str, Callable[[str], bool]]] = [
    ("country", "equals", "USA", lambda value: value == "usa"),
    ("device", "notEquals", "mobile", lambda value: value != "MOBILE"),
    ("query", "contains", "Re", lambda value: "re" in value.lower()),
    ("query", "NOT_CONTAINS", "the", lambda value: "the" not in value.lower()),
    ("page", "includingRegex", r"^https://[^/]+/b", lambda value: value.startswith("https://www.example.com/b")),
    ("page", "excludingRegex", r"\.html$", lambda value: not value.endswith(".html")),
    ("query", "equals", "no such query", lambda value: False),
]


@pytest.mark.parametrize(("dimension", "operator", "expression", "passes"), FILTERS)
def test_filters_keep_what_they_say(
    served: Client, dimension: str, operator: str, expression: str, passes: Callable[[str], bool]
) -> None:
    group = {"filters": [{"dimension": dimension, "operator": operator, "expression": expression}]}
    place = ALL_FOUR.index(dimension)
    expected = [row for row in served.emulator.rows(SITE, DAY) if passes(row["keys"][place])]
    assert served.rows(dimensions=ALL_FOUR, dimensionFilterGroups=[group]) == expected
    assert expected or expression == "no such query"


def test_filters_of_all_groups_must_match_and_split_a_day_without_loss(served: Client) -> None:
    def part(operator: str) -> list[dict[str, Any]]:
        device = {"filters": [{"dimension": "device", "operator": operator, "expression": "DESKTOP"}]}
        query = {"filters": [{"dimension": "query", "operator": "contains", "expression": "a"}]}
        return served.rows(dimensions=ALL_FOUR, dimensionFilterGroups=[device, query])

    whole = [row for row in served.emulator.rows(SITE, DAY) if "a" in row["keys"][0].lower()]
    key = lambda row: row["keys"]  # noqa: E731
    assert sorted([*part("equals"), *part("notEquals")], key=key) == sorted(whole, key=key)


def test_no_more_than_50_000_rows_and_nothing_says_so(start: Start) -> None:
    client = start(sites=(SiteSpec(SITE, rows_per_day=51_000),))
    rows = client.rows(dimensions=ALL_FOUR)
    (truth,) = client.emulator.truth(SITE, DAY, DAY)
    assert (len(rows), truth["rows"], truth["all_rows"]) == (50_000, 50_000, 51_000)
    assert digest(rows) == truth["digest"]
    assert client.ask(dimensions=ALL_FOUR, startRow=50_000).json() == {"responseAggregationType": "byPage"}
    half = client.ask(dimensions=ALL_FOUR, startRow=49_990, rowLimit=25_000).json()["rows"]
    assert half == rows[-10:]
    assert len(client.ask(dimensions=ALL_FOUR[::-1], startRow=49_990).json()["rows"]) == 10


def test_a_day_without_rows_has_no_rows_member(served: Client) -> None:
    response = served.ask(startDate="2026-11-21", endDate="2026-11-21", dimensions=ALL_FOUR)
    assert (response.status_code, response.json()) == (200, {"responseAggregationType": "byPage"})
    assert served.ask(startDate="2026-11-21", endDate="2026-11-21").json() == {"responseAggregationType": "byProperty"}


def test_the_same_seed_gives_the_same_rows_and_another_seed_others(start: Start) -> None:
    first, same, other = (start(seed=seed).rows(dimensions=ALL_FOUR) for seed in (7, 7, 8))
    assert first == same
    assert {tuple(row["keys"]) for row in first}.isdisjoint(tuple(row["keys"]) for row in other)


def test_days_and_sites_differ_though_they_share_keys(served: Client) -> None:
    one, another = served.emulator.rows(SITE, DAY), served.emulator.rows(SITE, DAY - dt.timedelta(days=1))
    assert one != another
    assert {tuple(row["keys"]) for row in one} & {tuple(row["keys"]) for row in another}
    assert len(served.rows(URL_SITE, dimensions=ALL_FOUR)) == 600


def test_equal_clicks_are_reshuffled_only_when_told_and_then_pages_overlap(start: Start) -> None:
    client = start()
    calm = [client.ask(dimensions=ALL_FOUR, rowLimit=2000).json() for _ in range(2)]
    assert calm[0] == calm[1]
    client.emulator.configure(reshuffle_ties=True)
    first, again = (client.ask(dimensions=ALL_FOUR, rowLimit=2000).json()["rows"] for _ in range(2))
    assert first != again
    for rows in (first, again):
        assert [row["clicks"] for row in rows] == [row["clicks"] for row in calm[0]["rows"]]
    rest = client.ask(dimensions=ALL_FOUR, rowLimit=2000, startRow=2000).json()["rows"]
    keys = {tuple(row["keys"]) for row in [*first, *rest]}
    assert len(first) + len(rest) == 3000 > len(keys)
    assert keys < {tuple(row["keys"]) for row in client.emulator.rows(SITE, DAY)}


def test_responses_overlap_by_as_many_rows_as_told(start: Start) -> None:
    client = start(overlap_rows=3)
    first, rest = (client.ask(dimensions=ALL_FOUR, rowLimit=2000, startRow=n).json()["rows"] for n in (0, 2000))
    assert rest[:3] == first[-3:]
    assert len(rest) == 1003


def test_impossible_characters_are_sent_as_json_can_and_digested_as_they_can_be_kept(start: Start) -> None:
    client = start(impossible_characters=True)
    response = client.ask(dimensions=ALL_FOUR, rowLimit=25_000)
    rows = response.json()["rows"]
    queries = {row["keys"][0] for row in rows}
    assert {query for query in queries if storable(query) != query}
    assert "\\u0000" in response.text
    assert "\\ud83d" in response.text
    (truth,) = client.emulator.truth(SITE, DAY, DAY)
    assert digest(rows) == truth["digest"]
    assert len({tuple(map(storable, row["keys"])) for row in rows}) == 3000


@pytest.mark.parametrize(("search_type", "dimensions"), [("discover", ["page", "country"]), ("googleNews", ["page"])])
def test_discover_and_google_news_have_no_position(served: Client, search_type: str, dimensions: list[str]) -> None:
    rows = served.rows(type=search_type, dimensions=dimensions)
    assert rows
    assert not any("position" in row for row in rows)
    joined = ",".join(dimensions)
    (truth,) = served.emulator.truth(SITE, DAY, DAY, search_type, dimensions=joined)
    assert (truth["rows"], truth["digest"]) == (len(rows), digest(rows))
    assert served.emulator.rows(SITE, DAY, search_type, dimensions=joined) == rows
    (total,) = served.rows(type=search_type)
    assert (total["clicks"], total["impressions"]) == (truth["total_clicks"], truth["total_impressions"])
    assert "position" not in total


def test_other_dimensions_can_be_audited_too(served: Client) -> None:
    rows = served.rows(dimensions=["country", "device"])
    (truth,) = served.emulator.truth(SITE, DAY, DAY, dimensions="country,device")
    assert (truth["rows"], truth["digest"]) == (len(rows), digest(rows))


def test_a_wide_range_gives_its_most_clicked_rows_only(start: Start) -> None:
    client = start(cap=500)
    span = {"startDate": "2026-11-01", "endDate": "2026-11-05"}
    dates = [dt.date(2026, 11, n) for n in range(1, 6)]
    days = [client.emulator.rows(SITE, date) for date in dates]
    wide = client.rows(**span, dimensions=["date", *ALL_FOUR])
    assert len(wide) == 500
    best = sorted((row["clicks"] for day in days for row in day), reverse=True)[:500]
    assert [row["clicks"] for row in wide] == best
    (truth,) = client.emulator.truth(SITE, DAY, DAY, dimensions="page,query")
    rows = client.rows(dimensions=["page", "query"])
    assert (truth["rows"], truth["digest"]) == (len(rows), digest(rows)) == (500, digest(rows))
    assert truth["all_rows"] > 2000
    client.emulator.configure(sort_by_date=True)
    by_date = client.rows(**span, dimensions=["date", "query"])
    assert [row["keys"][0] for row in by_date] == ["2026-11-01"] * 500
