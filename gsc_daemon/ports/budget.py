"""The budget as the pipeline asks it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from gsc_daemon.model import BudgetFacts, Denial, Grant, Pace, Usage


class Budget(Protocol):
    """What we allow ourselves of Google's quota, shared by all workers through Redis.

    Raises `BudgetUnavailable` when Redis does not answer; then nothing may be sent.
    """

    def check_rate(self, site: str, credential: str, count: int, *, patience: float = 2.0) -> Grant | Denial:
        """Take ``count`` queries from the site's, the credential's and the project's windows, all or none.

        Args:
            patience: seconds until sending that are pacing; what could only be sent later is denied. A day that is
                half fetched asks with more, so that it is not overtaken again and again.
        """

    def slow_down(self, site: str, credential: str, sent_at_ms: int) -> Pace:
        """Google refused a query sent at that time (UTC ms): lower the credential's pace for all workers at once."""

    def usage(self) -> Sequence[Usage]: ...

    def facts(self) -> BudgetFacts: ...

    def close(self) -> None: ...
