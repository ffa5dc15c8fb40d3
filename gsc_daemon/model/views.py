"""Views of the work, as plain types: what status, doctor and the commands are told."""

from __future__ import annotations

import datetime as dt
import enum

import msgspec

from gsc_daemon.model.work import Day


class SinkFacts(msgspec.Struct, frozen=True):
    """What Postgres says of itself and of our schema, for `gscd doctor`.

    Args:
        server: its name and version for people. version: as ``server_version_num``, such as 150018.
        schema_version: of our relations, 0 where there are none. owner: the id of the ledger that feeds it, or "".
        may_create: this role may make what is missing. bytes: of our relations, indexes included.
    """

    server: str
    version: int
    schema_version: int
    owner: str
    read_only: bool
    may_create: bool
    bytes: int


class BudgetFacts(msgspec.Struct, frozen=True):
    """What Redis says of itself, for `gscd doctor`.

    Args:
        server: its name and version for people. eviction: its ``maxmemory-policy``, "" where it does not tell.
        round_trip_ms: of one check.
    """

    server: str
    version: tuple[int, ...]
    eviction: str
    round_trip_ms: float


class LedgerFacts(msgspec.Struct, frozen=True):
    """What SQLite says of itself and of the ledger, for `gscd doctor`.

    Args:
        sqlite: version of the library. schema_version: ``user_version``. problems: of ``PRAGMA quick_check``.
    """

    sqlite: str
    schema_version: int
    journal_mode: str
    bytes: int
    wal_bytes: int
    problems: tuple[str, ...]


class SiteEntry(msgspec.Struct, frozen=True):
    """A property that a credential can see, as ``sites.list`` gives it."""

    site: str
    permission: str

    @property
    def readable(self) -> bool:
        """An unverified user sees the property's name and no data."""
        return self.permission != "siteUnverifiedUser"


class Usage(msgspec.Struct, frozen=True):
    """Queries of the last 60 s against what may be sent, for one scope.

    Args:
        budget: queries a minute that we allow ourselves. quota: Google's rule.
    """

    scope: str
    name: str
    used: int
    budget: int
    quota: int


class LeaseView(msgspec.Struct, frozen=True):
    """One leased batch, for people."""

    token: int
    worker_id: int
    slot: int
    pid: int
    site: str
    items: int
    seconds_left: float


class QueueCounts(msgspec.Struct, frozen=True):
    """How many items stand where, and how many batches are out."""

    planned_days: int = 0
    ready: int = 0
    waiting: int = 0
    leased: int = 0
    done: int = 0
    quarantined: int = 0
    cancelled: int = 0
    batches: int = 0
    parked_days: int = 0  # planned or queued days of parked sites

    @property
    def idle(self) -> bool:
        """Nothing is left that could be done now or later without a person."""
        return not (self.planned_days - self.parked_days or self.ready or self.waiting or self.leased)


class SiteProgress(msgspec.Struct, frozen=True):
    """How far one site is.

    Args:
        oldest, newest: published dates, Pacific. parked: the reason, or "".
        newest_final: the newest published date that Google will not change any more.
        stalled_ms: since when (UTC ms) that has not moved on although it should have; None while all is well.
        credential: who was last asked about it. parked_for: ``lost``, ``credential`` or "", see `Parked`.
    """

    site: str
    wanted: int
    published: int
    quarantined: int
    oldest: dt.date | None
    newest: dt.date | None
    parked: str = ""
    parked_until_ms: int | None = None
    permission: str = ""
    newest_final: dt.date | None = None
    stalled_ms: int | None = None
    credential: str = ""
    parked_for: str = ""

    @property
    def readable(self) -> bool:
        """Whether the list of properties last gave it with a permission to read its data."""
        return bool(self.permission) and SiteEntry(self.site, self.permission).readable


class Parked(enum.StrEnum):
    """Why a site is parked, where the list of properties can tell that the reason has gone."""

    LOST = "lost"  # nobody here may read it
    CREDENTIAL = "credential"  # whoever reads it is refused


class Listed(msgspec.Struct, frozen=True):
    """What a list of properties has changed: sites that cannot be read any more, or again, or for the first time."""

    lost: tuple[str, ...] = ()
    found: tuple[str, ...] = ()
    unparked: tuple[str, ...] = ()


class HaltState(msgspec.Struct, frozen=True):
    """Whether the ledger says halted, since when, why and by whom."""

    halted: bool
    reason: str = ""
    by: str = ""
    since_ms: int = 0


class BatchStats(msgspec.Struct, frozen=True):
    """Measured batches of a time span, for the seed's budget formula and the latency figures.

    Args:
        batches, queries: finished in the span. average_s, p99_s: seconds from sending a batch to having it.
    """

    batches: int = 0
    queries: int = 0
    average_s: float = 0.0
    p99_s: float = 0.0


class PlanResult(msgspec.Struct, frozen=True):
    """What adding days to the ledger changed."""

    new: int = 0
    again: int = 0  # days wanted afresh: a new generation
    already: int = 0  # there before, nothing changed
    days: tuple[Day, ...] = ()
