"""Status, all steps at once: one verdict on the daemon and its work, what to do next, and the figures behind it.

`gather` reads the ledger, the halt file and the daemon's file; `judge` is pure. Nothing here asks Redis or Postgres, so
that it answers while they are dead.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

import msgspec

from gsc_daemon import halt
from gsc_daemon.clock import Clock
from gsc_daemon.errors import GscdError, LedgerUnavailable
from gsc_daemon.halt import DaemonView
from gsc_daemon.model import BatchStats, HaltState, Item, LeaseView, Parked, QueueCounts, SiteProgress
from gsc_daemon.ports import Ledger
from gsc_daemon.settings import BudgetEstimate, Settings, budget_formula
from gsc_daemon.words import amount, in_words, moment

QUARANTINE_SHOWN: Final = 10
MEASURED_SECONDS: Final = 3600.0  # of batches, for the seed's formula
RATE_SPANS: Final = (60.0, 300.0, 900.0)  # seconds; the last minutes
NOT_HALTED: Final = HaltState(False)
STILL: Final = ("halting", "halted")  # states of the daemon
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


def budget_qpm(settings: Settings, sites: int) -> int:
    """Queries a minute that the budget allows when so many sites are worked on."""
    return math.floor(_quota(settings, sites) * settings.rate_limit.budget_share)


def _quota(settings: Settings, sites: int) -> int:
    """Queries a minute that Google allows then, were all credentials of one project."""
    rates, users = settings.rate_limit, len(settings.credentials) + (settings.default_credentials is not None)
    return min(rates.user_qpm * users, rates.project_qpm, rates.site_qpm * max(1, sites))


def halt_of(settings: Settings, ledger: Ledger | None, daemon: DaemonView | None) -> HaltState:
    """The halt, whoever holds it: the file, the ledger, or a running daemon that was told by signal alone."""
    told = halt.read(settings.halt.file)
    if told is None and ledger is not None:
        told = ledger.halt_state()
    if (told is None or not told.halted) and daemon is not None and daemon.alive and daemon.state in STILL:
        return HaltState(True, daemon.reason, "", daemon.since_ms)
    return told or NOT_HALTED


def gather(
    ledger: Ledger | None, settings: Settings, clock: Clock, *, trouble: GscdError | None = None, exists: bool = True
) -> Facts:
    """Read all there is; a ledger that fails half-way is trouble, not an error. Raises `NotPermitted`.

    Args:
        ledger: None where it could not be opened, for ``trouble``, or where there is none (not ``exists``).
    """
    daemon = halt.read_daemon(halt.daemon_path(settings.ledger.path))
    facts = Facts(clock.wall_ms(), settings.ledger.path, exists, trouble, daemon, halt_of(settings, None, daemon))
    if ledger is None:
        return facts
    try:
        return msgspec.structs.replace(
            facts,
            halted=halt_of(settings, ledger, daemon),
            counts=ledger.counts(),
            sites=ledger.progress(),
            leases=ledger.leases(),
            quarantine=ledger.quarantine(QUARANTINE_SHOWN),
            outages=ledger.outages(),
            batches=ledger.batch_stats(MEASURED_SECONDS),
            sent=tuple(ledger.sent_queries(seconds) for seconds in RATE_SPANS),
            fetched=tuple(ledger.batch_stats(seconds).queries for seconds in RATE_SPANS),
        )
    except GscdError as error:
        return msgspec.structs.replace(facts, trouble=error)


def look(
    ledger: Ledger | None, settings: Settings, clock: Clock, *, trouble: GscdError | None = None, exists: bool = True
) -> Status:
    """`judge` on what `gather` has read."""
    return judge(gather(ledger, settings, clock, trouble=trouble, exists=exists), settings)


def judge(facts: Facts, settings: Settings) -> Status:
    """What it all means."""
    lefts = {site.site: _left(site) for site in facts.sites}
    rate = _days_a_second(facts)
    times = share_time(lefts, rate)
    sites = sorted(
        (SiteStatus(site, lefts[site.site], times.get(site.site)) for site in facts.sites),
        key=lambda one: (-one.progress.quarantined, not one.progress.parked, -one.left, one.progress.site),
    )
    left = sum(lefts.values())
    published = sum(site.published for site in facts.sites)
    wanted = sum(site.wanted for site in facts.sites)
    seconds_left = left / rate if rate and left else None
    findings = sorted(
        _findings(facts, published, wanted, left, seconds_left),
        key=lambda finding: (not finding.person, list(Kind).index(finding.kind)),
    )
    active = sum(1 for count in lefts.values() if count)
    return Status(
        facts.now_ms,
        findings[0],
        tuple(findings[1:]),
        facts.daemon,
        facts.halted,
        tuple(_workers(facts)),
        facts.counts,
        tuple(sites),
        wanted,
        published,
        left,
        seconds_left,
        facts.quarantine,
        facts.outages,
        Rate(
            tuple(sent * 60 / span for sent, span in zip(facts.sent, RATE_SPANS, strict=True)),
            budget_qpm(settings, active),
            _quota(settings, active),
        ),
        facts.batches,
        budget_formula(settings, facts.batches.average_s or None),
    )


def _left(site: SiteProgress) -> int:
    return 0 if site.parked else max(0, site.wanted - site.published - site.quarantined)


def _days_a_second(facts: Facts) -> float:
    """How fast days are fetched now: the best of the last minutes, since the older ones may have been idle."""
    if facts.halted.halted or facts.daemon is None or not facts.daemon.alive:
        return 0.0
    return max(fetched / span for fetched, span in zip(facts.fetched, RATE_SPANS, strict=True))


def share_time(lefts: Mapping[str, int], days_a_second: float) -> dict[str, float]:
    """Seconds until each site is done when all that have days left take turns; {} where nothing is fetched."""
    if days_a_second <= 0:
        return {}
    times: dict[str, float] = {}
    passed, done = 0.0, 0
    waiting = sorted((left, site) for site, left in lefts.items() if left)
    for place, (left, site) in enumerate(waiting):
        passed += (left - done) * (len(waiting) - place) / days_a_second
        done = left
        times[site] = passed
    return times


def _workers(facts: Facts) -> Iterator[WorkerStatus]:
    """The daemon's workers with what they hold, then holders of leases that are none of this daemon's workers."""
    held: dict[int, list[LeaseView]] = {}
    for lease in facts.leases:
        held.setdefault(lease.pid, []).append(lease)
    workers = facts.daemon.workers if facts.daemon is not None and facts.daemon.locked else ()
    for worker in workers:
        leases = held.pop(worker.pid, [])
        yield WorkerStatus(worker.slot, worker.pid, worker.state, worker.site, worker.since_ms, *_holds(leases))
    for pid, leases in held.items():
        yield WorkerStatus(leases[0].slot, pid, "gone", leases[0].site, 0, *_holds(leases))


def _holds(leases: Sequence[LeaseView]) -> tuple[int, float | None]:
    return sum(lease.items for lease in leases), min((lease.seconds_left for lease in leases), default=None)


def _findings(facts: Facts, published: int, wanted: int, left: int, seconds_left: float | None) -> Iterator[Finding]:
    """All that is so, in no order; at least one."""
    if facts.halted.halted:
        yield _halted(facts)
    if facts.trouble is not None:
        yield _broken(facts, facts.trouble)
    if facts.counts.quarantined:
        yield Finding(
            Kind.QUARANTINE,
            f"A person is needed: {amount(facts.counts.quarantined, 'item')} in quarantine",
            "see below why; `gscd ledger requeue` tries again, `gscd cancel` gives up",
            person=True,
        )
    for service, (since_ms, note) in facts.outages.items():
        yield _refused(facts, since_ms, note) if service == "source" else _away(service, since_ms, note)
    yield from _stalled(facts)
    yield from _lost(facts)
    yield from _parked(facts)
    if not (facts.halted.halted and facts.daemon is not None and facts.daemon.alive):
        yield _daemon(facts, published, wanted, left, seconds_left)


def _halted(facts: Facts) -> Finding:
    state, daemon = facts.halted, facts.daemon
    by = f" by {state.by}" if state.by else ""
    why = f": {state.reason}" if state.reason else ""
    begun = "Halting" if daemon is not None and daemon.alive and daemon.state == "halting" else "Halted"
    return Finding(Kind.HALTED, f"{begun} since {moment(state.since_ms)}{by}{why}", "type `gscd resume`", person=True)


def _broken(facts: Facts, trouble: GscdError) -> Finding:
    if isinstance(trouble, LedgerUnavailable):
        return Finding(Kind.BROKEN, f"The ledger cannot be read now: {trouble}", "it may pass; look again")
    return Finding(Kind.BROKEN, f"The ledger {facts.ledger} cannot be read: {trouble}", person=True)


def _away(service: str, since_ms: int, note: str) -> Finding:
    name = SERVICES.get(service, service)
    from gsc_daemon.pipeline import SERVICE_RETRY  # much to import for the rare case

    retry = f"it is tried again every {SERVICE_RETRY:.0f} s"
    return Finding(Kind.AWAY, f"{name} is away since {moment(since_ms)}: {note}", retry)


def _stalled(facts: Facts) -> Iterator[Finding]:
    stalled = [site for site in facts.sites if site.stalled_ms is not None]
    if not stalled:
        return
    first = min(stalled, key=lambda site: site.stalled_ms or 0)
    example = f"{first.site} since {moment(first.stalled_ms or 0)}, newest final day {first.newest_final or 'none'}"
    text = f"No day becomes final any more of {amount(len(stalled), 'site')}: "
    yield Finding(
        Kind.STALLED,
        text + (f"first {example}" if len(stalled) > 1 else example),
        "`gscd doctor` asks Google; the journal says what was fetched of it",
        person=True,
    )


def _refused(facts: Facts, since_ms: int, note: str) -> Finding:
    """Which credentials Google refuses, and how many sites wait for them."""
    waiting = [site for site in facts.sites if site.parked_for == Parked.CREDENTIAL]
    who = " and ".join(sorted({site.credential for site in waiting})) or "the credential"
    left = f"; {amount(len(waiting), 'site')} of {len(facts.sites):,} wait" if waiting else ""
    text = f"Google refuses {who} since {moment(since_ms)}{left}: {note}"
    return Finding(Kind.CREDENTIAL, text, "`gscd doctor` says what to do", person=True)


def _lost(facts: Facts) -> Iterator[Finding]:
    lost = [site for site in facts.sites if site.parked_for == Parked.LOST]
    if not lost:
        return
    example = f"{lost[0].site} ({lost[0].parked})"
    text = f"{amount(len(lost), 'site')} cannot be read: " + (f"first {example}" if len(lost) > 1 else example)
    do = "give the account its permission in Search Console, or correct sync.sites; it goes on by itself"
    yield Finding(Kind.PARKED, text, do, person=True)


def _parked(facts: Facts) -> Iterator[Finding]:
    parked = [site for site in facts.sites if site.parked and not site.parked_for]
    if not parked:
        return
    first = min(parked, key=lambda site: (site.parked_until_ms is None, site.parked_until_ms or 0))
    until = f" until {moment(first.parked_until_ms)}" if first.parked_until_ms else ""
    days = f", {amount(facts.counts.parked_days, 'day')} wait with them" if facts.counts.parked_days else ""
    example = f"{first.site}{until} ({first.parked})"
    text = f"{amount(len(parked), 'site')} parked{days}: " + (f"first {example}" if len(parked) > 1 else example)
    yield Finding(Kind.PARKED, text, "`gscd sites` shows them, `gscd sites unpark SITE` goes on")


def _daemon(facts: Facts, published: int, wanted: int, left: int, seconds_left: float | None) -> Finding:
    """What the daemon does, or that there is none."""
    daemon, open_days = facts.daemon, not facts.counts.idle
    progress = f"{published:,} of {wanted:,} days"
    if daemon is None or not daemon.locked:
        return _no_daemon(facts, left)
    if not daemon.alive:
        text = f"The daemon's supervisor (pid {daemon.pid}) is dead, and processes of it still live"
        return Finding(Kind.STOPPED, text, "`systemctl restart gscd`", person=True)
    if daemon.state == "starting":
        return Finding(Kind.STARTING, f"Starting since {moment(daemon.since_ms)}: {progress}")
    if daemon.state == "draining":
        return Finding(Kind.STOPPING, f"Stopping since {moment(daemon.since_ms)}: {progress}")
    if open_days:
        left_text = f", {in_words(seconds_left)} left" if seconds_left else ""
        return Finding(Kind.WORKING, f"Working: {progress}{left_text}")
    return Finding(Kind.IDLE, _idle(facts, published))


def _no_daemon(facts: Facts, left: int) -> Finding:
    start = "type `systemctl start gscd`, or `gscd run --until-idle`"
    if not facts.ledger_exists:
        text = f"No daemon is running, and there is no ledger {facts.ledger} yet"
        return Finding(Kind.STOPPED, text, "type `gscd sync recent`, then `systemctl start gscd`")
    fault = facts.daemon.fault if facts.daemon is not None else ""
    if fault and facts.daemon is not None:
        text = f"No daemon is running: it gave up at {moment(facts.daemon.since_ms)}: {fault}"
        return Finding(Kind.STOPPED, text, start, person=True)
    if facts.trouble is not None:
        return Finding(Kind.STOPPED, "No daemon is running", start)
    if facts.counts.idle:
        return Finding(Kind.STOPPED, f"No daemon is running. {_idle(facts, sum(s.published for s in facts.sites))}")
    return Finding(Kind.STOPPED, f"No daemon is running, and {amount(left, 'day')} wait for one", start, person=True)


def _idle(facts: Facts, published: int) -> str:
    if not published:
        return "Nothing is asked for"
    newest = max((site.newest for site in facts.sites if site.newest is not None), default=None)
    return f"Nothing is left to do: {amount(published, 'day')} published, the newest {newest}"
