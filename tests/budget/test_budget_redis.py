"""The budget as the pipeline asks it, over a real Redis that is restarted, emptied, frozen, full or closed to us."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import redis as driver

from gsc_daemon import events, servers
from gsc_daemon.budget import RateBudget, RateLimits, make_budget
from gsc_daemon.budget.rules import SECOND, Rules
from gsc_daemon.budget.shared import RedisWindows
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import BudgetUnavailable, LedgerUnavailable
from gsc_daemon.model import Denial, Grant, Pace, Send

LIMITS = RateLimits(75, 75, 75, 0.8)  # a budget of 60
SITE, USER = "sc-domain:example.com", "robot"


class Notes:
    """What the ledger would hold."""

    def __init__(self) -> None:
        self.sends: list[Send] = []
        self.paces: dict[str, Pace] = {}
        self.locked = False

    def recent_sends(self, seconds: float) -> Sequence[Send]:
        if self.locked:
            raise LedgerUnavailable("the ledger is locked")
        return [send for send in self.sends if send.at_ms > time.time() * 1000 - seconds * 1000]

    def pace(self, credential: str) -> Pace:
        return self.paces.get(credential, Pace())

    def save_pace(self, credential: str, pace: Pace) -> None:
        if self.locked:
            raise LedgerUnavailable("the ledger is locked")
        self.paces[credential] = pace

    def note(self, grant: Grant | Denial, site: str = SITE) -> None:
        assert isinstance(grant, Grant)
        now = time.time()
        self.sends += [Send(round((now + delay) * 1000), site, USER, 1) for delay in grant.delays]

    def budget(self, url: str, limits: RateLimits = LIMITS) -> RateBudget:
        return make_budget(url, limits, recent_sends=self.recent_sends, load_pace=self.pace, save_pace=self.save_pace)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def told() -> Iterator[list[tuple[str, dict[str, events.Value]]]]:
    told: list[tuple[str, dict[str, events.Value]]] = []
    events.subscribe(lambda name, _spec, fields: told.append((name, fields)))
    yield told
    events.clear()


def client_of(server: servers.Redis) -> driver.Redis:
    return driver.Redis.from_url(server.url.replace("redis+unix://", "unix://"))


@pytest.mark.parametrize("storage", ["redis", "memory"])
def test_a_grant_a_denial_and_what_was_used(notes: Notes, redis_url: str, storage: str) -> None:
    budget = notes.budget(redis_url if storage == "redis" else "memory://")
    granted = budget.check_rate(SITE, USER, 10)
    assert isinstance(granted, Grant)
    assert granted.delays[0] == 0
    assert {round(after - before, 6) for before, after in itertools.pairwise(granted.delays)} == {1.01}
    denied = budget.check_rate(SITE, USER, 1)
    assert isinstance(denied, Denial)
    assert 8 < denied.wait <= 10.1 - 2
    assert denied.scope == "site"
    assert isinstance(budget.check_rate(SITE, USER, 1, patience=15), Grant)
    used = {usage.scope: usage for usage in budget.usage()}
    assert set(used) == {"site", "user", "project"}
    assert (used["site"].name, used["user"].name) == (SITE, USER)
    assert (used["site"].budget, used["site"].quota) == (60, 75)
    assert used["site"].used >= 1
    budget.close()


def test_a_redis_that_was_restarted_empty_is_filled_from_the_ledger_first(
    notes: Notes, own_redis: servers.Redis, told: list
) -> None:
    budget = notes.budget(own_redis.url)
    notes.note(budget.check_rate(SITE, USER, 10))
    assert told == []
    own_redis.kill()
    with pytest.raises(BudgetUnavailable, match="cannot be reached"):
        budget.check_rate(SITE, USER, 1)
    own_redis.start()
    denied = budget.check_rate(SITE, USER, 1)
    assert isinstance(denied, Denial)
    assert denied.wait > 5
    assert told == [("budget.refilled", {"queries": 10})]


def test_an_emptied_redis_is_filled_by_the_first_that_asks_and_only_once(
    notes: Notes, redis_server: servers.Redis, redis_url: str, told: list
) -> None:
    budgets = [notes.budget(redis_url), notes.budget(redis_url)]
    notes.note(budgets[0].check_rate(SITE, USER, 5))
    redis_server.flush()
    assert all(isinstance(budget.check_rate(SITE, USER, 1), Denial) for budget in budgets)
    assert [name for name, _ in told] == ["budget.refilled"]


def test_nothing_is_granted_when_redis_has_forgotten_and_the_ledger_cannot_be_read(
    notes: Notes, redis_url: str
) -> None:
    notes.locked = True
    with pytest.raises(BudgetUnavailable, match="the ledger is locked"):
        notes.budget(redis_url).check_rate(SITE, USER, 1)
    notes.locked = False
    assert isinstance(notes.budget(redis_url).check_rate(SITE, USER, 1), Grant)


@pytest.mark.timeout(10)
def test_a_frozen_redis_is_away_and_is_back_when_it_answers(notes: Notes, own_redis: servers.Redis) -> None:
    budget = notes.budget(own_redis.url)
    budget.check_rate(SITE, USER, 1)
    own_redis.freeze()
    for _ in range(2):
        with pytest.raises(BudgetUnavailable, match=r"did not answer within 0\.25 s"):
            budget.check_rate(SITE, USER, 1)
    own_redis.thaw()
    assert isinstance(budget.check_rate(SITE, USER, 1), Grant)


def test_a_redis_that_closes_the_line_is_asked_once_and_no_more(notes: Notes) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        budget = notes.budget(f"redis://127.0.0.1:{server.getsockname()[1]}/0")

        def ask() -> None:
            with pytest.raises(BudgetUnavailable, match="cannot be reached"):
                budget.check_rate(SITE, USER, 1)

        asked = threading.Thread(target=ask)
        asked.start()
        calls = 0
        while True:
            try:
                server.accept()[0].close()
            except TimeoutError:
                break
            calls += 1
        asked.join()
    assert calls == 1


def test_a_redis_without_memory_a_replica_and_a_closed_one_are_told_apart(
    notes: Notes, own_redis: servers.Redis
) -> None:
    budget = notes.budget(own_redis.url)
    budget.check_rate(SITE, USER, 1)
    with client_of(own_redis) as client:
        before = budget.usage()
        client.config_set("maxmemory", 1)
        with pytest.raises(BudgetUnavailable, match=r"has no memory left\. .*noeviction"):
            budget.check_rate(SITE, USER, 1)
        client.config_set("maxmemory", 0)
        assert budget.usage() == before
        client.execute_command("REPLICAOF", "127.0.0.1", "1")
        with pytest.raises(BudgetUnavailable, match="is a replica"):
            budget.check_rate(SITE, USER, 1)
        client.execute_command("REPLICAOF", "NO", "ONE")
        client.config_set("requirepass", "pass-of-redis")
    stranger = notes.budget(own_redis.url)
    with pytest.raises(BudgetUnavailable, match="refuses the password"):
        stranger.check_rate(SITE, USER, 1)
    wrong = notes.budget(f"{own_redis.url}?password=not-the-one")
    with pytest.raises(BudgetUnavailable, match="refuses the password") as refused:
        wrong.check_rate(SITE, USER, 1)
    assert "not-the-one" not in str(refused.value)
    right = notes.budget(f"{own_redis.url}?password=pass-of-redis")
    assert isinstance(right.check_rate(SITE, USER, 1), Grant)


def test_an_address_that_makes_no_sense_is_not_repeated(notes: Notes) -> None:
    for storage in ("redis://:secret-word@[::1", "nonsense://:secret-word@host", "redis://:x@host:secret-word/0"):
        with pytest.raises(BudgetUnavailable) as refused:
            notes.budget(storage).check_rate(SITE, USER, 1)
        assert "secret-word" not in str(refused.value)
        assert refused.value.__suppress_context__


def test_a_script_that_redis_forgot_is_loaded_again(notes: Notes, redis_server: servers.Redis, redis_url: str) -> None:
    budget = notes.budget(redis_url)
    assert isinstance(budget.check_rate(SITE, USER, 1), Grant)
    with client_of(redis_server) as client:
        client.script_flush()
    assert isinstance(budget.check_rate(SITE, USER, 1), Grant)


def test_a_check_is_one_round_trip(notes: Notes, redis_server: servers.Redis, redis_url: str) -> None:
    budget = notes.budget(redis_url)
    budget.check_rate(SITE, USER, 1)
    with client_of(redis_server) as client:
        before = client.info("commandstats")
        for _ in range(5):
            budget.check_rate(SITE, USER, 1)
        after = client.info("commandstats")
    assert after["cmdstat_evalsha"]["calls"] - before["cmdstat_evalsha"]["calls"] == 5
    assert after.get("cmdstat_eval") == before.get("cmdstat_eval")
    assert after["cmdstat_script|load"] == before["cmdstat_script|load"]


def test_what_redis_says_of_itself(notes: Notes, redis_url: str) -> None:
    facts = notes.budget(redis_url).facts()
    assert facts.server.split()[0] in ("Redis", "Valkey")
    assert facts.version >= (6, 2)
    assert facts.eviction == "noeviction"
    assert facts.round_trip_ms > 0


def test_a_refusal_lowers_the_pace_for_all_and_echoes_do_not(notes: Notes, redis_url: str, told: list) -> None:
    one, other = notes.budget(redis_url), notes.budget(redis_url)
    grant = one.check_rate(SITE, USER, 2)
    sent_ms = round(time.time() * 1000)
    assert isinstance(grant, Grant)
    assert one.slow_down(SITE, USER, sent_ms).qpm == 30
    assert other.slow_down(SITE, USER, sent_ms).qpm == 30
    denied = other.check_rate("https://elsewhere.example/", USER, 1)
    assert isinstance(denied, Denial)
    assert denied.scope == "pace"
    assert notes.paces[USER].qpm == 30
    assert told == [("pace.changed", {"credential": USER, "pace_qpm": 30.0})]
    pace = [usage for usage in one.usage() if usage.scope == "pace"]
    assert [(usage.name, usage.budget) for usage in pace] == [(USER, 30)]


def test_the_pace_outlives_redis(notes: Notes, redis_server: servers.Redis, redis_url: str) -> None:
    notes.paces[USER] = Pace(20.0, 1)
    grant = notes.budget(redis_url).check_rate(SITE, USER, 3)
    assert isinstance(grant, Grant)
    assert grant.delays == (0.0, 3.03, 6.06)


def test_a_ledger_that_is_locked_gets_the_pace_with_a_later_check(notes: Notes, redis_url: str) -> None:
    budget = notes.budget(redis_url)
    budget.check_rate(SITE, USER, 1)
    notes.locked = True
    budget.slow_down(SITE, USER, round(time.time() * 1000))
    assert USER not in notes.paces
    notes.locked = False
    budget.check_rate(SITE, USER, 1)
    assert notes.paces[USER].qpm == 30


def in_children(work: Callable[[int], None], children: int) -> None:
    pids = []
    for number in range(children):
        pid = os.fork()
        if pid == 0:
            try:
                work(number)
                os._exit(0)
            except BaseException:  # noqa: BLE001 - seen by the exit code
                os._exit(1)
        pids.append(pid)
    assert [os.waitpid(pid, 0)[1] for pid in pids] == [0] * children


def test_three_processes_keep_one_budget_and_use_all_of_it(
    notes: Notes, redis_server: servers.Redis, redis_url: str, tmp_path: Path
) -> None:
    """A window of 1 s with 96 queries stands for the minute; Redis' own clock counts."""
    window, seconds = SECOND, 6
    rules = Rules(96, 96, 4000, window=window)

    def budget() -> RateBudget:
        return RateBudget(
            RedisWindows(redis_url, rules),
            LIMITS,
            recent_sends=notes.recent_sends,
            load_pace=notes.pace,
            save_pace=notes.save_pace,
            clock=SystemClock(),
        )

    budget().check_rate(SITE, USER, 0)
    made_before_the_fork = budget()
    until = time.monotonic() + seconds

    def work(number: int) -> None:
        while time.monotonic() < until:
            answer = made_before_the_fork.check_rate(SITE, USER, 5, patience=0.1)
            time.sleep(answer.wait if isinstance(answer, Denial) else 0)

    with client_of(redis_server) as client, client.monitor() as monitor:
        in_children(work, 3)
        client.echo("over")
        sent = []
        for seen in monitor.listen():
            words = seen["command"].split()
            if words[0] == "ECHO":
                break
            if words[0] == "ZADD" and words[1].startswith("gscd:{budget}:site:"):
                sent += [int(word) for word in words[2::2]]
    sent.sort()
    assert all(after - before >= window / 96 for before, after in itertools.pairwise(sent))
    assert all(later - earlier >= window for earlier, later in zip(sent, sent[96:], strict=False))
    assert len(sent) >= 0.95 * 96 * (sent[-1] - sent[0]) / window
