"""Status, judged: what the facts mean, how fast it goes and how long it will take. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from gsc_daemon.model import LeaseView, SiteProgress
from gsc_daemon.settings import Settings, budget_formula
from gsc_daemon.status.findings import findings_of
from gsc_daemon.status.types import RATE_SPANS, Facts, Kind, Rate, SiteStatus, Status, WorkerStatus


def budget_qpm(settings: Settings, sites: int) -> int:
    """Queries a minute that the budget allows when so many sites are worked on."""
    return math.floor(_quota(settings, sites) * settings.rate_limit.budget_share)


def _quota(settings: Settings, sites: int) -> int:
    """Queries a minute that Google allows then, were all credentials of one project."""
    rates, users = settings.rate_limit, len(settings.credentials) + (settings.default_credentials is not None)
    return min(rates.user_qpm * users, rates.project_qpm, rates.site_qpm * max(1, sites))


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
        findings_of(facts, published, wanted, left, seconds_left),
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
