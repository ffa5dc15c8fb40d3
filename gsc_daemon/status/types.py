"""Status, its plain types: the facts that were read, and what they mean."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gsc_daemon.errors import GscdError
from gsc_daemon.halt import DaemonView
from gsc_daemon.model import BatchStats, HaltState, Item, LeaseView, QueueCounts, SiteProgress
from gsc_daemon.settings import BudgetEstimate

RATE_SPANS: Final = (60.0, 300.0, 900.0)  # seconds; the last minutes
NOT_HALTED: Final = HaltState(False)
SERVICES: Final = {"sink": "Postgres", "budget": "Redis", "source": "Google"}


class Kind(enum.StrEnum):
    """What a finding is about; those that say most come first."""

    BROKEN = "broken"  # the ledger, so that nothing else is known
    HALTED = "halted"
    STOPPED = "stopped"  # no daemon, but work
    CREDENTIAL = "credential"
    QUARANTINE = "quarantine"
    STALLED = "stalled"  # days do not come any more
    AWAY = "away"  # Postgres or Redis
    PARKED = "parked"
    STARTING = "starting"
    STOPPING = "stopping"
    WORKING = "working"
    IDLE = "idle"


class Finding(msgspec.Struct, frozen=True):
    """One thing that is so.

    Args:
        text: a sentence without its period. do: what to do about it, "" for nothing. person: it needs one.
    """

    kind: Kind
    text: str
    do: str = ""
    person: bool = False

    def __str__(self) -> str:
        return f"{self.text} — {self.do}" if self.do else self.text


class Facts(msgspec.Struct, frozen=True):
    """What was read.

    Args:
        trouble: why the ledger could not be read. ledger_exists: whether there is one.
        sent: queries noted in the ledger within each of `RATE_SPANS`. fetched: days asked for in each of them.
        batches: of the last hour.
    """

    now_ms: int
    ledger: Path
    ledger_exists: bool = True
    trouble: GscdError | None = None
    daemon: DaemonView | None = None
    halted: HaltState = NOT_HALTED
    counts: QueueCounts = msgspec.field(default_factory=QueueCounts)
    sites: Sequence[SiteProgress] = ()
    leases: Sequence[LeaseView] = ()
    quarantine: Sequence[tuple[Item, str, int]] = ()
    outages: Mapping[str, tuple[int, str]] = msgspec.field(default_factory=dict)
    batches: BatchStats = msgspec.field(default_factory=BatchStats)
    sent: tuple[int, ...] = (0,) * len(RATE_SPANS)
    fetched: tuple[int, ...] = (0,) * len(RATE_SPANS)


class WorkerStatus(msgspec.Struct, frozen=True):
    """A worker and what it holds. since_ms: UTC. seconds_left: of its lease that ends first."""

    slot: int
    pid: int
    state: str
    site: str
    since_ms: int
    items: int
    seconds_left: float | None


class SiteStatus(msgspec.Struct, frozen=True):
    """A site and how long its days still take, if it can be told."""

    progress: SiteProgress
    left: int
    seconds_left: float | None


class Rate(msgspec.Struct, frozen=True):
    """Queries a minute over each of `RATE_SPANS`, against what may be sent. budget, quota: queries a minute."""

    qpm: tuple[float, ...]
    budget: int
    quota: int


class Status(msgspec.Struct, frozen=True):
    """The verdict, everything else that is amiss, and the figures. sites: the worst first. left: days, none parked."""

    at_ms: int
    verdict: Finding
    also: tuple[Finding, ...]
    daemon: DaemonView | None
    halted: HaltState
    workers: tuple[WorkerStatus, ...]
    queue: QueueCounts
    sites: tuple[SiteStatus, ...]
    wanted: int
    published: int
    left: int
    seconds_left: float | None
    quarantine: Sequence[tuple[Item, str, int]]
    outages: Mapping[str, tuple[int, str]]
    rate: Rate
    batches: BatchStats
    formula: BudgetEstimate

    @property
    def person_needed(self) -> bool:
        """Whether something waits for a person."""
        return any(finding.person for finding in (self.verdict, *self.also))
