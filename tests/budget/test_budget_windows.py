"""The windows in Redis and in memory: the same arithmetic, held against a brute-force count of every window."""

from __future__ import annotations

import itertools
import random
from collections.abc import Callable, Iterator

import pytest
import redis as driver

from gsc_daemon.budget.memory import MemoryWindows
from gsc_daemon.budget.rules import SECOND, WINDOW, RateLimits, Rules, rules_of
from gsc_daemon.budget.shared import SCRIPT, RedisWindows
from gsc_daemon.budget.windows import Forgotten, Full, PastSend, Taken, Windows

PATIENCE = 2 * SECOND
CLOCK = "redis.call('TIME')"
CLOCK_KEY = "gscd:{budget}:test-clock"


class Time:
    """A clock in microseconds that tests set, for both kinds of windows."""

    def __init__(self, client: driver.Redis) -> None:
        self.client = client
        self.set(1_700_000_000 * SECOND)

    def set(self, now: int) -> None:
        self.now = now
        self.client.set(CLOCK_KEY, now // SECOND)
        self.client.set(CLOCK_KEY + "-us", now % SECOND)

    def forward(self, microseconds: int) -> None:
        self.set(self.now + microseconds)


@pytest.fixture
def client(redis_url: str) -> Iterator[driver.Redis]:
    with driver.Redis.from_url(redis_url.replace("redis+unix://", "unix://")) as client:
        yield client


@pytest.fixture
def time(client: driver.Redis) -> Time:
    return Time(client)


def in_redis(url: str, rules: Rules) -> RedisWindows:
    """Windows whose clock is `Time`; everything else of the script is as it ships."""
    assert SCRIPT.count(CLOCK) == 1
    clock = f"{{redis.call('GET', '{CLOCK_KEY}'), redis.call('GET', '{CLOCK_KEY}-us')}}"
    return RedisWindows(url, rules, script=SCRIPT.replace(CLOCK, clock))


@pytest.fixture(params=["redis", "memory"])
def make(request: pytest.FixtureRequest, redis_url: str, time: Time) -> Iterator[object]:
    made: list[Windows] = []

    def build(rules: Rules) -> Windows:
        if request.param == "redis":
            windows: Windows = in_redis(redis_url, rules)
        elif made:
            windows = made[0]
            windows.rules = rules  # type: ignore[attr-defined]
        else:
            windows = MemoryWindows(rules, lambda: time.now)
        made.append(windows)
        return windows

    yield build
    for windows in made:
        windows.close()


def filled(windows: Windows) -> Windows:
    windows.fill([], {"c": None})
    return windows


def most_in_a_window(times: list[int], window: int = WINDOW) -> int:
    """The largest number of times in any half-open window of that length."""
    times = sorted(times)
    most = first = 0
    for place, at in enumerate(times):
        while times[first] <= at - window:
            first += 1
        most = max(most, place - first + 1)
    return most


def test_no_window_of_any_scope_holds_more_than_its_budget_and_sites_fill_each_others_gaps(make, time: Time) -> None:
    rules = Rules(site=30, user=60, project=60)
    windows = filled(make(rules))
    dice = random.Random(7)
    sent: dict[str, list[int]] = {"a": [], "b": []}
    for _ in range(1500):
        time.forward(dice.randrange(SECOND // 2))
        site = dice.choice("ab")
        answer = windows.take(site, "c", dice.choice([1, 2, 10]), PATIENCE)
        if isinstance(answer, Taken):
            sent[site] += [time.now + delay for delay in answer.delays]
    everything = sent["a"] + sent["b"]
    assert len(everything) > 300
    assert most_in_a_window(sent["a"]) <= 30
    assert most_in_a_window(sent["b"]) <= 30
    assert 55 < most_in_a_window(everything) <= 60


def test_queries_are_spread_evenly_and_never_burst(make, time: Time) -> None:
    windows = filled(make(rules_of(RateLimits(1200, 1200, 40_000, 0.8))))
    times: list[int] = []
    while isinstance(answer := windows.take("s", "c", 10, PATIENCE), Taken):
        times += [time.now + delay for delay in answer.delays]
    assert times[0] == time.now
    assert {after - before for before, after in itertools.pairwise(times)} == {63_125}
    assert most_in_a_window(times, SECOND) == 16


def test_a_denial_says_exactly_when_the_same_question_is_granted_and_takes_nothing(make, time: Time) -> None:
    windows = filled(make(Rules(60, 60, 60)))
    while isinstance(windows.take("s", "c", 3, PATIENCE), Taken):
        pass
    answer = windows.take("s", "c", 3, PATIENCE)
    assert isinstance(answer, Full)
    assert answer.scope == "site"
    time.forward(answer.wait - 1)
    before = windows.used()
    assert windows.take("s", "c", 3, PATIENCE) == Full(1, "site", None)
    assert windows.used() == before
    time.forward(1)
    assert isinstance(windows.take("s", "c", 3, PATIENCE), Taken)


@pytest.mark.parametrize(
    ("rules", "scope"), [(Rules(20, 60, 60), "site"), (Rules(60, 20, 60), "user"), (Rules(60, 60, 20), "project")]
)
def test_a_denial_names_the_scope_that_is_full_and_the_others_keep_their_room(make, time: Time, rules, scope) -> None:
    windows = filled(make(rules))
    assert isinstance(windows.take("s", "c", 10, PATIENCE), Taken)
    denied = windows.take("s", "c", 10, PATIENCE)
    assert isinstance(denied, Full)
    assert denied.scope == scope
    other = windows.take("other", "another", 1, PATIENCE)
    assert isinstance(other, Full if scope == "project" else Taken)
    assert sum(used.queries for used in windows.used() if used.scope == "project") <= 2


def test_a_batch_that_takes_longer_than_the_patience_by_itself_is_spread_and_not_refused(make, time: Time) -> None:
    windows = filled(make(Rules(48, 48, 48)))
    answer = windows.take("s", "c", 10, PATIENCE)
    assert isinstance(answer, Taken)
    assert answer.delays[-1] == 9 * 1_262_500


def test_more_patience_finds_a_later_place(make, time: Time) -> None:
    windows = filled(make(Rules(48, 48, 48)))
    windows.take("s", "c", 10, PATIENCE)
    assert isinstance(windows.take("s", "c", 1, PATIENCE), Full)
    assert windows.take("s", "c", 1, 15 * SECOND) == Taken((12_625_000,), None)


def test_a_budget_that_is_lowered_counts_what_was_sent_before(make, time: Time) -> None:
    windows = filled(make(Rules(60, 60, 60)))
    times = [time.now]
    assert windows.take("s", "c", 1, PATIENCE) == Taken((0,), None)
    for _ in range(59):
        time.forward(1_010_000)
        assert isinstance(windows.take("s", "c", 1, PATIENCE), Taken)
        times.append(time.now)
    windows = make(Rules(30, 60, 60))
    denied = windows.take("s", "c", 2, PATIENCE)
    assert isinstance(denied, Full)
    assert time.now + denied.wait + PATIENCE == times[30] + WINDOW


def test_new_windows_grant_nothing_until_they_are_filled_once(make, time: Time) -> None:
    windows = make(Rules(60, 60, 60))
    assert windows.take("s", "c", 1, PATIENCE) == Forgotten()
    sends = [PastSend(-70 * SECOND, "s", "c", 9), PastSend(-2 * SECOND, "s", "c", 30), PastSend(-SECOND, "s", "c", 28)]
    assert windows.fill(sends, {"c": None}) == 58
    assert windows.fill(sends, {"c": None}) == -1
    assert {(used.scope, used.queries) for used in windows.used()} == {("site", 58), ("user", 58), ("project", 58)}
    distance = WINDOW // 60
    assert windows.take("s", "c", 3, 60 * SECOND) == Taken(
        (distance - SECOND + 27, 2 * distance - SECOND + 27, WINDOW - 2 * SECOND), None
    )


def test_what_the_ledger_notes_far_ahead_counts_as_sent_now(make, time: Time) -> None:
    windows = make(Rules(60, 60, 60))
    windows.fill([PastSend(3_600 * SECOND, "s", "c", 60)], {"c": None})
    denied = windows.take("s", "c", 1, PATIENCE)
    assert isinstance(denied, Full)
    assert denied.wait + PATIENCE == WINDOW


def test_both_kinds_of_windows_answer_alike_whatever_is_asked(redis_url: str, time: Time) -> None:
    rules = Rules(site=50, user=90, project=120)
    shared, alone = in_redis(redis_url, rules), MemoryWindows(rules, lambda: time.now)
    dice = random.Random(3)
    sends = [PastSend(-dice.randrange(WINDOW + SECOND), dice.choice("ab"), "c", 1) for _ in range(30)]
    assert shared.fill(sends, {"c": 70.0}) == alone.fill(sends, {"c": 70.0}) > 20
    granted = lowered = 0
    for _ in range(1500):
        time.forward(dice.randrange(4 * SECOND))
        if dice.random() < 0.005:
            age, credential = dice.randrange(5 * SECOND), dice.choice("ccd")
            answers = shared.slow(credential, age), alone.slow(credential, age)
            lowered += answers[0][1]
        else:
            site, credential, count = dice.choice("ab"), dice.choice("ccccd"), dice.choice([1, 1, 2, 5, 5, 10, 60])
            patience = dice.choice([PATIENCE, 15 * SECOND])
            answers = shared.take(site, credential, count, patience), alone.take(site, credential, count, patience)
            granted += isinstance(answers[0], Taken)
        assert answers[0] == answers[1]
        assert list(shared.used()) == list(alone.used())
    assert granted > 100
    assert lowered > 3
    shared.close()


def test_the_windows_of_an_earlier_start_of_redis_do_not_count(redis_url: str, time: Time, client) -> None:
    """Redis came up from an old snapshot, or a replica took over: only the ledger knows the last minute."""
    windows = in_redis(redis_url, Rules(60, 60, 60))
    filled(windows)
    windows.take("gone", "c", 5, PATIENCE)
    client.hset("gscd:{budget}:epoch", "run", "0" * 40)
    assert windows.take("s", "c", 1, PATIENCE) == Forgotten()
    assert windows.fill([PastSend(-SECOND, "s", "c", 2)], {"c": None}) == 2
    assert [(used.name, used.queries) for used in windows.used()] == [("", 2), ("s", 2), ("c", 2)]
    windows.close()


def test_a_clock_of_redis_that_is_set_back_does_not_hold_everything_up(redis_url: str, time: Time) -> None:
    windows = in_redis(redis_url, Rules(60, 60, 60))
    filled(windows)
    windows.take("s", "c", 10, PATIENCE)
    time.forward(-3600 * SECOND)
    assert windows.take("s", "c", 1, PATIENCE) == Forgotten()
    windows.fill([], {"c": None})
    assert windows.take("s", "c", 1, PATIENCE) == Taken((0,), None)
    windows.close()


def test_keys_begin_with_our_name_share_one_slot_and_go_when_they_are_over(redis_url: str, time: Time, client) -> None:
    windows = in_redis(redis_url, rules_of(RateLimits(1200, 1200, 40_000, 0.8)))
    filled(windows)
    for _ in range(300):
        time.forward(SECOND)
        windows.take("sc-domain:example.com", "c", 10, PATIENCE)
    keys = [key.decode() for key in client.scan_iter(count=1000)]
    assert keys
    assert all(key.startswith("gscd:{budget}:") for key in keys)
    logs = [key for key in keys if key.split(":")[2] in ("site", "user", "project")]
    assert len(logs) == 3
    for key in logs:
        assert 606 <= client.zcard(key) <= 616
        assert 60 <= client.ttl(key) <= 64
    windows.close()


@pytest.mark.parametrize("kind", ["memory", "redis"])
def test_each_cloud_project_has_its_own_window(redis_url: str, time: Time, kind: str) -> None:
    """Two users of one project share its 60, a third of another project has 60 to itself."""
    rules = Rules(site=1000, user=60, project=60)

    def project_of(name: str) -> str:
        return "second" if name == "c" else "first"

    windows: Windows = in_redis(redis_url, rules)
    if kind == "memory":
        windows = MemoryWindows(rules, lambda: time.now, project_of)
    else:
        windows._project_of = project_of  # type: ignore[attr-defined]
    windows.fill([PastSend(-SECOND, "s", "a", 1)], {})
    assert windows.take("s", "a", 1, PATIENCE) == Taken((10_000,), None)
    assert windows.take("s", "b", 1, PATIENCE) == Taken((1_020_000,), None), "after the other user's"
    assert windows.take("t", "c", 1, PATIENCE) == Taken((0,), None), "beside them"
    sent = {used.name: used.queries for used in windows.used() if used.scope == "project"}
    assert sent.keys() == {"first", "second"}
    windows.close()


def test_an_emptied_redis_gets_every_credentials_pace_back(make: Callable[[Rules], Windows]) -> None:
    windows = make(Rules(site=60, user=60, project=60))
    windows.fill([PastSend(-SECOND, "s", name, 1) for name in "abc"], {"a": 30.0, "b": None, "c": 20.0})
    assert {used.name: used.pace for used in windows.used() if used.scope == "user"} == {
        "a": 30.0,
        "b": None,
        "c": 20.0,
    }
