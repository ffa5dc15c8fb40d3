"""`gscd sync`: puts days into the ledger, says how many, and whether a daemon is there to do them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

import click
from msgspec.structs import replace

from gsc_daemon import plan
from gsc_daemon.cli import Invocation
from gsc_daemon.cli.asking import Asking, ask
from gsc_daemon.cli.common import json_option, settings_of
from gsc_daemon.cli.work import Command, date_range, yes_option
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.model import SEARCH_TYPES, Day, Priority, WantedDay
from gsc_daemon.settings import Settings

OPTIONS: Final = (
    click.option(
        "--site", "sites", multiple=True, metavar="SITE", help="This property only; may be given several times."
    ),
    click.option(
        "--search-type",
        "search_types",
        multiple=True,
        type=click.Choice(SEARCH_TYPES),
        help="This search type instead of sync.search_types; may be given several times.",
    ),
    click.option("--force", is_flag=True, help="Fetch again what is published already, as a new generation."),
    click.option("--allow-loss", is_flag=True, help="An empty answer may replace rows that are there."),
    click.option("--dry-run", is_flag=True, help="Only say what would be asked for."),
    yes_option,
    click.option("--wait", is_flag=True, help="Return when the days are published; exits as `run --until-idle` does."),
    json_option,
)

Dates = Callable[[dt.date], list[dt.date]]


def asking(command: Command) -> Command:
    """The options that every kind of sync has."""
    for option in reversed(OPTIONS):
        command = option(command)
    return command


@click.group()
def sync() -> None:
    """Ask for days; the daemon fetches them, newest first. The same day twice is one day.

    More than 1,000 days at once are announced first (requests, hours, GB) and want --yes.

    Example: gscd sync range --from 2026-01-01 --to 2026-01-31 --wait
    """


@sync.command()
@asking
@click.pass_obj
def yesterday(invocation: Invocation, /, **options: Any) -> int:
    """The newest day that Google has finished, as it has told, else three days ago (Pacific time); prints its date.

    Sites and search types may differ in that; then it prints each date.

    Example: gscd sync yesterday --site sc-domain:example.com
    """
    settings, today = settings_of(invocation), _today()

    def wanted(asked: Asking, site: str) -> Iterator[WantedDay]:
        for report, search_type in asked.reports():
            date = plan.newest_final(today, asked.told(site, search_type))
            yield from plan.range_days(
                [site], [(report, search_type)], [date], today, force=asked.force, allow_loss=asked.allow_loss
            )

    return ask(_asking(settings, options | {"dates_are_data": True}), wanted)


@sync.command()
@asking
@click.pass_obj
def recent(invocation: Invocation, /, **options: Any) -> int:
    """What keeps each site current: from its oldest missing or unfinished day up to today, plus a look-back.

    Example: gscd sync recent
    """
    settings, today = settings_of(invocation), _today()
    history = plan.newest_final(today) - dt.timedelta(days=settings.sync.lookback_days)

    def wanted(asked: Asking, site: str) -> Iterator[WantedDay]:
        for report, search_type in asked.reports():
            published, pending = asked.held(site, report.name, search_type)
            asked.awaited += [Day(site, report.name, search_type, date) for date in pending if date >= history]
            for day in plan.recent_days(
                site,
                report,
                search_type,
                published=published,
                pending=pending,
                today=today,
                lookback_days=settings.sync.lookback_days,
                new_site_days=settings.sync.new_site_days,
                told=asked.told(site, search_type),
            ):
                yield replace(day, force=day.force or asked.force, allow_loss=asked.allow_loss)

    return ask(_asking(settings, options), wanted)


@sync.command("range")
@date_range(required=True)
@asking
@click.pass_obj
def range_(invocation: Invocation, /, first: dt.date, last: dt.date, **options: Any) -> int:
    """Every day from one date to another, both included.

    Example: gscd sync range --from 2026-01-01 --to 2026-01-31 --force
    """
    plan.check_range(first, last, _today())
    return _ask_dates(invocation, options, plan.dates(first, last))


@sync.command("full-history")
@asking
@click.pass_obj
def full_history(invocation: Invocation, /, **options: Any) -> int:
    """All that Google keeps: 16 months up to today; ends early where nothing comes any more.

    A run of empty days (sync.stop_after_empty_days) ends it; the newest days may be empty.

    Example: gscd sync full-history --site https://www.example.com/ --yes
    """
    today = _today()
    dates = plan.dates(plan.oldest_kept(today), today)
    return _ask_dates(invocation, options, dates, Priority.HISTORY)


def _today() -> dt.date:
    return pacific_today(SystemClock())


def _asking(settings: Settings, options: dict[str, Any]) -> Asking:
    types = options.pop("search_types")
    return Asking(settings, search_types=tuple(dict.fromkeys(types)), **options)


def _ask_dates(
    invocation: Invocation, options: dict[str, Any], dates: list[dt.date], priority: Priority | None = None
) -> int:
    settings = settings_of(invocation)

    def wanted(asked: Asking, site: str) -> Iterable[WantedDay]:
        return plan.range_days(
            [site],
            asked.reports(),
            dates,
            _today(),
            force=asked.force,
            allow_loss=asked.allow_loss,
            priority=priority,
        )

    return ask(_asking(settings, options), wanted)
