"""What the source is given and what it delivers, for its tests."""

from __future__ import annotations

import datetime as dt
import queue
from collections.abc import Callable, Sequence
from typing import Any

from gsc_daemon.errors import GscdError, SourceError
from gsc_daemon.model import Query
from gsc_daemon.ports import Response
from gsc_daemon.source import SearchConsole

MakeSource = Callable[..., SearchConsole]
SITE = "sc-domain:example.com"


def make_query(item_id: int = 1, **changes: Any) -> Query:
    values: dict[str, Any] = {
        "item_id": item_id,
        "site": SITE,
        "date": dt.date(2026, 8, 1),
        "search_type": "web",
        "dimensions": ("query", "page"),
    }
    return Query(**(values | changes))


class Inbox:
    """Takes what is delivered, by item id, and notices what comes twice."""

    def __init__(self) -> None:
        self._arrived: queue.Queue[tuple[Query, Response | GscdError]] = queue.Queue()
        self.got: dict[int, Response | GscdError] = {}

    def deliver(self, query: Query, result: Response | GscdError) -> None:
        self._arrived.put((query, result))

    def take(self, count: int = 1) -> list[Any]:
        """The next so many results, in the order of their arrival."""
        results: list[Any] = []
        for _ in range(count):
            query, result = self._arrived.get(timeout=20)
            assert query.item_id not in self.got, "delivered twice"
            self.got[query.item_id] = result
            results.append(result)
        return results

    def one(self) -> Any:
        return self.take(1)[0]

    def error(self) -> SourceError:
        result = self.one()
        assert isinstance(result, SourceError), result
        return result

    @property
    def empty(self) -> bool:
        return self._arrived.empty()

    def close(self) -> None:
        while not self._arrived.empty():
            query, result = self._arrived.get_nowait()
            self.got[-query.item_id] = result
        for result in self.got.values():
            if not isinstance(result, GscdError):
                result.body.close()


def fetch(source: SearchConsole, inbox: Inbox, queries: Sequence[Query], delays: Sequence[float] | None = None) -> None:
    source.fetch_query_batch(queries, delays or [0.0] * len(queries), inbox.deliver)
