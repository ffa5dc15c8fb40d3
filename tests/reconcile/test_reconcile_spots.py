"""The spot check on the emulator: what Postgres holds against what the API gives now, through the budget."""

from __future__ import annotations

import datetime as dt
import queue
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from reconcile_stores import SITE, Stores

from gsc_daemon.budget import RateLimits, make_budget
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.emulator import Emulator, EmulatorConfig, Fault, SiteSpec
from gsc_daemon.errors import GscdError, TryAgain
from gsc_daemon.model import QUERY_PAGE, Day, DayState, Publication, Query
from gsc_daemon.plan import newest_final
from gsc_daemon.ports import Response
from gsc_daemon.reconcile import Asker, Checked, spot_check
from gsc_daemon.reconcile import spot as module
from gsc_daemon.settings import Choice
from gsc_daemon.source import Key, Keyring, SearchConsole, Sources

FINAL = newest_final(pacific_today(SystemClock()))


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    config = EmulatorConfig(sites=(SiteSpec(SITE, rows_per_day=300),), impossible_characters=True)
    with Emulator(config, tmp_path_factory.mktemp("emulator")) as running:
        yield running


@dataclass
class Spots:
    """Two final days and a provisional one in Postgres, as the API gave them."""

    stores: Stores
    asker: Asker
    halted: list[bool] = field(default_factory=list)

    def check(self, count: int = 40) -> list[Checked]:
        return list(spot_check(self.asker, self.stores.sink, None, None, None, count))


@pytest.fixture
def spots(stores: Stores, emulator: Emulator, redis_url: str, tmp_path: Path) -> Iterator[Spots]:
    emulator.configure(faults=(), user_qps=None)
    budget = make_budget(
        redis_url,
        RateLimits(60_000, 60_000, 60_000, 0.8),
        recent_sends=stores.ledger.recent_sends,
        load_pace=stores.ledger.pace,
        save_pace=stores.ledger.save_pace,
    )
    source = SearchConsole(
        emulator.service_account_file(tmp_path / "key.json"),
        emulator.url,
        transport="parallel",
        connections=10,
        deadline=20.0,
        clock=SystemClock(),
    )
    halted: list[bool] = []
    asker = Asker(
        stores.ledger,
        budget,
        one_source(source),
        SystemClock(),
        lambda: bool(halted),
        sleep=lambda seconds: time.sleep(min(seconds, 0.05)),
    )
    for number in range(3):
        date = FINAL + dt.timedelta(days=number - 1)
        state = DayState.FINAL if date <= FINAL else DayState.PROVISIONAL
        copy_day(source, stores, Day(SITE, "query_page", "web", date), state)
    yield Spots(stores, asker, halted)
    source.close()
    budget.close()


def one_source(source: SearchConsole) -> Sources:
    """All sites are read by this one."""
    key = Key(Path("key.json"), source.credential, "", Choice(("*",)))
    return Sources(Keyring((key,)), lambda _file: source)


def copy_day(source: SearchConsole, stores: Stores, day: Day, state: DayState) -> None:
    """Fetch a day and publish it."""
    arrived: queue.SimpleQueue[Response | GscdError] = queue.SimpleQueue()
    query = Query(1, day.site, day.date, day.search_type, QUERY_PAGE.dimensions, final_only=state is DayState.FINAL)
    source.fetch_query_batch([query], [0.0], lambda _query, result: arrived.put(result))
    response = arrived.get()
    assert not isinstance(response, GscdError), response
    token = stores.sink.highest_token() + 1
    now = dt.datetime.now(dt.UTC)
    stores.sink.publish(Publication(day, 1, token, QUERY_PAGE.dimensions, state, now), [response.body.rows()])


def test_what_was_copied_is_as_the_api_gives_it(spots: Spots) -> None:
    checked = spots.check()
    assert len(checked) > 20
    assert [one for one in checked if one.differing or one.lacking or one.failure] == []
    assert sum(one.rows for one in checked) >= len(checked)


@pytest.mark.parametrize(
    "harm",
    [
        "UPDATE query_page SET clicks = clicks + 1",
        "UPDATE query_page SET position = position + 0.001",
        "UPDATE query_page SET ctr = ctr + 0.001",
        "UPDATE query_page SET query = query || 'x'",
    ],
)
def test_altered_rows_are_found(spots: Spots, harm: str) -> None:
    assert spots.stores.harm(harm)
    checked = spots.check()
    assert all(one.differing == one.rows > 0 for one in checked)
    final = [one for one in checked if one.day.date <= FINAL]
    assert all(one.wrong for one in final)
    assert [one for one in checked if one not in final and one.wrong] == []
    assert str(checked[0]).endswith(f"{checked[0].rows} of {checked[0].rows} rows differ") or checked[0].lacking


def test_rows_that_postgres_lacks_are_found(spots: Spots) -> None:
    harm = "DELETE FROM query_page AS one USING query_page AS other WHERE one.page = other.page AND one.key < other.key"
    assert spots.stores.harm(f"{harm} AND one.date = other.date")
    found = [one for one in spots.check(100) if one.lacking and one.day.date <= FINAL]
    assert found
    assert all(one.wrong and not one.differing for one in found)
    spots.stores.harm("UPDATE receipts SET truncated = true")
    found = [one for one in spots.check(100) if one.lacking]
    assert found
    assert not any(one.wrong for one in found)  # Google may well have more than it gave


def test_the_budget_is_asked_and_the_ledger_told(spots: Spots, emulator: Emulator) -> None:
    before = emulator.stats()["seen"]["query"]["count"]
    asked = len(spots.check())
    assert emulator.stats()["seen"]["query"]["count"] == before + asked
    assert sum(send.queries for send in spots.stores.ledger.recent_sends()) == asked
    used = {usage.scope: usage.used for usage in spots.asker.budget.usage()}
    assert used["site"] == used["user"] == used["project"] == asked


def test_nothing_is_sent_while_halted(spots: Spots, emulator: Emulator) -> None:
    before = emulator.stats()["seen"]["query"]["count"]
    spots.halted.append(True)
    with pytest.raises(TryAgain, match="halted"):
        spots.check()
    assert emulator.stats()["seen"]["query"]["count"] == before


def test_what_passes_is_asked_again(spots: Spots, emulator: Emulator) -> None:
    emulator.configure(faults=(Fault("503", times=3),))
    assert [one for one in spots.check(5) if one.failure or one.wrong] == []


def test_what_does_not_pass_is_told(spots: Spots, emulator: Emulator) -> None:
    emulator.configure(faults=(Fault("503", rate=1.0),))
    checked = spots.check(3)
    assert checked
    assert all("not asked: " in str(one) for one in checked)


def test_a_refusal_slows_the_daemon_too(spots: Spots, emulator: Emulator) -> None:
    emulator.configure(faults=(Fault("qps", times=1),))
    spots.check(1)
    assert spots.stores.ledger.pace(spots.asker.sources.credential_of(SITE)).qpm is not None


def test_days_that_google_no_longer_keeps_are_not_asked_for(spots: Spots, monkeypatch: pytest.MonkeyPatch) -> None:
    beyond: Callable[[dt.date], dt.date] = lambda _today: FINAL  # noqa: E731
    monkeypatch.setattr(module.plan, "oldest_kept", beyond)
    assert {one.day.date for one in spots.check()} == {FINAL, FINAL + dt.timedelta(days=1)}
