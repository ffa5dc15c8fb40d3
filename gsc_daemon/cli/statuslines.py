"""`gscd status`, how it is said: as lines for a person, as data for ``--json``. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from gsc_daemon.cli.common import columns
from gsc_daemon.status import RATE_SPANS, SiteStatus, Status
from gsc_daemon.words import amount, in_words, moment

WORST: Final = 10  # sites that are shown


def lines(seen: Status) -> Iterator[str]:
    """The verdict first, then what else is amiss, then figures."""
    yield str(seen.verdict)
    for finding in seen.also:
        yield f"also: {finding}"
    yield from _workers(seen)
    yield from _figures(seen)
    yield from _sites(seen.sites)
    yield from _quarantine(seen)


def _workers(seen: Status) -> Iterator[str]:
    if not seen.workers:
        return
    yield ""
    rows = [("worker", "pid", "does", "site", "since", "items", "lease ends in")]
    for worker in seen.workers:
        ends = "-" if worker.seconds_left is None else f"{worker.seconds_left:.0f} s"
        since = in_words((seen.at_ms - worker.since_ms) / 1000) if worker.since_ms else "-"
        named = (str(worker.slot), str(worker.pid), worker.state, worker.site or "-", since, str(worker.items), ends)
        rows.append(named)
    yield from columns(rows)


def _figures(seen: Status) -> Iterator[str]:
    if not (seen.wanted or seen.workers):
        return
    queue, rate, batches = seen.queue, seen.rate, seen.batches
    yield ""
    left = f", {in_words(seen.seconds_left)} left" if seen.seconds_left else ""
    yield f"days     {seen.published:,} of {seen.wanted:,} published{left}"
    counts = f"{queue.ready:,} ready, {queue.waiting:,} waiting, {queue.leased:,} leased"
    yield (
        f"queue    {amount(queue.planned_days, 'day')} planned; items: {counts} "
        f"in {amount(queue.batches, 'batch')}, {queue.quarantined:,} in quarantine"
    )
    spans = ", ".join(f"{qpm:,.0f} in {in_words(span)}" for qpm, span in zip(rate.qpm, RATE_SPANS, strict=True))
    yield f"QPM      {spans}; the budget is {rate.budget:,} of Google's {rate.quota:,}"
    if batches.batches:
        yield (
            f"batches  {batches.batches:,} in the last hour: {batches.average_s:.2f} s on average, "
            f"99% within {batches.p99_s:.2f} s"
        )
    yield f"formula  {seen.formula.text}"


def _sites(sites: Sequence[SiteStatus]) -> Iterator[str]:
    if not sites:
        return
    yield ""
    if len(sites) > WORST:
        parked = sum(1 for site in sites if site.progress.parked)
        bad = sum(1 for site in sites if site.progress.quarantined)
        done = sum(1 for site in sites if not (site.left or site.progress.parked or site.progress.quarantined))
        under_way = sum(1 for site in sites if site.left)
        yield (
            f"{amount(len(sites), 'site')}: {done:,} complete, {under_way:,} under way, {parked:,} parked, "
            f"{bad:,} with items in quarantine; the worst {WORST}:"
        )
    yield from columns(
        [("site", "published", "wanted", "oldest", "newest", "final", "left", "note"), *map(_site, sites[:WORST])]
    )


def _site(site: SiteStatus) -> tuple[str, ...]:
    progress = site.progress
    notes = []
    if progress.quarantined:
        notes.append(f"{progress.quarantined:,} in quarantine")
    if progress.stalled_ms is not None:
        notes.append(f"stands still since {moment(progress.stalled_ms)}")
    if progress.parked:
        until = f" until {moment(progress.parked_until_ms)}" if progress.parked_until_ms else ""
        notes.append(f"parked{until}: {progress.parked}")
    left = in_words(site.seconds_left) if site.seconds_left else amount(site.left, "day") if site.left else "-"
    return (
        progress.site,
        f"{progress.published:,}",
        f"{progress.wanted:,}",
        str(progress.oldest or "-"),
        str(progress.newest or "-"),
        str(progress.newest_final or "-"),
        left,
        "; ".join(notes),
    )


def _quarantine(seen: Status) -> Iterator[str]:
    if not seen.quarantine:
        return
    yield ""
    hidden = seen.queue.quarantined - len(seen.quarantine)
    yield "in quarantine" + (f", {hidden:,} more besides:" if hidden > 0 else ":")
    for item, text, at_ms in seen.quarantine:
        yield f"  {item.day} row {item.start_row:,} since {moment(at_ms)}: {text}"


def as_data(seen: Status) -> dict[str, Any]:
    """For ``--json``; times are UTC milliseconds."""
    plain = msgspec.to_builtins
    daemon = plain(seen.daemon) if seen.daemon is not None else None
    if daemon is not None:
        del daemon["settings"]
    return {
        "at_ms": seen.at_ms,
        "verdict": plain(seen.verdict),
        "also": plain(seen.also),
        "person_needed": seen.person_needed,
        "daemon": daemon,
        "halted": plain(seen.halted),
        "workers": plain(seen.workers),
        "queue": plain(seen.queue),
        "days": {
            "wanted": seen.wanted,
            "published": seen.published,
            "left": seen.left,
            "seconds_left": seen.seconds_left,
        },
        "rate": {
            "qpm": {f"{span:.0f}s": qpm for span, qpm in zip(RATE_SPANS, seen.rate.qpm, strict=True)},
            "budget": seen.rate.budget,
            "quota": seen.rate.quota,
        },
        "batches": plain(seen.batches),
        "formula": plain(seen.formula) | {"over": seen.formula.over},
        "sites": [plain(site.progress) | {"left": site.left, "seconds_left": site.seconds_left} for site in seen.sites],
        "quarantine": [{"item": plain(item), "error": text, "at_ms": at_ms} for item, text, at_ms in seen.quarantine],
        "outages": {service: {"since_ms": since, "note": note} for service, (since, note) in seen.outages.items()},
    }
