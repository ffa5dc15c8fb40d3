"""`gscd sites`: the properties that the credentials can read and what is kept of them; park, unpark, forget."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import exists, json_option, report, say, settings_of, table
from gsc_daemon.cli.owner import become_owner, operator
from gsc_daemon.cli.work import confirmed, known_site, working_ledger, yes_option
from gsc_daemon.errors import Exit, TryAgain
from gsc_daemon.model import SiteEntry, SiteProgress
from gsc_daemon.ports import Ledger
from gsc_daemon.settings import Settings
from gsc_daemon.words import amount, moment, plain

LEASE_PATIENCE: Final = 20.0  # seconds that `forget` waits for what is being fetched
POLL: Final = 0.1
IN_LEDGER: Final = "the sites in the ledger"


@click.group(invoke_without_command=True)
@json_option
@click.pass_context
def sites(ctx: click.Context, as_json: bool) -> int:
    """List the properties that the credentials can read, and what is kept of each.

    Asks Google; if that fails, it shows what the ledger knows and says so.

    Example: gscd sites --json
    """
    if ctx.invoked_subcommand is not None:
        return 0
    settings = settings_of(ctx.find_object(Invocation) or Invocation(), secrets=False)
    become_owner(settings)
    entries, failure = _listed(settings)
    rows = _merged(settings, entries, _kept(settings))
    if as_json:
        report({"asked_google": not failure, "failure": failure or None, "sites": rows})
        return 0
    if failure:
        say(f"Google could not be asked, so this is what the ledger knows: {failure}")
    _print(rows)
    return 0


def _listed(settings: Settings) -> tuple[dict[str, tuple[SiteEntry, str]], str]:
    """What Google lists, with the credential that reads it, and why some of it could not be had."""
    from gsc_daemon.wiring import make_sources

    sources = make_sources(settings)
    entries: dict[str, tuple[SiteEntry, str]] = {}
    failures = []
    try:
        for name, listed, failure in sources.lists():
            entries |= {entry.site: (entry, name) for entry in listed}
            if failure is not None:
                failures.append(f"{name}: {failure}" if settings.credentials else str(failure))
    finally:
        sources.close()
    return entries, "; ".join(failures)


def _kept(settings: Settings) -> dict[str, SiteProgress]:
    if not exists(settings.ledger.path):
        return {}
    with working_ledger(settings, read_only=True) as ledger:
        return {site.site: site for site in (*ledger.known_sites(), *ledger.progress())}


def _merged(
    settings: Settings, entries: dict[str, tuple[SiteEntry, str]], kept: dict[str, SiteProgress]
) -> list[dict[str, Any]]:
    """One record per site, those that the credential can read first."""
    choice = settings.sync.choice
    wanted = choice.among(entry.site for entry, _ in entries.values() if entry.readable)
    names = dict.fromkeys([*sorted(entries), *sorted(kept), *wanted])
    return [_record(name, entries.get(name), name in wanted, kept.get(name)) for name in names]


def _record(name: str, listed: tuple[SiteEntry, str] | None, synced: bool, kept: SiteProgress | None) -> dict[str, Any]:
    """A site as ``--json`` shows it."""
    permission = listed[0].permission if listed else ""
    return {
        "site": name,
        "permission": permission or (kept.permission if kept else "") or None,
        "synced": synced,
        "oldest": kept.oldest if kept else None,
        "newest": kept.newest if kept else None,
        "newest_final": kept.newest_final if kept else None,
        "stalled_ms": kept.stalled_ms if kept else None,
        "published": kept.published if kept else 0,
        "wanted": kept.wanted if kept else 0,
        "quarantined": kept.quarantined if kept else 0,
        "parked": kept.parked if kept else "",
        "parked_until_ms": kept.parked_until_ms if kept else None,
        "credential": (listed[1] if listed else "") or (kept.credential if kept else "") or None,
    }


def _print(rows: Sequence[dict[str, Any]]) -> None:
    heading = ("site", "permission", "synced", "oldest", "newest", "final", "published", "wanted", "parked")
    lines = [heading]
    for row in rows:
        until = f" (until {moment(row['parked_until_ms'])})" if row["parked_until_ms"] else ""
        dates = tuple(str(row[name] or "-") for name in ("oldest", "newest", "newest_final"))
        days = (f"{row['published']:,}", f"{row['wanted']:,}")
        parked = f"{row['parked']}{until}" or "-"
        lines.append((row["site"], row["permission"] or "-", "yes" if row["synced"] else "no", *dates, *days, parked))
    table(lines)


@contextmanager
def _site_of(settings: Settings, typed: str) -> Iterator[tuple[Ledger, SiteProgress]]:
    """The ledger and the site that is meant."""
    with working_ledger(settings) as ledger:
        known = {site.site: site for site in ledger.known_sites()}
        yield ledger, known[known_site(typed, list(known), IN_LEDGER)]


@sites.command()
@click.argument("site")
@click.option("--reason", default="", metavar="TEXT", help="Why; `gscd sites` and `gscd status` show it.")
@json_option
@click.pass_obj
def park(invocation: Invocation, site: str, reason: str, as_json: bool) -> int:
    """Set a site aside until it is unparked; what is being fetched now finishes, what is queued waits.

    Example: gscd sites park sc-domain:example.com --reason "moves to another property"
    """
    settings = settings_of(invocation, secrets=False)
    reason = plain(" ".join(reason.split())) or f"`gscd sites park` by {operator()}"
    with _site_of(settings, site) as (ledger, known):
        ledger.park_site(known.site, reason, None)
    if as_json:
        report({"site": known.site, "parked": reason})
    else:
        say(f"{known.site} is parked; `gscd sites unpark {known.site}` goes on")
    return 0


@sites.command()
@click.argument("site")
@json_option
@click.pass_obj
def unpark(invocation: Invocation, site: str, as_json: bool) -> int:
    """Go on with a site that was parked, by a person or after a refusal.

    Example: gscd sites unpark sc-domain:example.com
    """
    settings = settings_of(invocation, secrets=False)
    with _site_of(settings, site) as (ledger, known):
        was_parked = ledger.unpark_site(known.site)
    if as_json:
        report({"site": known.site, "was_parked": was_parked})
    else:
        say(f"{known.site} goes on" if was_parked else f"{known.site} was not parked")
    return 0


@sites.command()
@click.argument("site")
@click.option("--purge", is_flag=True, help="Delete its rows from Postgres too; Google gives only 16 months again.")
@yes_option
@json_option
@click.pass_obj
def forget(invocation: Invocation, site: str, purge: bool, yes: bool, as_json: bool) -> int:
    """Remove a site from the ledger: its days, queue and history of work. What Postgres holds stays, but for --purge.

    Take it out of sync.sites first, or it is asked for again.

    Example: gscd sites forget sc-domain:old.example.com --purge --yes
    """
    settings = settings_of(invocation, secrets=purge)
    with _site_of(settings, site) as (ledger, known):
        what = f"{amount(known.wanted, 'day')} of {known.site} leave the ledger"
        what += ", and all its rows are deleted from Postgres" if purge else "; its rows in Postgres stay"
        if not confirmed(what, "Forget it?", yes=yes):
            say("nothing has been changed")
            return int(Exit.PROBLEM)
        _still(ledger, known.site)
        rows = _purge(settings, known.site) if purge else None
        days = ledger.forget_site(known.site)
    again = settings.sync.choice.has(known.site)
    if as_json:
        report({"site": known.site, "days": days, "rows": rows, "asked_for_again": again})
        return 0
    purged = f", {amount(rows, 'row')} deleted from Postgres" if rows is not None else ""
    say(f"{known.site}: {amount(days, 'day')} forgotten{purged}")
    if again:
        say(f"sync.sites still names it, so its newest days are asked for again: see {settings.file}")
    return 0


def _still(ledger: Ledger, site: str) -> None:
    """Nobody works on the site any more and nobody begins to, so that no late commit brings it back. `TryAgain`."""
    ledger.cancel_days(site, None, None)
    ledger.park_site(site, "is being forgotten", None)
    deadline = time.monotonic() + LEASE_PATIENCE
    while any(lease.site == site for lease in ledger.leases()):
        if time.monotonic() > deadline:
            raise TryAgain(
                "is still being fetched; it is parked now and its queued days are cancelled",
                hint="Ask again when `gscd status` shows no worker at it",
                site=site,
            )
        time.sleep(POLL)


def _purge(settings: Settings, site: str) -> int:
    from gsc_daemon.wiring import make_sink

    sink = make_sink(settings)
    try:
        return sink.forget_site(site)
    finally:
        sink.close()
