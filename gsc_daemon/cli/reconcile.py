"""`gscd reconcile`: what was planned, what the ledger says and what Postgres holds, compared; and planned again."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any, Final

import click

from gsc_daemon import halt
from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import json_option, report, say, settings_of, table
from gsc_daemon.cli.progress import Progress
from gsc_daemon.cli.work import check_order, date_range, known_site, span_words, working_ledger
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.errors import ConfigError, Exit
from gsc_daemon.ports import Ledger, Sink
from gsc_daemon.reconcile import Asker, Checked, Findings, Kind, Repair, Wanted, look, repair, spot_check
from gsc_daemon.settings import Settings
from gsc_daemon.wiring import make_budget, make_sink, make_sources
from gsc_daemon.words import amount

SPOT_CHECKS: Final = 100
WORST: Final = 3  # examples of each kind
MEANINGS: Final = {
    Kind.MISSING: "the ledger calls them published, Postgres does not hold them",
    Kind.PARTIAL: "Postgres holds fewer rows than the receipt says",
    Kind.ALTERED: "Postgres holds other rows or figures than the receipt says",
    Kind.STALE: "Postgres holds an older generation than the ledger published",
    Kind.ORPHANED: "rows without a receipt",
    Kind.REQUESTS: "a request {…, date, start_row} is missing or there twice",
    Kind.UNKNOWN: "Postgres holds them, the ledger does not know",
    Kind.AHEAD: "Postgres holds a newer generation than the ledger published",
    Kind.GAP: "between the first and the last date held, and nobody planned them",
}


@click.command()
@click.option("--site", metavar="SITE", help="Only this property.")
@date_range(required=False)
@click.option("--repair", "mend", is_flag=True, help="Plan again what differs, as far as Google can still give it.")
@click.option(
    "--spot-check",
    "spots",
    is_flag=False,
    flag_value=SPOT_CHECKS,
    type=click.IntRange(1, 10_000),
    metavar="[N]",
    help=f"Ask the API again for N random URLs ({SPOT_CHECKS} unless given), and compare their rows.",
)
@json_option
@click.pass_obj
def reconcile(
    invocation: Invocation,
    site: str | None,
    first: dt.date | None,
    last: dt.date | None,
    mend: bool,
    spots: int | None,
    as_json: bool,
) -> int:
    """Compare what was planned, what the ledger says and what Postgres holds; exits 1 if anything differs.

    The daemon may work meanwhile. Nothing is deleted, and what Google no longer gives stays as it is.

    Example: gscd reconcile --from 2026-06-01 --repair --spot-check
    """
    check_order(first, last)
    settings = settings_of(invocation)
    clock = SystemClock()
    with working_ledger(settings) as ledger:
        sink = make_sink(settings)
        try:
            _check_owner(ledger, sink)
            with Progress("days counted") as progress:
                findings = look(ledger, sink, site=site, first=first, last=last, progress=progress.show)
            if site and not findings.days and not findings.under_way:
                known_site(site, [one.site for one in ledger.known_sites()], "what ledger and Postgres hold")
            mended = repair(ledger, findings.differences, _wanted(settings), pacific_today(clock)) if mend else None
            checked = _spot_check(settings, ledger, sink, site, first, last, spots) if spots and findings.rows else None
        finally:
            sink.close()
    if as_json:
        report(_data(findings, mended, checked))
    else:
        _tell(findings, mended, checked, site, span_words(None, first, last))
    return int(Exit.OK if findings.clean and not _faults(checked or ()) else Exit.PROBLEM)


def _check_owner(ledger: Ledger, sink: Sink) -> None:
    """Another ledger's sink would differ in everything, and a repair would fetch all of it. Raises `ConfigError`."""
    owner = sink.owner()
    if owner and owner != ledger.ledger_id:
        raise ConfigError(
            f"Postgres is fed by the ledger {owner}, and this one is {ledger.ledger_id}",
            hint="Name the right ledger.path or sink.dsn, or let `gscd run --take-over` take it",
        )


def _wanted(settings: Settings) -> Wanted:
    sites = None if settings.sync.all_sites else frozenset(settings.sync.choice.named)
    return Wanted(sites, frozenset(one.name for one in settings.reports))


def _spot_check(
    settings: Settings,
    ledger: Ledger,
    sink: Sink,
    site: str | None,
    first: dt.date | None,
    last: dt.date | None,
    count: int,
) -> list[Checked]:
    budget, sources = make_budget(settings, ledger), make_sources(settings)

    def halted() -> bool:
        return halt.present(settings.halt.file) or ledger.halt_state().halted

    try:
        asker = Asker(ledger, budget, sources, SystemClock(), halted)
        with Progress("URLs asked for") as progress:
            return list(progress.count(spot_check(asker, sink, site, first, last, count), count))
    finally:
        sources.close()
        budget.close()


# For a person.


def _tell(
    findings: Findings, mended: Repair | None, checked: Sequence[Checked] | None, site: str | None, span: str
) -> None:
    click.echo(_verdict(findings, site or amount(findings.sites, "site"), span))
    kinds = findings.by_kind()
    if kinds:
        rows = [(kind, f"{len(found):,}", MEANINGS[kind]) for kind, found in kinds.items()]
        table([("difference", "days", "what it means"), *rows])
        for found in kinds.values():
            for one in found[:WORST]:
                click.echo(f"  {one.kind}: {one}")
            if len(found) > WORST:
                click.echo(f"  {found[0].kind}: and {len(found) - WORST:,} more; --json lists all")
    if mended is not None:
        _tell_repair(mended)
    elif kinds:
        say("`gscd reconcile --repair` plans them again, as far as Google can still give them")
    if checked is not None:
        _tell_spots(checked)


def _verdict(findings: Findings, sites: str, span: str) -> str:
    what = f"{amount(findings.days, 'day')} of {sites}{span}, {amount(findings.rows, 'row')}"
    busy = f"; {amount(findings.under_way, 'day')} under way left out" if findings.under_way else ""
    if findings.clean:
        return f"Clean: ledger and Postgres agree on {what}{busy}"
    differing = len({one.day for one in findings.differences})
    return f"Not clean: {amount(differing, 'day')} differ; compared were {what}{busy}"


def _tell_repair(mended: Repair) -> None:
    click.echo(f"Repair: {amount(mended.planned, 'day')} planned again; the daemon does the rest")
    for found, why in (
        (mended.too_old, "older than the 16 months that Google keeps"),
        (mended.unwanted, "of a site or report that the settings no longer name"),
    ):
        if found:
            days = amount(len({one.day for one in found}), "day")
            click.echo(f"Left as they are: {days} {why}, such as {found[0].day}")


def _faults(checked: Sequence[Checked]) -> list[Checked]:
    """Where Postgres is wrong, or it could not be told."""
    return [one for one in checked if one.wrong or one.failure]


def _tell_spots(checked: Sequence[Checked]) -> None:
    faults = _faults(checked)
    rows = sum(one.rows for one in checked)
    if not checked:
        click.echo("Spot check: Postgres holds no page that could be asked for")
    elif faults:
        click.echo(f"Spot check: {len(faults)} of {amount(len(checked), 'URL')} differ or could not be asked for")
    else:
        click.echo(f"Spot check: {amount(len(checked), 'URL')} with {amount(rows, 'row')} are as Google gives them now")
    for one in faults[:WORST]:
        click.echo(f"  {one}")
    if fresh := [one for one in checked if one.provisional and (one.differing or one.lacking)]:
        click.echo(f"  {amount(len(fresh), 'URL')} of provisional days differ, which Google still changes: no fault")


# For a program.


def _data(findings: Findings, mended: Repair | None, checked: Sequence[Checked] | None) -> dict[str, Any]:
    data: dict[str, Any] = {
        "clean": findings.clean,
        "days": findings.days,
        "rows": findings.rows,
        "sites": findings.sites,
        "under_way": findings.under_way,
        "counts": {kind: len(found) for kind, found in findings.by_kind().items()},
        "differences": [
            {"kind": one.kind, **one.day._asdict(), "text": one.text, "rows": one.rows} for one in findings.differences
        ],
    }
    if mended is not None:
        data["repair"] = {
            "planned": mended.planned,
            "too_old": [one.day._asdict() for one in mended.too_old],
            "unwanted": [one.day._asdict() for one in mended.unwanted],
        }
    if checked is not None:
        data["spot_check"] = {
            "urls": len(checked),
            "rows": sum(one.rows for one in checked),
            "faults": len(_faults(checked)),
            "differing": [_spot(one) for one in checked if one.differing or one.lacking or one.failure],
        }
    return data


def _spot(one: Checked) -> dict[str, Any]:
    return {
        **one.day._asdict(),
        "page": one.page,
        "rows": one.rows,
        "differing": one.differing,
        "lacking": one.lacking,
        "provisional": one.provisional,
        "truncated": one.truncated,
        "failure": one.failure,
    }
