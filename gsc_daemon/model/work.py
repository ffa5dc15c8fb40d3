"""The words of the project as plain types: site, report, day, item, batch, query, row, receipt."""

from __future__ import annotations

import datetime as dt
import enum
from typing import Final, NamedTuple

import msgspec

# Limits of the API: developers.google.com/webmaster-tools/v1/how-tos/all-your-data
ROWS_PER_RESPONSE: Final = 25_000
ROWS_PER_DAY: Final = 50_000  # Google gives no more of one day and search type, and does not say so
MONTHS_KEPT: Final = 16
DAYS_UNTIL_FINAL: Final = 3

EMPTY_ASKS: Final = 7  # times that a day is asked for again which should not be empty

SEARCH_TYPES: Final = ("web", "image", "video", "news", "discover", "googleNews")


class Filter(msgspec.Struct, frozen=True):
    """What rows must match: one of the API's ``dimensionFilterGroups``.

    Args:
        operator: as the API spells it, such as ``equals``.
    """

    dimension: str
    expression: str
    operator: str = "equals"


class Report(msgspec.Struct, frozen=True):
    """A named list of dimensions.

    Args:
        name: also the name of its relation in Postgres.
        dimensions: as the API spells them, in the order of the keys; empty for the property's totals.
        search_types: those that it is fetched for; empty for all that are wanted. filters: all of them must match.
        aggregation: ``byPage`` or ``byProperty`` as the API spells it, else what Google chooses.
    """

    name: str
    dimensions: tuple[str, ...]
    search_types: tuple[str, ...] = ()
    filters: tuple[Filter, ...] = ()
    aggregation: str = "auto"

    @property
    def hourly(self) -> bool:
        """Whether Google gives it for the newest days only."""
        return "hour" in self.dimensions

    def same_rows(self, other: Report) -> bool:
        """Whether both ask Google for the same, so that one relation can hold either."""
        return (self.dimensions, set(self.filters), self.aggregation) == (
            other.dimensions,
            set(other.filters),
            other.aggregation,
        )


QUERY_PAGE: Final = Report("query_page", ("query", "page", "country", "device"))
TOTALS: Final = Report("totals", ())
BUILT_IN_REPORTS: Final = (QUERY_PAGE, TOTALS)


class Day(NamedTuple):
    """One date of one site, report and search type: what is planned, published, and complete or not."""

    site: str
    report: str
    search_type: str
    date: dt.date

    def __str__(self) -> str:
        return f"{self.site} {self.date} {self.report} {self.search_type}"


class Priority(enum.IntEnum):
    """What goes first; lower is sooner."""

    ASKED = 10  # by `gscd sync`, up to a few days
    RECENT = 20  # what keeps a site current
    BACKFILL = 30  # history
    HISTORY = 40  # all of it: ends where nothing comes any more


class WantedDay(msgspec.Struct, frozen=True):
    """A day that somebody wants.

    Args:
        force: want a new generation even if one is published.
        allow_loss: an empty answer may replace published rows.
    """

    day: Day
    priority: Priority = Priority.RECENT
    force: bool = False
    allow_loss: bool = False


class ItemState(enum.StrEnum):
    """Where an item is in its life."""

    READY = "ready"  # may be claimed now
    WAITING = "waiting"  # becomes ready at not_before
    LEASED = "leased"  # held by one worker under one token
    DONE = "done"  # its day is published
    QUARANTINED = "quarantined"  # set aside for a person
    CANCELLED = "cancelled"  # taken back by the operator


class Item(msgspec.Struct, frozen=True):
    """One API request for a day, as leased.

    Args:
        generation: the generation of the day that this request is for.
        part: "" for the whole day, else the filter that splits it.
        start_row: zero-based offset, a multiple of 25,000.
        failures: failed attempts so far. crashes: workers that died while it was active.
        refetches: times that the day was fetched again because its responses overlapped.
        empty_asks: times that it was asked for again because it came back empty, against all evidence.
    """

    item_id: int
    day: Day
    generation: int
    part: str = ""
    start_row: int = 0
    failures: int = 0
    crashes: int = 0
    refetches: int = 0
    allow_loss: bool = False
    empty_asks: int = 0


class Batch(msgspec.Struct, frozen=True):
    """The items that one worker has leased together under one token, all of one site."""

    token: int
    worker_id: int
    site: str
    items: tuple[Item, ...]


class NoBatch(enum.Enum):
    """Why a claim gave nothing."""

    EMPTY = "nothing is ready"
    HALTED = "halted"
    IN_FLIGHT = "max_in_flight batches are out"
    UNSEEDED = "the sink has not been read since the daemon started"


class Query(msgspec.Struct, frozen=True):
    """One request to the API, whatever the transport.

    Args:
        item_id: names the answer. final_only: ask for final data only (``dataState``), else for fresh data too.
        filters: all of them must match. last: the end of a range that begins with ``date``; None for that date alone.
    """

    item_id: int
    site: str
    date: dt.date
    search_type: str
    dimensions: tuple[str, ...]
    start_row: int = 0
    row_limit: int = ROWS_PER_RESPONSE
    final_only: bool = True
    filters: tuple[Filter, ...] = ()
    last: dt.date | None = None
    aggregation: str = "auto"


class Row(msgspec.Struct, gc=False):
    """One row as the API gives it: all figures are doubles, ``keys`` is absent without dimensions.

    ``position`` is absent for Discover and Google News.
    """

    clicks: float
    impressions: float
    ctr: float
    keys: list[str] = []
    position: float | None = None


class Send(msgspec.Struct, frozen=True):
    """Queries granted by the budget, as noted in the ledger before they are sent.

    Args:
        at_ms: the sending time, UTC milliseconds.
    """

    at_ms: int
    site: str
    credential: str
    queries: int


class DayState(enum.StrEnum):
    """How far a published day can be trusted to stay as it is."""

    PROVISIONAL = "provisional"  # Google may still change it
    FINAL = "final"


class Publication(msgspec.Struct, frozen=True):
    """What is to be published of one day, besides its rows.

    Args:
        dimensions: names of the keys, in the order of each row's ``keys``.
        may_overlap: publish although responses overlapped, marked; else `Overlap` is raised.
        allow_loss: an empty generation may replace rows that are there.
        fetched_at: when the first response of the sitting arrived, UTC.
        last_ask: empty again, it is suspect, unless nothing else speaks against it.
    """

    day: Day
    generation: int
    token: int
    dimensions: tuple[str, ...]
    state: DayState
    fetched_at: dt.datetime
    may_overlap: bool = False
    allow_loss: bool = False
    last_ask: bool = False


class Receipt(msgspec.Struct, frozen=True):
    """What Postgres holds of a day: the proof that its generation is published.

    Args:
        doubles: rows dropped because an earlier response had their key.
        replaced: characters that Postgres cannot hold (NUL, lone surrogates), each made U+FFFD.
        kept: the generation was empty, and the rows of an earlier one were kept.
        suspect: it was empty the last of seven times, although totals or earlier rows say otherwise.
    """

    day: Day
    generation: int
    token: int
    state: DayState
    row_count: int
    clicks: int
    impressions: int
    truncated: bool = False
    overlap: bool = False
    doubles: int = 0
    replaced: int = 0
    kept: bool = False
    suspect: bool = False


class Held(msgspec.Struct, frozen=True):
    """What Postgres holds of a day, counted from the rows themselves, beside its receipt.

    Args:
        receipt: None for rows that no receipt vouches for. digest: order-free sum over the rows (see
            `gsc_daemon.sink.digest`), None unless asked for.
    """

    day: Day
    receipt: Receipt | None
    rows: int
    clicks: int
    impressions: int
    digest: int | None = None


class Grant(msgspec.Struct, frozen=True):
    """The budget's yes: seconds from now at which each query may be sent, rising."""

    delays: tuple[float, ...]


class Denial(msgspec.Struct, frozen=True):
    """The budget's no: give the batch back, then wait exactly this long (plus jitter).

    Args:
        wait: seconds until the same question would be granted.
        scope: which window is full: ``site``, ``user``, ``project`` or ``pace``.
    """

    wait: float
    scope: str


class Pace(msgspec.Struct, frozen=True):
    """What Google has lately shown that it takes from one credential.

    Args:
        qpm: queries a minute, spread evenly; None when nothing was refused lately.
        changed_ms: UTC milliseconds of the last change.
    """

    qpm: float | None = None
    changed_ms: int = 0


class WorkerIdentity(msgspec.Struct, frozen=True):
    """Names one process beyond the reuse of its pid.

    Args:
        pid_start: clock ticks since boot at which it started (field 22 of /proc/PID/stat).
        boot_id: /proc/sys/kernel/random/boot_id.
    """

    slot: int
    pid: int
    pid_start: int
    boot_id: str
