"""Status, its findings: each thing that is so, in a sentence, and what to do about it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from gsc_daemon.errors import GscdError, LedgerUnavailable
from gsc_daemon.model import Parked
from gsc_daemon.status.types import SERVICES, Facts, Finding, Kind
from gsc_daemon.words import amount, in_words, moment


def findings_of(facts: Facts, published: int, wanted: int, left: int, seconds_left: float | None) -> Iterator[Finding]:
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
