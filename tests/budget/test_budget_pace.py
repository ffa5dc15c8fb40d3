"""The pace finds a limit that Google does not tell: six askers against a model of Google, on a clock of the test."""

from __future__ import annotations

import heapq
import itertools
import random
from dataclasses import dataclass, field

import pytest

from gsc_daemon.budget.memory import MemoryWindows
from gsc_daemon.budget.rules import SECOND, RateLimits, Rules, rules_of
from gsc_daemon.budget.windows import Full, PastSend, Taken

RULES = rules_of(RateLimits(1200, 1200, 40_000, 0.8))
USER = "robot"
MINUTE = 60 * SECOND


@dataclass
class Google:
    """Refuses what exceeds ``limit`` queries within ``span`` seconds; counts what it refuses, or not."""

    limit: int
    span: int
    counts_refused: bool
    arrived: list[int] = field(default_factory=list)

    def takes(self, at: int) -> bool:
        self.arrived = [before for before in self.arrived if before > at - self.span * SECOND]
        taken = len(self.arrived) < self.limit
        if taken or self.counts_refused:
            self.arrived.append(at)
        return taken


@dataclass
class Trial:
    """Answers by the time of arrival, from the first minute on."""

    taken: int = 0
    refused: int = 0
    pace: float | None = None


def trial(google: Google, minutes: int, *, rules: Rules = RULES, askers: int = 6) -> Trial:
    """Each asker wants ten queries, waits for their answers, and asks again; refusals are told when they are back."""
    dice, now, result = random.Random(1), 0, Trial()
    windows = MemoryWindows(rules, lambda: now)
    windows.fill([], {USER: None})
    order = itertools.count()
    due = [(dice.randrange(SECOND), next(order), "ask", 0) for _ in range(askers)]
    heapq.heapify(due)
    while due[0][0] < minutes * MINUTE:
        now, _, what, sent = heapq.heappop(due)
        if what == "ask":
            answer = windows.take("s", USER, 10, 2 * SECOND)
            if isinstance(answer, Full):
                later = [(now + round(answer.wait * dice.uniform(1, 1.1)), "ask", 0)]
            else:
                assert isinstance(answer, Taken)
                times = [now + delay for delay in answer.delays]
                later = [(at + dice.randrange(10_000, 60_000), "arrive", at) for at in times]
                later.append((times[-1] + round(SECOND * dice.lognormvariate(0, 0.3)), "ask", 0))
        elif what == "arrive":
            taken = google.takes(now)
            if now >= MINUTE:
                result.taken += taken
                result.refused += not taken
            later = [] if taken else [(now + dice.randrange(50_000, 200_000), "refused", sent)]
        else:
            result.pace, _ = windows.slow(USER, now - sent)
            later = []
        for at, word, about in later:
            heapq.heappush(due, (at, next(order), word, about))
    return result


@pytest.mark.parametrize("counts_refused", [False, True])
@pytest.mark.parametrize(("limit", "span"), [(5, 1), (60, 60), (250, 60), (8, 1)])
def test_a_hidden_limit_is_found_within_a_minute_and_nearly_all_of_it_used(
    limit: int, span: int, counts_refused: bool
) -> None:
    minutes = 12
    result = trial(Google(limit, span, counts_refused), minutes)
    assert result.refused <= 0.02 * (result.refused + result.taken)
    assert result.taken >= 0.85 * limit * 60 / span * (minutes - 1)


def test_without_refusals_at_least_95_of_100_of_the_budget_are_used() -> None:
    result = trial(Google(1200, 60, True), 4, askers=3)
    assert result.refused == 0
    assert 0.95 * 960 * 3 <= result.taken <= 960 * 3


def test_a_pace_that_google_takes_rises_until_the_budget_alone_holds() -> None:
    now = 0
    windows = MemoryWindows(RULES, lambda: now)
    windows.fill([PastSend(0, "s", USER, 1)], {USER: None})
    assert windows.slow(USER, 0) == (480.0, True)
    paces = [480.0]
    while paces[-1] is not None:
        answer = windows.take("s", USER, 10, 2 * SECOND)
        assert isinstance(answer, Taken | Full)
        now += answer.wait if isinstance(answer, Full) else answer.delays[-1]
        paces.append(answer.pace)
    assert paces[:-1] == sorted(paces[:-1])
    assert 60 * SECOND < now < 600 * SECOND


def test_only_queries_sent_at_the_new_pace_lower_it_again() -> None:
    now = 100 * SECOND
    windows = MemoryWindows(RULES, lambda: now)
    windows.fill([], {USER: None})
    ahead = windows.take("s", USER, 10, 2 * SECOND)
    assert isinstance(ahead, Taken)
    assert windows.slow(USER, 0) == (480.0, True)
    assert windows.slow(USER, -ahead.delays[-1]) == (480.0, False)
    answer = windows.take("s", USER, 1, 20 * SECOND)
    assert answer == Taken((ahead.delays[-1] + RULES.pace.pause,), 480.0)
    assert windows.slow(USER, -ahead.delays[-1] - RULES.pace.pause) == (240.0, True)
