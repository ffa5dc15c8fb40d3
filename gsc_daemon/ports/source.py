"""The source, Google or the emulator, as the pipeline asks it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol

from gsc_daemon.errors import GscdError
from gsc_daemon.model import Query, Row, SiteEntry


class Body(Protocol):
    """The body of one response, kept gzipped; a large one lies in an unlinked file."""

    def rows(self) -> Sequence[Row]:
        """Decode now; nothing decoded is kept."""

    def close(self) -> None: ...


class Response(Protocol):
    """One query's answer."""

    @property
    def query(self) -> Query: ...

    @property
    def body(self) -> Body: ...

    @property
    def row_count(self) -> int: ...

    @property
    def received_ms(self) -> int: ...

    @property
    def seconds(self) -> float:
        """From sending to the last byte."""


Deliver = Callable[[Query, Response | GscdError], None]


class Source(Protocol):
    """Google's API, or the emulator."""

    @property
    def credential(self) -> str:
        """The name of the credential for budget scopes, the ledger and messages; not a secret."""

    def fetch_query_batch(self, queries: Sequence[Query], delays: Sequence[float], deliver: Deliver) -> None:
        """Send each query after its delay (seconds from now), in parallel, and return at once.

        ``deliver`` is called once per query with its response or a `SourceError`: from another thread, or from the
        one that calls `abandon`.
        """

    def abandon(self) -> None:
        """Stop everything in flight now; what was not delivered yet is delivered as ``ABANDONED``."""

    def list_sites(self) -> Sequence[SiteEntry]:
        """The properties that the credential can see. Raises `SourceError`."""

    def first_incomplete(self, query: Query, delay: float = 0.0) -> dt.date | None:
        """Send a query by date after its delay (seconds) and wait for its answer's ``firstIncompleteDate``.

        None where Google does not tell. Raises `SourceError`.
        """

    def close(self) -> None: ...


class Sources(Protocol):
    """The source of each credential, and which of them reads a property."""

    def of(self, site: str) -> Source:
        """Who reads this property. Raises `ConfigError`: nobody, or its credential cannot work."""

    def credential_of(self, site: str) -> str:
        """The name of who reads it. Raises `ConfigError`."""

    def read_by(self, credential: str, sites: Sequence[str]) -> list[str]:
        """Those of these properties that this credential reads."""

    def each(self) -> Iterator[tuple[str, Callable[[], Source]]]:
        """Name of each credential, and what gives its source (or raises `ConfigError`)."""

    def abandon(self) -> None:
        """As `Source.abandon`, for all."""

    def close(self) -> None: ...
