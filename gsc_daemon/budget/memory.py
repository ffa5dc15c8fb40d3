"""Step 4, check_rate: the windows of one process alone (``memory://``, one worker).

The same arithmetic as in ``windows.lua``, line by line: a test holds the two against each other.
"""

from __future__ import annotations

import bisect
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gsc_daemon.budget.rules import SECOND, Rules
from gsc_daemon.budget.windows import Forgotten, Full, PastSend, ProjectOf, Taken, Used, no_project

Name = tuple[str, str]  # scope and name


@dataclass(slots=True)
class PaceState:
    """A credential's pace. ceiling: what was refused last. since: when it begins to hold. pause: before that."""

    qpm: float
    ceiling: float
    since: int
    pause: int


@dataclass(slots=True)
class Scope:
    """One scope for one question: what lies ahead, and where its window is full.

    Args:
        full: index in ``log`` of the time that must be over before the first query; negative where there is room.
    """

    name: str
    distance: int
    ahead: deque[int]
    log: Sequence[int] = ()
    full: int = 0
    window: int = 0

    def free_from(self, at: int, place: int) -> int:
        """The first moment from ``at`` on at which there is room for the question's query number ``place``."""
        if 0 <= self.full + place < len(self.log):
            at = max(at, self.log[self.full + place] + self.window)
        while self.ahead and self.ahead[0] < at + self.distance:
            taken = self.ahead.popleft()
            if taken > at - self.distance:
                at = taken + self.distance
        return at


def _find(scopes: Sequence[Scope], at: int, place: int) -> tuple[int, str]:
    """The same for all scopes, and which of them held it up last."""
    held_by = ""
    before = -1
    while at != before:
        before = at
        for scope in scopes:
            free = scope.free_from(at, place)
            if free > at:
                at, held_by = free, scope.name
    return at, held_by


class MemoryWindows:
    """Args: now: microseconds of the clock that counts. project_of: the Cloud project of a credential."""

    def __init__(self, rules: Rules, now: Callable[[], int], project_of: ProjectOf = no_project) -> None:
        self.rules, self._now, self._project_of = rules, now, project_of
        self._logs: dict[Name, list[int]] = {}
        self._paces: dict[str, PaceState] = {}
        self._refused: dict[str, list[int]] = {}
        self._filled = False

    def take(self, site: str, credential: str, count: int, patience: int) -> Taken | Full | Forgotten:
        if not self._filled:
            return Forgotten()
        now, pace = self._now(), self._paces.get(credential)
        names: list[Name] = [("site", site), ("user", credential), ("project", self._project_of(credential))]
        budgets = (self.rules.site, self.rules.user, self.rules.project)
        scopes = [self._scope(name, budget, now) for name, budget in zip(names, budgets, strict=True)]
        at = now
        if pace is not None:
            scopes.append(self._pace_scope(credential, pace, now))
            at = max(at, pace.since)
        first, held_by = _find(scopes, at, 0)
        if first > now + patience:
            return Full(first - patience - now, held_by or "pace", pace.qpm if pace else None)
        distance = max(scope.distance for scope in scopes)
        times: list[int] = []
        at = first
        for place in range(count):
            at, _ = _find(scopes, at, place)
            times.append(at)
            at += distance
        for name in names:
            self._note(name, times, now)
        return Taken(tuple(time - now for time in times), self._rise(credential, now, count))

    def _scope(self, name: Name, budget: int, now: int) -> Scope:
        log, distance = self._logs.get(name, []), self.rules.spacing(budget)
        ahead = deque(log[bisect.bisect_right(log, now - distance) :])
        return Scope(name[0], distance, ahead, log, len(log) - budget, self.rules.window)

    def _pace_scope(self, credential: str, pace: PaceState, now: int) -> Scope:
        log, distance = self._logs.get(("user", credential), []), self.rules.spacing(pace.qpm)
        return Scope("pace", distance, deque(log[bisect.bisect_right(log, now - distance) :]))

    def _note(self, name: Name, times: Sequence[int], now: int) -> None:
        log = self._logs.setdefault(name, [])
        del log[: bisect.bisect_right(log, now - self.rules.window)]
        for at in times:
            bisect.insort(log, at)

    def _rise(self, credential: str, now: int, count: int) -> float | None:
        """The pace rises a little with each query, once it has held for a while."""
        pace, rules = self._paces.get(credential), self.rules.pace
        if pace is None:
            return None
        if now > pace.since + rules.steady * self.rules.spacing(pace.qpm):
            rise = rules.quick if pace.qpm < rules.near * pace.ceiling else rules.slow
            pace.qpm *= 1 + rise * count
        if pace.qpm >= self.rules.tightest:
            del self._paces[credential]
            return None
        return pace.qpm

    def fill(self, sends: Sequence[PastSend], paces: Mapping[str, float | None]) -> int:
        if self._filled:
            return -1
        now, window = self._now(), self.rules.window
        self._filled = True
        queries = 0
        for send in sorted(sends, key=lambda send: send.offset):
            if send.offset <= -window:
                continue
            at = now + (send.offset if send.offset <= window else 0)  # further ahead: the clock was set back
            project = self._project_of(send.credential)
            for name in (("site", send.site), ("user", send.credential), ("project", project)):
                log = self._logs.setdefault(name, [])
                for _ in range(send.queries):
                    log.append(max(at, log[-1] + 1) if log else at)
            queries += send.queries
        for credential, pace in paces.items():
            if pace is not None:
                self._paces[credential] = PaceState(pace, pace, 0, 0)
        return queries

    def slow(self, credential: str, age: int) -> tuple[float, bool]:
        now, rules = self._now(), self.rules.pace
        sent = now - age
        refused = [at for at in self._refused.get(credential, []) if at > now - self.rules.window]
        self._refused[credential] = [*refused, sent]
        pace = self._paces.get(credential)
        if pace is not None and sent < pace.since:
            return pace.qpm, False
        log = self._logs.get(("user", credential), [])
        accepted = self._between(log, sent) - self._between(self._refused[credential], sent)
        before = min(pace.qpm, self.rules.tightest) if pace else self.rules.tightest
        held = pace is not None and sent >= pace.since + rules.steady * self.rules.spacing(pace.qpm)
        lower, ceiling = before * (rules.ease if held else rules.halve), before
        if accepted * rules.ease > lower or (not held and accepted >= lower):
            lower, ceiling = accepted * rules.ease, min(before, accepted)
        qpm = min(before, max(lower, rules.floor))
        pause = rules.pause if pace is None or held else min(2 * pace.pause, rules.longest)
        since = max(now, log[-1] if log else 0) + pause
        self._paces[credential] = PaceState(qpm, ceiling, since, pause)
        return qpm, True

    def _between(self, times: Sequence[int], until: int) -> int:
        return sum(1 for at in times if until - 60 * SECOND < at <= until)

    def used(self) -> Sequence[Used]:
        now = self._now()
        found = []
        for (scope, name), log in sorted(self._logs.items()):
            pace = self._paces.get(name) if scope == "user" else None
            found.append(Used(scope, name, self._between(log, now), pace.qpm if pace else None))
        return [used for used in found if used.queries]

    def server(self) -> tuple[str, tuple[int, ...], str]:
        return "memory of this process", (), ""

    def close(self) -> None:
        """Nothing is held."""
