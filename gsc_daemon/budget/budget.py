"""Step 4, check_rate: the budget as the pipeline asks it, over windows in Redis or, for one worker, in memory."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from gsc_daemon.budget.memory import MemoryWindows
from gsc_daemon.budget.rules import SECOND, RateLimits, rules_of
from gsc_daemon.budget.shared import RedisWindows
from gsc_daemon.budget.windows import Forgotten, Full, PastSend, ProjectOf, Taken, Windows, no_project
from gsc_daemon.clock import Clock, SystemClock
from gsc_daemon.errors import BudgetUnavailable, LedgerUnavailable
from gsc_daemon.events import emit
from gsc_daemon.model import BudgetFacts, Denial, Grant, Pace, Send, Usage

SETTLE: Final = 0.2  # seconds in which a grant given by a Redis that is no more has been noted in the ledger
SAVE_FROM: Final = 0.05  # part by which the pace must have changed to be saved anew
MEMORY: Final = "memory://"


class RateBudget:
    """Implements `gsc_daemon.ports.Budget`.

    Args:
        recent_sends, load_pace, save_pace: the ledger's. settle: waits before an empty Redis is filled.
    """

    def __init__(
        self,
        windows: Windows,
        limits: RateLimits,
        *,
        recent_sends: Callable[[float], Sequence[Send]],
        load_pace: Callable[[str], Pace],
        save_pace: Callable[[str, Pace], None],
        clock: Clock,
        settle: Callable[[float], None] = time.sleep,
    ) -> None:
        self._windows, self._limits, self._clock, self._settle = windows, limits, clock, settle
        self._recent_sends, self._load_pace, self._save_pace = recent_sends, load_pace, save_pace
        self._saved: dict[str, float | None] = {}

    def check_rate(self, site: str, credential: str, count: int, *, patience: float = 2.0) -> Grant | Denial:
        """Sending times for ``count`` queries of one site, or how long to wait.

        The patience counts until the *first* query may be sent; the others follow at the distance that the budget
        sets, however long that takes, so that a large batch under a small budget is slow but never refused for ever.
        Raises `BudgetUnavailable`.
        """
        answer = self._take(site, credential, count, round(patience * SECOND))
        self._remember(credential, answer.pace)
        if isinstance(answer, Full):
            return Denial(answer.wait / SECOND, answer.scope)
        return Grant(tuple(delay / SECOND for delay in answer.delays))

    def slow_down(self, site: str, credential: str, sent_at_ms: int) -> Pace:  # noqa: ARG002 - the pace is the user's
        """Google refused a query sent at that time (UTC ms). Gives the pace now. Raises `BudgetUnavailable`.

        Only the first refusal since the pace was lowered lowers it; those of queries that had been granted before are
        echoes of the same.
        """
        age = max(0, self._clock.wall_ms() - sent_at_ms)
        qpm, lowered = self._windows.slow(credential, age * 1000)
        if lowered:
            self._remember(credential, qpm)
        return Pace(qpm, self._clock.wall_ms())

    def usage(self) -> Sequence[Usage]:
        """Scopes that sent anything in the last minute, and the pace of a credential that has one."""
        return list(self._usage())

    def facts(self) -> BudgetFacts:
        """What the server says of itself. Raises `BudgetUnavailable`."""
        server, version, eviction = self._windows.server()
        began = self._clock.monotonic()
        self._windows.take("", "", 0, 0)
        return BudgetFacts(server, version, eviction, (self._clock.monotonic() - began) * 1000)

    def close(self) -> None:
        """Close the connection; the next question opens another."""
        self._windows.close()

    def _usage(self) -> Iterator[Usage]:
        quotas = {"site": self._limits.site_qpm, "user": self._limits.user_qpm, "project": self._limits.project_qpm}
        for used in self._windows.used():
            quota = quotas[used.scope]
            yield Usage(used.scope, used.name, used.queries, self._limits.budget(quota), quota)
            if used.pace is not None:
                yield Usage("pace", used.name, used.queries, round(used.pace), quota)

    def _take(self, site: str, credential: str, count: int, patience: int) -> Taken | Full:
        for _ in range(2):
            answer = self._windows.take(site, credential, count, patience)
            if not isinstance(answer, Forgotten):
                return answer
            self._fill(credential)
        raise BudgetUnavailable("Redis forgets at once what it is told", hint="See in its log why it restarts")

    def _fill(self, credential: str) -> None:
        """Redis knows nothing of the last minute: put back what the ledger noted."""
        self._settle(SETTLE)
        try:
            sends = self._recent_sends(60.0)
            names = {credential, *(send.credential for send in sends)}
            paces = {name: self._load_pace(name).qpm for name in sorted(names)}
        except LedgerUnavailable as error:
            raise BudgetUnavailable(
                f"Redis has forgotten the last minute, and it cannot be read from the ledger: {error}"
            ) from error
        now_ms = self._clock.wall_ms()
        past = [PastSend((send.at_ms - now_ms) * 1000, send.site, send.credential, send.queries) for send in sends]
        queries = self._windows.fill(past, paces)
        if queries > 0:
            emit("budget.refilled", queries=queries)

    def _remember(self, credential: str, qpm: float | None) -> None:
        """Keep the pace in the ledger; what it cannot take now is tried again with the next check."""
        if credential in self._saved and not _differs(qpm, self._saved[credential]):
            return
        with contextlib.suppress(LedgerUnavailable):
            if _differs(qpm, self._load_pace(credential).qpm):
                self._save_pace(credential, Pace(qpm, self._clock.wall_ms()))
                emit("pace.changed", credential=credential, pace_qpm=None if qpm is None else round(qpm, 1))
            self._saved[credential] = qpm


def _differs(one: float | None, other: float | None) -> bool:
    if one is None or other is None:
        return one is not other
    return abs(one - other) > SAVE_FROM * other


def make_budget(
    storage: str,
    limits: RateLimits,
    *,
    recent_sends: Callable[[float], Sequence[Send]],
    load_pace: Callable[[str], Pace],
    save_pace: Callable[[str, Pace], None],
    project_of: ProjectOf = no_project,
) -> RateBudget:
    """The budget over the windows that ``storage`` names: one of limits' Redis URIs, or ``memory://``."""
    rules = rules_of(limits)
    windows: Windows
    if storage == MEMORY:
        windows = MemoryWindows(rules, lambda: time.monotonic_ns() // 1000, project_of)
    else:
        windows = RedisWindows(storage, rules, project_of=project_of)
    return RateBudget(
        windows,
        limits,
        recent_sends=recent_sends,
        load_pace=load_pace,
        save_pace=save_pace,
        clock=SystemClock(),
    )
