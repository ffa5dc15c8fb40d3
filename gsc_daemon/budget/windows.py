"""Step 4, check_rate: what the windows are asked and what they answer, wherever they are kept. Times in microseconds.

A window is the set of sending times granted in one scope: the site, the user (one credential), its Cloud project. A
query is granted at the first moment at which, in every scope, it keeps its distance (window ÷ budget) from its
neighbours, so that nothing bursts, and at which what was granted since a window before it is less than the budget
(which says more than the distance only when a budget was lowered). Grants lie in the future, so sending times count,
not questions; a site with a small budget of its own leaves gaps, which others fill.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Taken:
    """Yes. delays: from now to each sending time, rising. pace: queries a minute or None."""

    delays: tuple[int, ...]
    pace: float | None


@dataclass(frozen=True, slots=True)
class Full:
    """No. wait: until the same question would be granted. scope: ``site``, ``user``, ``project`` or ``pace``."""

    wait: int
    scope: str
    pace: float | None


@dataclass(frozen=True, slots=True)
class Forgotten:
    """The windows know nothing of the last minute: they are new, or were lost. `Windows.fill` first."""


@dataclass(frozen=True, slots=True)
class PastSend:
    """Queries of the ledger that were granted before. offset: sending time minus now, so mostly negative."""

    offset: int
    site: str
    credential: str
    queries: int


@dataclass(frozen=True, slots=True)
class Used:
    """Queries of the last 60 s in one scope, and for the user its pace."""

    scope: str
    name: str
    queries: int
    pace: float | None = None


ProjectOf = Callable[[str], str]  # credential → its Cloud project


def no_project(_credential: str) -> str:
    """All credentials share one window, as where their files do not say."""
    return ""


class Windows(Protocol):
    """Moving windows of all scopes. Raises `BudgetUnavailable`."""

    def take(self, site: str, credential: str, count: int, patience: int) -> Taken | Full | Forgotten:
        """Sending times for ``count`` queries, all or none; ``patience`` is the longest time until the first."""

    def fill(self, sends: Sequence[PastSend], paces: Mapping[str, float | None]) -> int:
        """Put back what was sent, and the paces by credential; gives the queries, -1 if another process was faster."""

    def slow(self, credential: str, age: int) -> tuple[float, bool]:
        """Google refused what was sent ``age`` ago: the pace now, and whether it was lowered for that."""

    def used(self) -> Sequence[Used]:
        """Each scope that sent anything lately."""

    def server(self) -> tuple[str, tuple[int, ...], str]:
        """Name and version for people, version, eviction policy."""

    def close(self) -> None: ...
