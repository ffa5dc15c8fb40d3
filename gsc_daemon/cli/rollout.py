"""`gscd rollout`: whether one more worker may be tried, from what is recorded, and if not, why not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Final

import click
import msgspec

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import json_option, report, say, settings_of, table
from gsc_daemon.cli.work import working_ledger
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import ConfigError, Exit
from gsc_daemon.model import BatchStats, Pace
from gsc_daemon.settings import Settings, check_together
from gsc_daemon.status import Status, look
from gsc_daemon.words import amount

SPAN: Final = 86_400.0  # seconds that are looked back
ENOUGH: Final = 100  # batches that have to be measured
P99_SECONDS: Final = 5.0  # from sending a batch to having it
MEMORY_LIMIT: Final = 500_000_000  # bytes (PSS) of all processes together
FULL: Final = 0.9  # of the budget: from here on another worker only waits


class Recorded(msgspec.Struct, frozen=True):
    """What is known of the last day.

    Args:
        deaths: workers found dead. pace: what Google's refusals have left of the slowest credential. memory: bytes and
            number of the daemon's processes, now; (0, 0) where none runs.
    """

    status: Status
    batches: BatchStats
    deaths: int
    pace: Pace
    memory: tuple[int, int]


class Check(msgspec.Struct, frozen=True):
    """One thing that has to be so before another worker is tried."""

    name: str
    good: bool
    figure: str


@click.command()
@json_option
@click.pass_obj
def rollout(invocation: Invocation, as_json: bool) -> int:
    """Say whether max_concurrency may be raised by one, from the batches, crashes, refusals and memory of the last day.

    Exits 0 if it may, 1 if not, with the reasons.

    Example: gscd rollout
    """
    settings = settings_of(invocation, secrets=False)
    checks = list(judged(_recorded(settings), settings))
    now, reasons = settings.workers.max_concurrency, [check for check in checks if not check.good]
    if as_json:
        wanted = now if reasons else now + 1
        report(
            {"max_concurrency": now, "may_be": wanted, "checks": [msgspec.structs.asdict(check) for check in checks]}
        )
    else:
        table([("check", "", "figure"), *((c.name, "good" if c.good else "NOT YET", c.figure) for c in checks)])
        if reasons:
            say(f"max_concurrency stays {now}: {'; '.join(check.figure for check in reasons)}")
        else:
            say(f"max_concurrency may go from {now} to {now + 1}: set it in {settings.file}, then `gscd reload`")
    return int(Exit.PROBLEM if reasons else Exit.OK)


def _recorded(settings: Settings) -> Recorded:
    """Raises as `working_ledger`; `ConfigError` for credentials that cannot be read."""
    from gsc_daemon.reporter.picture import family_memory
    from gsc_daemon.wiring import make_sources

    sources = make_sources(settings)
    try:
        credentials = [source().credential for _, source in sources.each()]
    finally:
        sources.close()
    with working_ledger(settings, read_only=True) as ledger:
        seen = look(ledger, settings, SystemClock())
        batches, deaths = ledger.batch_stats(SPAN), ledger.worker_deaths(SPAN)
        paces = [ledger.pace(credential) for credential in credentials]
    slowed = [pace for pace in paces if pace.qpm is not None]
    pace = min(slowed, key=lambda pace: pace.qpm or 0.0, default=Pace())
    memory = (0, 0)
    if seen.daemon is not None and seen.daemon.alive:
        family = family_memory(seen.daemon.pid)
        memory = (family.pss, family.processes)
    return Recorded(seen, batches, deaths, pace, memory)


def judged(recorded: Recorded, settings: Settings) -> Iterator[Check]:
    """Everything that has to be so; pure."""
    batches, rate = recorded.batches, recorded.status.rate
    measured = f"{amount(batches.batches, 'batch')} measured in the last day, of {ENOUGH} that are wanted"
    yield Check("measured", batches.batches >= ENOUGH, measured)
    yield Check("latency", batches.p99_s < P99_SECONDS, f"99% within {batches.p99_s:.2f} s, of {P99_SECONDS:.0f} s")
    yield Check("crashes", not recorded.deaths, f"{amount(recorded.deaths, 'worker')} died in the last day")
    yield _refusals(recorded.pace, rate.budget)
    used = max(rate.qpm)
    yield Check("budget", used < FULL * rate.budget, f"{used:,.0f} queries a minute used of {rate.budget:,}")
    yield _memory(*recorded.memory)
    trouble = [finding.text for finding in (recorded.status.verdict, *recorded.status.also) if finding.person]
    trouble += [f"{service} is away" for service in recorded.status.outages]
    yield Check("state", not trouble, "; ".join(trouble) or "nothing is amiss")
    yield _limits(settings)


def _refusals(pace: Pace, budget: int) -> Check:
    slowed = pace.qpm is not None and pace.qpm < budget
    left = f"Google's refusals have lowered the pace to {pace.qpm:,.0f} a minute" if slowed else "none lately"
    return Check("refusals", not slowed, left)


def _memory(pss: int, processes: int) -> Check:
    if not processes:
        return Check("memory", False, "memory is known only while the daemon runs")
    expected = pss + pss // processes
    limit = MEMORY_LIMIT // 1_000_000
    return Check("memory", expected < MEMORY_LIMIT, f"about {expected // 1_000_000} MB with one more, of {limit} MB")


def _limits(settings: Settings) -> Check:
    """Whether the other limits allow it, too."""
    more = msgspec.structs.replace(settings.workers, max_concurrency=settings.workers.max_concurrency + 1)
    try:
        check_together(replace(settings, workers=more))
    except ConfigError as error:
        return Check("limits", False, f"first {error.hint[:1].lower()}{error.hint[1:]}")
    return Check("limits", True, "the other settings allow it")
