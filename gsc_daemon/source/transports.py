"""Step 5, fetch, the two ways to send queries: one HTTP request each, or several in one multipart request."""

from __future__ import annotations

import contextlib
import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from gsc_daemon.clock import Clock
from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Query
from gsc_daemon.source import multipart, queries, refusals
from gsc_daemon.source.body import GzipBody, NotWhole, Refused, Store, inflate, unreadable
from gsc_daemon.source.flights import Flight
from gsc_daemon.source.lines import Incoming, Lines, NoAnswer

# Queries of a batch whose times lie closer together than this go into one multipart request, at the last of their
# times: no query is sent early, and what is sent late stays within the 1% that the budget allows for travel.
GROUP_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Answer:
    """One query's answer. Implements `ports.Response`."""

    query: Query
    body: GzipBody
    row_count: int
    received_ms: int
    seconds: float


Result = Answer | SourceError


class Transport(Protocol):
    """A way to send queries."""

    def groups(self, asked: Sequence[tuple[Query, float]]) -> list[tuple[tuple[Query, ...], float]]:
        """Which queries travel together, and after how many seconds they leave."""

    def ask(self, flight: Flight, group: Sequence[Query], token: Mapping[str, str]) -> Iterator[tuple[Query, Result]]:
        """Send them now, in the flight's thread; gives one result for each. Raises `Cut`."""


@dataclass(frozen=True, slots=True)
class Way:
    """What both ways need.

    Args:
        endpoint: scheme, host and port. credential: its name, for messages.
    """

    lines: Lines
    endpoint: str
    credential: str
    clock: Clock

    def refused(self, status: int, headers: Mapping[str, str], body: bytes, query: Query) -> SourceError:
        """What an answer other than rows means."""
        now = dt.datetime.fromtimestamp(self.clock.wall_ms() / 1000, dt.UTC)
        return refusals.refusal(status, headers, body, query=query, credential=self.credential, now=now)

    def checked(self, query: Query, body: GzipBody, began: float, arrived: tuple[float, int]) -> Result:
        """The answer, if its body is whole and has rows (or none)."""
        try:
            count = body.count()
        except NotWhole as error:
            body.close()
            return unreadable(query, error)
        except Refused as error:
            body.close()
            return self.refused(200, {}, error.body, query)
        if count > query.row_limit:
            body.close()
            return unreadable(query, NotWhole(f"it has {count:,} rows, where {query.row_limit:,} were asked for"))
        return Answer(query, body, count, arrived[1], arrived[0] - began)

    def now(self) -> tuple[float, int]:
        """By the clock that never goes back, and UTC milliseconds."""
        return self.clock.monotonic(), self.clock.wall_ms()


class Parallel(Way):
    """One HTTP request for each query, all at the same time."""

    def groups(self, asked: Sequence[tuple[Query, float]]) -> list[tuple[tuple[Query, ...], float]]:
        """Each on its own, at its own time."""
        return [((query,), delay) for query, delay in asked]

    def ask(self, flight: Flight, group: Sequence[Query], token: Mapping[str, str]) -> Iterator[tuple[Query, Result]]:
        """See `Transport`."""
        for query in group:
            yield query, self._ask(flight, query, token)

    def _ask(self, flight: Flight, query: Query, token: Mapping[str, str]) -> Result:
        headers = {**token, "Content-Type": "application/json"}
        url, data = self.endpoint + queries.path_of(query), queries.body_of(query)
        began = self.clock.monotonic()
        try:
            with self.lines.exchange(flight, "POST", url, headers, data) as incoming:
                if incoming.status != 200:
                    return self.refused(incoming.status, incoming.headers, incoming.read(), query)
                body = _take_in(incoming, query)
        except NoAnswer as error:
            return lost(query, error)
        except NotWhole as error:
            return unreadable(query, error)
        arrived = self.now()
        flight.check()
        return self.checked(query, body, began, arrived)


def _take_in(incoming: Incoming, query: Query) -> GzipBody:
    with Store(gzipped=incoming.gzipped) as store:
        for piece in incoming.pieces():
            store.write(piece)
        return store.finish(query)


def lost(query: Query, error: NoAnswer) -> SourceError:
    """The exchange failed on its way."""
    return SourceError(Refusal.TRANSIENT, error.message, hint=error.hint, **refusals.where(query))


class Multipart(Way):
    """Several queries in one HTTP request: fewer connections, the same quota."""

    def groups(self, asked: Sequence[tuple[Query, float]]) -> list[tuple[tuple[Query, ...], float]]:
        """Those whose times lie within a quarter of a second; see `GROUP_SECONDS`."""
        groups: list[tuple[tuple[Query, ...], float]] = []
        first = 0.0
        for query, delay in sorted(asked, key=lambda pair: pair[1]):
            if groups and delay - first <= GROUP_SECONDS and len(groups[-1][0]) < multipart.MOST_PARTS:
                groups[-1] = ((*groups[-1][0], query), delay)
            else:
                groups.append(((query,), delay))
                first = delay
        return groups

    def ask(self, flight: Flight, group: Sequence[Query], token: Mapping[str, str]) -> Iterator[tuple[Query, Result]]:
        """See `Transport`. The outer answer must be whole before any part of it counts."""
        content_type, data = multipart.encode([(queries.path_of(query), queries.body_of(query)) for query in group])
        headers = {**token, "Content-Type": content_type}
        began = self.clock.monotonic()
        parts: dict[int, tuple[multipart.Part, GzipBody]] = {}
        try:
            with self.lines.exchange(flight, "POST", f"{self.endpoint}/batch", headers, data) as incoming:
                if incoming.status == 200:
                    _take_apart(incoming, group, parts)
                text = b"" if incoming.status == 200 else incoming.read()
            arrived = self.now()
            for index, query in enumerate(group):
                flight.check()
                if incoming.status == 200:
                    yield query, self._settle(query, parts.pop(index, None), began, arrived)
                else:
                    yield query, self.refused(incoming.status, incoming.headers, text, query)
        except NoAnswer as error:
            yield from ((query, lost(query, error)) for query in group)
        except NotWhole as error:
            yield from ((query, unreadable(query, error)) for query in group)
        finally:
            for _, body in parts.values():
                body.close()

    def _settle(
        self, query: Query, found: tuple[multipart.Part, GzipBody] | None, began: float, arrived: tuple[float, int]
    ) -> Result:
        if found is None:
            return unreadable(query, NotWhole("its part of the batch is missing"))
        part, body = found
        if part.status == 200:
            return self.checked(query, body, began, arrived)
        text = body.read()
        body.close()
        return self.refused(part.status, part.headers, text, query)


def _take_apart(incoming: Incoming, group: Sequence[Query], parts: dict[int, tuple[multipart.Part, GzipBody]]) -> None:
    """Keep each part's body, gzipped again, while the whole comes in. Raises `NotWhole`."""
    splitter = multipart.Splitter(incoming.headers.get("Content-Type", ""))
    with contextlib.ExitStack() as stores:
        part, store, count = None, None, 0
        for piece in inflate(incoming.pieces()) if incoming.gzipped else incoming.pieces():
            for event in splitter.feed(piece):
                if isinstance(event, multipart.Part):
                    count += 1
                    if count > len(group):
                        raise NotWhole("it has more parts than were asked for")
                    part, store = event, stores.enter_context(Store(gzipped=False))
                elif store is None or part is None:
                    continue
                elif isinstance(event, bytes):
                    store.write(event)
                elif part.index is not None and part.index < len(group):
                    parts[part.index] = part, store.finish(group[part.index])
                    part = store = None
    if not splitter.complete:
        raise NotWhole("it is cut off")
