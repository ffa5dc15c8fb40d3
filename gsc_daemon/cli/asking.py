"""`gscd sync`, what all its kinds do with their days: look what is there, announce, add, and wait if asked to."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import click

from gsc_daemon import plan
from gsc_daemon.cli.common import exists, report, say
from gsc_daemon.cli.progress import Progress
from gsc_daemon.cli.waiting import Waited, wait_for
from gsc_daemon.cli.work import EVERY, confirmed, known_site, live_daemon, working_ledger
from gsc_daemon.errors import Exit
from gsc_daemon.halt import DaemonView
from gsc_daemon.model import Day, PlanResult, Report, WantedDay
from gsc_daemon.ports import Ledger
from gsc_daemon.settings import Settings
from gsc_daemon.status import budget_qpm
from gsc_daemon.words import amount


@dataclass
class Asking:
    """One `gscd sync`: what was typed, and the ledger that it looks into.

    Args:
        sites: as typed; () for all of ``sync.sites``. search_types: as typed; () for those of the settings.
        ledger: None where there is none yet and none is made.
        dates_are_data: the dates that were found are printed, without ``--json``.
        awaited: days that are on their way already and that ``--wait`` waits for too.
    """

    settings: Settings
    sites: Sequence[str]
    search_types: Sequence[str]
    force: bool
    allow_loss: bool
    dry_run: bool
    yes: bool
    wait: bool
    as_json: bool
    dates_are_data: bool = False
    ledger: Ledger | None = None
    awaited: list[Day] = field(default_factory=list)

    def reports(self) -> list[tuple[Report, str]]:
        """Each report with each of its search types."""
        return list(plan.combined(self.settings.reports, self.settings.sync.search_types, self.search_types))

    def held(self, site: str, report_name: str, search_type: str) -> tuple[Mapping[dt.date, str], frozenset[dt.date]]:
        """Published days with their state, and pending ones."""
        if self.ledger is None:
            return {}, frozenset()
        return (
            self.ledger.published_days(site, report_name, search_type),
            self.ledger.pending_days(site, report_name, search_type),
        )

    def told(self, site: str, search_type: str) -> dt.date | None:
        """The newest date that Google has called final, as far as it is known."""
        return None if self.ledger is None else self.ledger.newest_final(site).get(search_type)


Wanted = Callable[[Asking, str], Iterable[WantedDay]]


def ask(asked: Asking, wanted: Wanted) -> int:
    """Put the days that ``wanted`` gives for each site into the ledger; gives the exit code."""
    settings = asked.settings
    if asked.dry_run and not exists(settings.ledger.path):
        opened: Any = nullcontext()
    else:
        opened = working_ledger(settings, create=not asked.dry_run, read_only=asked.dry_run)
    with opened as asked.ledger:
        sites = chosen_sites(asked)
        with Progress("looking at sites") as progress:
            days = [day for site in progress.count(sites, len(sites)) for day in _newest_first(wanted(asked, site))]
        if asked.dates_are_data and not asked.as_json:
            for date in sorted({wanted_day.day.date for wanted_day in days}, reverse=True):
                click.echo(date)
        expected = _preview(asked, days)
        fresh = [day for day, kind in zip(days, expected, strict=True) if kind != "already"]
        if not asked.dry_run and len(fresh) > plan.ANNOUNCE_ABOVE and not _agreed(asked, fresh):
            say("nothing has been changed")
            return int(Exit.PROBLEM)
        result = _counted(expected) if asked.dry_run else _add(asked, days)
        daemon = live_daemon(settings)
        _say(asked, sites, fresh, result, daemon)
        waited = None
        if asked.wait and asked.ledger is not None:
            waited = wait_for(settings, asked.ledger, [*asked.awaited, *(day.day for day in days)])
        if asked.as_json:
            report(_as_data(asked, sites, days, result, daemon, waited))
        elif waited is not None:
            say(str(waited))
        return int(waited.code) if waited is not None else 0


def chosen_sites(asked: Asking) -> list[str]:
    """The sites that are meant; with a pattern those that the credentials can read. Raises `UsageError`."""
    settings, choice = asked.settings, asked.settings.sync.choice
    if not choice.open:
        return _named(asked.sites, choice.named, f"sync.sites of {settings.file}")
    readable = [] if asked.ledger is None else [site.site for site in asked.ledger.known_sites() if site.readable]
    if not readable or not set(asked.sites) <= set(choice.among(readable)):
        readable = _listed(asked)
    return _named(asked.sites, choice.among(readable), "the properties that are wanted and can be read")


def _named(typed: Sequence[str], known: Sequence[str], where: str) -> list[str]:
    return list(dict.fromkeys(known_site(site, known, where) for site in typed or known))


def _listed(asked: Asking) -> list[str]:
    """As Google says now; the ledger learns it. Raises `SourceError` where no credential can ask."""
    from gsc_daemon.wiring import make_sources

    sources = make_sources(asked.settings)
    found: list[str] = []
    try:
        answers = list(sources.lists())
    finally:
        sources.close()
    for name, entries, failure in answers:
        if failure is not None:
            if len(answers) == 1:
                raise failure
            say(f"{name} cannot be asked which properties it reads: {failure}")
        elif asked.ledger is not None and not asked.dry_run:
            asked.ledger.save_sites(name, entries)
        found += [entry.site for entry in entries if entry.readable]
    return found


def _newest_first(days: Iterable[WantedDay]) -> list[WantedDay]:
    return sorted(days, key=lambda wanted: wanted.day.date, reverse=True)


def _preview(asked: Asking, days: Sequence[WantedDay]) -> list[str]:
    """``new``, ``again`` or ``already`` for each day, as the ledger will most likely answer."""
    held: dict[tuple[str, str, str], tuple[Mapping[dt.date, str], frozenset[dt.date]]] = {}
    quarantined = {item.day for item, _, _ in asked.ledger.quarantine(EVERY)} if asked.ledger is not None else set()
    kinds = []
    for wanted in days:
        slot, date = wanted.day[:3], wanted.day.date
        if slot not in held:
            held[slot] = asked.held(*slot)
        published, pending = held[slot]
        if date in pending:
            kinds.append("already")
        elif date in published or wanted.day in quarantined:
            kinds.append("again" if wanted.force else "already")
        else:
            kinds.append("new")
    return kinds


def _counted(kinds: Iterable[str]) -> PlanResult:
    counts = Counter(kinds)
    return PlanResult(counts["new"], counts["again"], counts["already"])


def _agreed(asked: Asking, fresh: Sequence[WantedDay]) -> bool:
    return confirmed(_announcement(asked, fresh), "Ask for them?", yes=asked.yes)


def _announcement(asked: Asking, fresh: Sequence[WantedDay]) -> str:
    reports = Counter(wanted.day.report for wanted in fresh)
    sites = len({wanted.day.site for wanted in fresh})
    return str(plan.announce(reports, budget_qpm(asked.settings, sites)))


def _add(asked: Asking, days: Sequence[WantedDay]) -> PlanResult:
    assert asked.ledger is not None
    with Progress("adding days") as progress:
        return asked.ledger.add_days(progress.count(days, len(days)))


def _say(
    asked: Asking, sites: Sequence[str], fresh: Sequence[WantedDay], result: PlanResult, daemon: DaemonView | None
) -> None:
    would = "would be " if asked.dry_run else ""
    said = f"{amount(result.new, 'day')} {would}new, {result.again:,} wanted again, {result.already:,} there already"
    say(f"{said} ({sites[0] if len(sites) == 1 else amount(len(sites), 'site')})")
    if asked.dry_run:
        if fresh:
            say(_announcement(asked, fresh))
        return
    if result.new or result.again:
        say(_who_does_them(daemon))


def _who_does_them(daemon: DaemonView | None) -> str:
    if daemon is None:
        return "no daemon runs; `systemctl start gscd` or `gscd run --until-idle` does them"
    if daemon.state in ("halted", "halting"):
        return f"the daemon (pid {daemon.pid}) is halted; `gscd resume` has it do them"
    return f"the daemon (pid {daemon.pid}) does them; `gscd status` shows how far it is"


def _as_data(
    asked: Asking,
    sites: Sequence[str],
    days: Sequence[WantedDay],
    result: PlanResult,
    daemon: DaemonView | None,
    waited: Waited | None,
) -> dict[str, Any]:
    dates: list[Day] = [wanted.day for wanted in days]
    return {
        "sites": sites,
        "first": min((day.date for day in dates), default=None),
        "last": max((day.date for day in dates), default=None),
        "new": result.new,
        "again": result.again,
        "already": result.already,
        "dry_run": asked.dry_run,
        "daemon": daemon.pid if daemon else None,
        "waited": waited.as_data() if waited is not None else None,
    }
