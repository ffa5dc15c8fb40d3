"""Step 5, fetch_query_batch: Google's Search Console API (or the emulator) as a source of days."""

from __future__ import annotations

import datetime as dt
import functools
import queue
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

from gsc_daemon.clock import Clock
from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Query, SiteEntry
from gsc_daemon.ports import Deliver
from gsc_daemon.source import credentials as files
from gsc_daemon.source import queries as requests
from gsc_daemon.source import refusals
from gsc_daemon.source.body import NotWhole, unreadable
from gsc_daemon.source.flights import Ending, Flight, Tower
from gsc_daemon.source.lines import Lines, NoAnswer
from gsc_daemon.source.tokens import Reply, Send, Tokens
from gsc_daemon.source.transports import Answer, Multipart, Parallel, Result, Transport

TRANSPORTS: Final[dict[str, type[Parallel | Multipart]]] = {"parallel": Parallel, "multipart": Multipart}


class SearchConsole:
    """Implements `ports.Source`. To be made after the fork; nothing is sent before it is first asked.

    Args:
        credentials: file, see `gsc_daemon.source.credentials.load`. endpoint: scheme, host and port.
        transport: ``parallel`` or ``multipart``. connections: how many are kept open between requests.
        deadline: seconds for one response, from sending (and getting a token, where one is due) to its last byte.

    Raises:
        ConfigError: the credentials cannot work.
    """

    def __init__(
        self, credentials: Path, endpoint: str, *, transport: str, connections: int, deadline: float, clock: Clock
    ) -> None:
        loaded, self._credential = files.load(credentials)
        self._clock, self._deadline = clock, deadline
        self._endpoint = endpoint.rstrip("/")
        self._lines = Lines(connections, deadline)
        self._tokens = Tokens(loaded, self._credential, self._now)
        way: Transport = TRANSPORTS[transport](self._lines, self._endpoint, self._credential, clock)
        self._transport = way
        self._tower = Tower()

    @property
    def credential(self) -> str:
        """The service account's e-mail address, or a name made of what never changes; not a secret."""
        return self._credential

    def fetch_query_batch(self, queries: Sequence[Query], delays: Sequence[float], deliver: Deliver) -> None:
        """See `ports.Source`. By multipart, queries whose times are close share a request at the last of them."""
        departures = []
        for group, delay in self._transport.groups(list(zip(queries, delays, strict=True))):
            answers = _Answers(group, deliver)
            departures.append((Flight(self._trip(group, answers), answers.end, self._deadline), delay))
        self._tower.launch(*departures)

    def abandon(self) -> None:
        """See `ports.Source`. What was not delivered is delivered by this thread, before this returns."""
        self._tower.abandon()

    def list_sites(self) -> Sequence[SiteEntry]:
        """See `ports.Source`. Waits for the answer, at most the deadline."""
        body = self._waited_for("GET", requests.SITES_PATH, None, None, 0.0)
        try:
            return requests.read_sites(body)
        except NotWhole as error:
            raise SourceError(Refusal.TRANSIENT, f"the list of properties cannot be used: {error}") from error

    def first_incomplete(self, query: Query, delay: float = 0.0) -> dt.date | None:
        """See `ports.Source`. Waits for the answer, at most the deadline."""
        body = self._waited_for("POST", requests.path_of(query), requests.body_of(query), query, delay)
        try:
            return requests.read_first_incomplete(body)
        except NotWhole as error:
            raise unreadable(query, error) from error

    def close(self) -> None:
        """End everything and close the connections."""
        self._tower.close()
        self._lines.close()

    def _trip(self, group: Sequence[Query], answers: _Answers) -> Callable[[Flight], None]:
        """What a flight's thread does: send the group; those refused for their token once more with a new one."""

        def work(flight: Flight) -> None:
            rest: list[Query] = list(group)
            refused: Mapping[str, str] | None = None
            for last in (False, True):
                try:
                    token = self._tokens.headers(self._send(flight, rest[0]), rest[0], refused=refused)
                except SourceError as error:
                    answers.give_rest(functools.partial(refusals.about, error))
                    return
                rest = self._once(flight, rest, token, answers, last)
                if not rest:
                    return
                refused = token

        return work

    def _once(
        self, flight: Flight, group: Sequence[Query], token: Mapping[str, str], answers: _Answers, last: bool
    ) -> list[Query]:
        """Send the group; gives the queries that are to be sent once more."""
        again = []
        for query, result in self._transport.ask(flight, group, token):
            if not last and isinstance(result, SourceError) and result.status == 401:
                again.append(query)
            else:
                answers.give(query, result)
        return again

    def _send(self, flight: Flight, query: Query | None) -> Send:
        """How google-auth reaches the token endpoint: as part of a flight, so that it ends with it."""

        def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply:
            try:
                with self._lines.exchange(flight, method, url, headers, body) as incoming:
                    return Reply(incoming.status, incoming.headers, incoming.read())
            except NoAnswer as error:
                raise SourceError(
                    Refusal.TRANSIENT, f"no access token: {error.message}", hint=error.hint, **refusals.where(query)
                ) from error

        return send

    def _waited_for(self, method: str, path: str, sent: bytes | None, query: Query | None, delay: float) -> bytes:
        """The body of one small answer. Raises `SourceError`."""
        told: queue.SimpleQueue[bytes | SourceError] = queue.SimpleQueue()

        def work(flight: Flight) -> None:
            try:
                told.put(self._ask(flight, method, path, sent, query))
            except SourceError as error:
                told.put(error)

        self._tower.launch((Flight(work, lambda why: told.put(_ended(query, why)), self._deadline), delay))
        outcome = told.get()
        if isinstance(outcome, SourceError):
            raise outcome
        return outcome

    def _ask(self, flight: Flight, method: str, path: str, sent: bytes | None, query: Query | None) -> bytes:
        refused = None
        while True:
            token = self._tokens.headers(self._send(flight, query), query, refused=refused)
            reply = self._once_whole(flight, method, path, sent, query, token)
            if reply.status != 401 or refused is not None:
                break
            refused = token
        if reply.status != 200:
            raise refusals.refusal(
                reply.status, reply.headers, reply.data, query=query, credential=self._credential, now=self._now()
            )
        return reply.data

    def _once_whole(
        self,
        flight: Flight,
        method: str,
        path: str,
        sent: bytes | None,
        query: Query | None,
        token: Mapping[str, str],
    ) -> Reply:
        headers = token if sent is None else {**token, "Content-Type": "application/json"}
        try:
            with self._lines.exchange(flight, method, self._endpoint + path, headers, sent) as incoming:
                return Reply(incoming.status, incoming.headers, incoming.read())
        except NoAnswer as error:
            raise SourceError(Refusal.TRANSIENT, error.message, hint=error.hint, **refusals.where(query)) from error

    def _now(self) -> dt.datetime:
        return dt.datetime.fromtimestamp(self._clock.wall_ms() / 1000, dt.UTC)


class _Answers:
    """Delivers one result for each query of a group, whoever has it first: its thread, the deadline, a halt."""

    def __init__(self, group: Sequence[Query], deliver: Deliver) -> None:
        self._deliver = deliver
        self._owed = list(group)
        self._lock = threading.Lock()

    def give(self, query: Query, result: Result) -> None:
        """Deliver it, unless something was delivered for this query before."""
        with self._lock:
            owed = query in self._owed
            if owed:
                self._owed.remove(query)
        if owed:
            self._deliver(query, result)
        elif isinstance(result, Answer):
            result.body.close()

    def give_rest(self, error: Callable[[Query], SourceError]) -> None:
        """Deliver a failure for whatever is owed."""
        with self._lock:
            rest, self._owed = self._owed, []
        for query in rest:
            self._deliver(query, error(query))

    def end(self, why: Ending) -> None:
        """The flight will bring nothing more."""
        self.give_rest(lambda query: _ended(query, why))


def _ended(query: Query | None, why: Ending) -> SourceError:
    match why:
        case Ending.ABANDONED:
            return SourceError(Refusal.ABANDONED, "the request was given up", **refusals.where(query))
        case Ending.LATE:
            hint = "Where answers are always that slow, raise api.deadline_seconds"
            return SourceError(
                Refusal.TRANSIENT, "the answer was not whole in time", hint=hint, **refusals.where(query)
            )
        case Ending.FAILED:
            hint = "A mistake in gscd: the journal has its traceback"
            return SourceError(Refusal.TRANSIENT, "the request failed", hint=hint, **refusals.where(query))
