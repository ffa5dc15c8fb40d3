"""Quotas: sliding windows by site, user and project held against brute force, bursts, hidden limits, load."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from emulator_client import ALL_FOUR, DAY, SITE, TODAY, URL_SITE, Client, Start, config
from hypothesis import given, settings
from hypothesis import strategies as st

from gsc_daemon.emulator.quota import MINUTE, SECOND, Load, Quotas, cost_of, scopes_of
from gsc_daemon.emulator.replies import ApiError
from gsc_daemon.emulator.request import Query


def was_refused(ask: Callable[[], None]) -> bool:
    """Whether a quota was full."""
    try:
        ask()
    except ApiError as error:
        return error.reason == "quotaExceeded"
    return False


CALLS = st.lists(
    st.tuples(
        st.sampled_from((0.0, 0.01, 0.3, 0.5, 1.0, 7.0, 29.5, 60.0)), st.sampled_from("ab"), st.sampled_from("xy")
    ),
    max_size=60,
)


@settings(max_examples=300, deadline=None)
@given(calls=CALLS, count_rejected=st.booleans(), qpm=st.integers(1, 8), qps=st.none() | st.integers(1, 4))
def test_a_call_is_refused_if_and_only_if_a_window_is_full(
    calls: list[tuple[float, str, str]], count_rejected: bool, qpm: int, qps: int | None
) -> None:
    limits: dict[str, Any] = {"site_qpm": qpm, "user_qpm": qpm + 1, "project_qpm": qpm + 2, "site_qps": qps}
    limits |= {"user_qps": qps and qps + 1, "project_qps": qps and qps + 2, "count_rejected": count_rejected}
    wanted = config(**limits)
    quotas, now = Quotas(random.Random(0)), 1000.0
    seen: list[tuple[float, tuple[str, str, str], bool]] = []
    for pause, site, user in calls:
        now += pause
        names = (site, user, "project")
        full = False
        for place, kind in enumerate(("site", "user", "project")):
            for span, limit in ((MINUTE, limits[f"{kind}_qpm"]), (SECOND, limits[f"{kind}_qps"])):
                charged = [
                    at
                    for at, whose, refused in seen
                    if now - span < at <= now and whose[place] == names[place] and (count_rejected or not refused)
                ]
                full = full or (limit is not None and len(charged) >= limit)
        refused = was_refused(lambda: quotas.admit(scopes_of(site, user), now, wanted))  # noqa: B023 - called at once
        assert refused == full
        seen.append((now, names, refused))
    for span in (MINUTE, SECOND):
        most = quotas.seen.most(span)
        for name in {whose[0] for _, whose, _ in seen}:
            times = [at for at, whose, _ in seen if whose[0] == name]
            brute = max(sum(end - span < at <= end for at in times[: n + 1]) for n, end in enumerate(times))
            assert most["site"][name] == brute


def test_every_client_and_connection_shares_the_quota_of_its_site_user_and_project(
    start: Start, tmp_path: Path
) -> None:
    client = start(site_qpm=4, user_qpm=6, project_qpm=7)
    other = Client(client.emulator, tmp_path)
    other.key_file = client.emulator.service_account_file(tmp_path / "other.json", name="other")
    other.sign_in()
    asked = [client.ask() for _ in range(5)]
    assert [response.status_code for response in asked] == [200] * 4 + [403]
    assert asked[-1].json()["error"]["message"].startswith("Search Analytics QPS quota exceeded.")
    assert "Retry-After" not in asked[-1].headers
    assert client.ask(URL_SITE).status_code == 200  # the site's is another one, and the user has one left
    assert other.ask(URL_SITE).status_code == 200  # the project's last
    assert other.ask(URL_SITE).status_code == 403
    stats = client.emulator.stats()
    assert stats["refused"] == {"qps": 2}
    assert stats["most_in_60s"]["project"] == {"emulator": 8}
    assert stats["most_in_60s"]["site"] == {SITE: 5, URL_SITE: 3}
    other.close()


def test_a_hidden_limit_holds_for_the_project(start: Start) -> None:
    client = start(hidden_qpm=2)
    assert [client.ask(site).status_code for site in (SITE, URL_SITE, SITE)] == [200, 200, 403]


def test_a_refusal_is_403_or_429_or_either_and_tells_when_to_retry_if_told_to(start: Start) -> None:
    client = start(site_qpm=1, refusal="429", retry_after_s=7)
    client.ask()
    response = client.ask()
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert response.json()["error"]["errors"][0]["reason"] == "rateLimitExceeded"
    client.emulator.configure(refusal="mixed")
    assert {client.ask().status_code for _ in range(60)} == {403, 429}


def test_calls_that_are_no_query_have_a_quota_of_their_own(start: Start) -> None:
    client = start(other_qpm=2, site_qpm=1)
    url = f"{client.emulator.url}/webmasters/v3/sites"
    assert [client.session.get(url).status_code for _ in range(3)] == [200, 200, 429]
    assert client.ask().status_code == 200


def test_quotas_can_change_while_it_runs(start: Start) -> None:
    client = start(site_qpm=1)
    assert [client.ask().status_code for _ in range(2)] == [200, 403]
    client.emulator.configure(site_qpm=100)
    assert client.ask().status_code == 200


def test_load_is_refused_for_ten_minutes_and_then_for_the_day() -> None:
    load, wanted = Load(), config(load_short=40, load_daily=60)
    dear = Query(DAY, DAY, ("query", "page"))
    assert [cost_of(dear), cost_of(Query(DAY, DAY)), cost_of(Query(DAY, DAY + dt.timedelta(days=9), ("page",)))] == [
        *(20, 1, 50),
    ]

    def charge(now: float, today: dt.date = TODAY, site: str = SITE) -> bool:
        return not was_refused(lambda: load.charge(site, dear, now, today, wanted))

    assert [charge(0), charge(1), charge(2), charge(599.9)] == [True, True, False, False]
    assert charge(3, site=URL_SITE)
    assert charge(600)  # the first has left the window, the day has 60
    assert not charge(5000)
    assert charge(5001, TODAY + dt.timedelta(days=1))


def test_load_is_refused_in_googles_words(start: Start) -> None:
    client = start(load_short=25)
    assert [client.ask(dimensions=ALL_FOUR).status_code for _ in range(2)] == [200, 403]
    response = client.ask(dimensions=ALL_FOUR)
    assert response.json()["error"]["message"].startswith("Search Analytics load quota exceeded.")
    assert client.emulator.stats()["refused"] == {"load": 2}


@pytest.mark.parametrize("kind", ["site", "user", "project"])
@pytest.mark.parametrize(("unit", "span"), [("qps", SECOND), ("qpm", MINUTE)])
def test_each_limit_alone_refuses_until_its_time_is_over(kind: str, unit: str, span: float) -> None:
    wanted = config(**{f"{kind}_{unit}": 2}, count_rejected=False)
    quotas = Quotas(random.Random(0))

    def refused(now: float) -> bool:
        return was_refused(lambda: quotas.admit(scopes_of(SITE, "sync"), now, wanted))

    asked = [100.0, 100.1, 100.0 + span * 0.8, 99.99 + span, 100.0 + span, 100.05 + span]
    assert [refused(now) for now in asked] == [False, False, True, True, False, True]
