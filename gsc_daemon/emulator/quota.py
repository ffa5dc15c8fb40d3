"""Emulator, quotas: calls in any second and any minute by site, user and project, and the cost of what is asked."""

from __future__ import annotations

import datetime as dt
import random
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple

from gsc_daemon.emulator.accounts import PROJECT
from gsc_daemon.emulator.config import EmulatorConfig
from gsc_daemon.emulator.replies import ApiError, load_exceeded, qps_exceeded, rate_limited
from gsc_daemon.emulator.request import Query

MINUTE: Final = 60.0
SECOND: Final = 1.0
_SHARE_OF_429: Final = 0.2  # of refusals when they are mixed; invented


class Scope(NamedTuple):
    """Whose calls are counted: ``kind`` is ``site``, ``user``, ``project`` or ``other``."""

    kind: str
    name: str


class Window:
    """Calls of the last ``span`` seconds (after ``now - span``, up to ``now``), and the most there ever were."""

    def __init__(self, span: float) -> None:
        self._span = span
        self._times: deque[float] = deque()
        self.most = 0

    def count(self, now: float) -> int:
        """Calls in the span that ends now."""
        times, edge = self._times, now - self._span
        while times and times[0] <= edge:
            times.popleft()
        return len(times)

    def add(self, now: float) -> None:
        """One call, now."""
        self._times.append(now)
        self.most = max(self.most, self.count(now))


class Counter:
    """Windows of a second and a minute for each scope."""

    def __init__(self) -> None:
        self._windows: dict[tuple[Scope, float], Window] = {}

    def window(self, scope: Scope, span: float) -> Window:
        """The window, made when it is first asked for."""
        key = (scope, span)
        if key not in self._windows:
            self._windows[key] = Window(span)
        return self._windows[key]

    def add(self, scopes: Iterator[Scope] | tuple[Scope, ...], now: float) -> None:
        """One call in all of these scopes."""
        for scope in scopes:
            self.window(scope, SECOND).add(now)
            self.window(scope, MINUTE).add(now)

    def most(self, span: float) -> dict[str, dict[str, int]]:
        """Kind of scope → name → the most calls in any such span."""
        found: dict[str, dict[str, int]] = {}
        for (scope, width), window in self._windows.items():
            if width == span:
                found.setdefault(scope.kind, {})[scope.name] = window.most
        return found


def scopes_of(site: str, user: str, project: str = PROJECT) -> tuple[Scope, ...]:
    """Whom a Search Analytics query counts for."""
    return Scope("site", site), Scope("user", user), Scope("project", project)


def _limits(config: EmulatorConfig) -> dict[str, tuple[tuple[float, int | None], ...]]:
    project = config.project_qpm if config.hidden_qpm is None else min(config.project_qpm, config.hidden_qpm)
    return {
        "site": ((SECOND, config.site_qps), (MINUTE, config.site_qpm)),
        "user": ((SECOND, config.user_qps), (MINUTE, config.user_qpm)),
        "project": ((SECOND, config.project_qps), (MINUTE, project)),
        "other": ((SECOND, config.other_qps), (MINUTE, config.other_qpm)),
    }


class Quotas:
    """Admits calls or refuses them; one state for all clients.

    `seen` counts every call for the statistics, whether refused or not.
    """

    def __init__(self, rng: random.Random) -> None:
        self._rng = rng
        self._charged = Counter()
        self.seen = Counter()

    def admit(self, scopes: tuple[Scope, ...], now: float, config: EmulatorConfig) -> None:
        """Count a call. Raises `ApiError` if a window is full."""
        self.seen.add(scopes, now)
        limits = _limits(config)
        full = any(
            limit is not None and self._charged.window(scope, span).count(now) >= limit
            for scope in scopes
            for span, limit in limits[scope.kind]
        )
        if not full or config.count_rejected:
            self._charged.add(scopes, now)
        if full:
            raise self.refusal(scopes[0].kind, config)

    def refusal(self, kind: str, config: EmulatorConfig) -> ApiError:
        """What Google says to too many queries: mostly 403, sometimes 429."""
        as_429 = config.refusal == "429" or (config.refusal == "mixed" and self._rng.random() < _SHARE_OF_429)
        error = rate_limited() if as_429 or kind == "other" else qps_exceeded()
        if config.retry_after_s is not None:
            error.headers["Retry-After"] = str(config.retry_after_s)
        return error


def cost_of(query: Query) -> float:
    """Load of a query. That dates, page and query make it dear is Google's word; the sizes are invented."""
    used = {*query.dimensions, *(item.dimension for item in query.filters)} & {"page", "query"}
    return ((query.last - query.first).days + 1) * (1.0, 5.0, 20.0)[len(used)]


class Load:
    """What each site's queries have cost, lately and on each Pacific day."""

    def __init__(self) -> None:
        self._recent: dict[str, deque[tuple[float, float]]] = {}
        self._daily: dict[tuple[str, dt.date], float] = {}

    def charge(self, site: str, query: Query, now: float, today: dt.date, config: EmulatorConfig) -> None:
        """Charge a query to its site. Raises `ApiError` instead if that would be more than there is."""
        recent = self._recent.setdefault(site, deque())
        while recent and recent[0][0] <= now - config.load_window_s:
            recent.popleft()
        cost, daily = cost_of(query), self._daily.get((site, today), 0.0)
        short = sum(one for _, one in recent)
        if config.load_short is not None and short + cost > config.load_short:
            raise load_exceeded()
        if config.load_daily is not None and daily + cost > config.load_daily:
            raise load_exceeded()
        if config.load_short is not None:
            recent.append((now, cost))
        self._daily[(site, today)] = daily + cost
