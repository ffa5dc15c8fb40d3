"""Step 4, check_rate: the figures that the budget is worked out by, from the settings and from Google's quotas."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

SECOND: Final = 1_000_000  # all times of the budget are whole microseconds
# Google counts 60 s when queries arrive, we when they leave: 1% more leaves room for journeys of unequal length.
WINDOW: Final = 60 * SECOND + 600_000


@dataclass(frozen=True, slots=True)
class RateLimits:
    """Google's quotas in queries a minute, and the part of each that we allow ourselves (0 to 1]."""

    site_qpm: int
    user_qpm: int
    project_qpm: int
    budget_share: float

    def budget(self, quota: int) -> int:
        """Queries a minute that we allow ourselves of a quota; never none."""
        return max(1, math.floor(quota * self.budget_share + 1e-9))  # 0.29 × 100 is 28.999…


@dataclass(frozen=True, slots=True)
class PaceRules:
    """How the pace follows Google's refusals: additive increase, multiplicative decrease (Chiu and Jain, 1989).

    Args:
        halve: factor when Google refuses soon after the pace was set, so that it is far too fast.
        ease: factor when the pace had held, and how much of what Google took in the last minute is safe.
        pause, longest: microseconds without any query after a refusal, so that a window of Google's that overflowed
            drains; doubled while Google refuses again at once.
        steady: queries after which a pace has held; until then it does not rise.
        quick, slow: rise with each query, far below the pace that was refused last and near it. Near it a tenth takes
            about 1,300 queries, so that the few refusals that end the rise stay under 2%.
        near: part of the pace refused last from which on it is near.
        floor: queries a minute that are always tried.
    """

    halve: float = 0.5
    ease: float = 0.9
    pause: int = 5 * SECOND
    longest: int = 20 * SECOND
    steady: int = 32
    quick: float = 0.002
    slow: float = 0.00008
    near: float = 0.88
    floor: float = 6.0

    def arguments(self) -> tuple[float | int, ...]:
        """In the order in which the script reads them."""
        return (
            self.halve,
            self.ease,
            self.pause,
            self.longest,
            self.steady,
            self.quick,
            self.slow,
            self.near,
            self.floor,
        )


@dataclass(frozen=True, slots=True)
class Rules:
    """What a check is decided by.

    Args:
        site, user, project: queries a window. window: microseconds.
    """

    site: int
    user: int
    project: int
    window: int = WINDOW
    pace: PaceRules = PaceRules()

    @property
    def tightest(self) -> int:
        """The budget that holds when one site is worked on."""
        return min(self.site, self.user, self.project)

    def spacing(self, per_window: float) -> int:
        """Microseconds between two queries so that no window holds more than ``per_window``."""
        return math.ceil(self.window / per_window)


def rules_of(limits: RateLimits) -> Rules:
    """The figures for these quotas."""
    return Rules(limits.budget(limits.site_qpm), limits.budget(limits.user_qpm), limits.budget(limits.project_qpm))
