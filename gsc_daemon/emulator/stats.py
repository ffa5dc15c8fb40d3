"""Emulator, statistics: what was asked, answered and refused, so that tests can say what a client did."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gsc_daemon.emulator.quota import MINUTE, SECOND, Quotas
from gsc_daemon.emulator.request import Query

_KEPT: Final = 100_000


class Fetch(NamedTuple):
    """What a query asks for: ``dates`` is one date or ``first..last``, ``shape`` the dimensions and filters."""

    site: str
    search_type: str
    dates: str
    shape: str
    state: str
    start_row: int

    @classmethod
    def of(cls, site: str, query: Query) -> Fetch:
        """The key of a query."""
        return cls(site, query.search_type, query.dates, query.shape, query.state, query.start_row)


@dataclass(slots=True)
class Seen:
    """Calls of one kind; times in seconds since 1970."""

    count: int = 0
    first: float = 0.0
    last: float = 0.0


class Record(NamedTuple):
    """One call and what became of it.

    Args:
        at: when it came, seconds since 1970. kind: ``query``, ``sites``, ``token``, ``batch`` or ``unknown``.
        answer: the kind of reply, such as ``rows`` or ``qps``. fault: the kind of fault put into it, or "".
        fetch: of a valid query.
    """

    at: float
    kind: str
    status: int
    answer: str
    fault: str
    site: str
    fetch: Fetch | None


class Stats:
    """Counts since the emulator started."""

    def __init__(self) -> None:
        self._seen: dict[str, Seen] = {}
        self._answers: Counter[str] = Counter()
        self._refused: Counter[str] = Counter()
        self._faults: Counter[str] = Counter()
        self._asked: Counter[Fetch] = Counter()
        self._served: Counter[Fetch] = Counter()
        self.records: deque[Record] = deque(maxlen=_KEPT)
        self.in_flight = self._most_in_flight = self.connections = self.all_connections = 0

    def saw(self, kind: str) -> float:
        """A call has come; gives when."""
        now = time.time()
        seen = self._seen.setdefault(kind, Seen(first=now))
        seen.count, seen.last = seen.count + 1, now
        return now

    def asked(self, fetch: Fetch) -> None:
        """A valid query has come."""
        self._asked[fetch] += 1

    def served(self, fetches: Iterable[Fetch]) -> None:
        """Their rows were sent whole."""
        self._served.update(fetches)

    def refused(self, kind: str) -> None:
        """A quota was used up; faults that look the same are not counted here."""
        self._refused[kind] += 1

    def answered(self, record: Record) -> None:
        """A call got its answer, or whatever a fault made of it."""
        self._answers[record.answer] += 1
        if record.fault:
            self._faults[record.fault] += 1
        self.records.append(record)

    def began(self) -> None:
        """One more call is under way."""
        self.in_flight += 1
        self._most_in_flight = max(self._most_in_flight, self.in_flight)

    def ended(self) -> None:
        """It is not any more."""
        self.in_flight -= 1

    def report(self, quotas: Quotas) -> dict[str, Any]:
        """Everything but the single records."""
        keys = sorted(self._asked)
        return {
            "seen": {kind: dataclasses.asdict(seen) for kind, seen in self._seen.items()},
            "answers": dict(self._answers),
            "refused": dict(self._refused),
            "faults": dict(self._faults),
            "most_in_60s": quotas.seen.most(MINUTE),
            "most_in_1s": quotas.seen.most(SECOND),
            "in_flight": self.in_flight,
            "most_in_flight": self._most_in_flight,
            "connections": self.connections,
            "all_connections": self.all_connections,
            "fetches": [{**key._asdict(), "asked": self._asked[key], "served": self._served[key]} for key in keys],
        }
