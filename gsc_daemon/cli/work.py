"""The command line, what the commands on work share: dates and sites as they are typed, the ledger, a person's yes."""

from __future__ import annotations

import datetime as dt
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from gsc_daemon.cli.owner import become_owner
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import UsageError
from gsc_daemon.halt import DaemonView, daemon_path, read_daemon
from gsc_daemon.settings import Settings, make_state_folder, wrong_site

if TYPE_CHECKING:
    from gsc_daemon.ledger import SqliteLedger

PATIENCE: Final = 10.0  # seconds that a command waits for the ledger's lock
EVERY: Final = 1_000_000_000  # quarantined items: all of them


def _date(text: str) -> dt.date:
    """A date as 2026-11-24. Raises `click.BadParameter`."""
    try:
        return dt.date.fromisoformat(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r} is no date; write it like 2026-11-24") from error


Command = Callable[..., Any]


def date_range(*, required: bool = False) -> Callable[[Command], Command]:
    """``--from`` and ``--to`` as ``first`` and ``last``, both ends included."""

    def decorate(command: Command) -> Command:
        till = click.option(
            "--to", "last", type=_date, required=required, metavar="DATE", help="The last date, included."
        )
        since = click.option(
            "--from", "first", type=_date, required=required, metavar="DATE", help="The first date (Pacific time)."
        )
        return since(till(command))

    return decorate


def site_option(command: Command) -> Command:
    """``--site``, once."""
    return click.option("--site", metavar="SITE", help="This property only.")(command)


def yes_option(command: Command) -> Command:
    """``--yes``."""
    return click.option("--yes", is_flag=True, help="Do not ask.")(command)


def check_order(first: dt.date | None, last: dt.date | None) -> None:
    """Raises `UsageError` for a range that is reversed."""
    if first is not None and last is not None and first > last:
        raise UsageError(f"the range {first} to {last} is reversed", hint=f"Say --from {last} --to {first}")


def span_words(site: str | None, first: dt.date | None, last: dt.date | None) -> str:
    """Which days a command was about, to follow what it did."""
    parts = (f" of {site}" if site else "", f" from {first}" if first else "", f" up to {last}" if last else "")
    return "".join(parts)


@contextmanager
def working_ledger(settings: Settings, *, create: bool = False, read_only: bool = False) -> Iterator[SqliteLedger]:
    """The ledger, opened as its owner and closed again. Raises as `open_ledger` and `become_owner`."""
    from gsc_daemon.ledger import open_ledger

    if create:
        make_state_folder(settings)
    become_owner(settings)
    ledger = open_ledger(settings.ledger.path, SystemClock(), create=create, read_only=read_only, patience=PATIENCE)
    try:
        yield ledger
    finally:
        ledger.close()


def confirmed(announcement: str, question: str, *, yes: bool) -> bool:
    """Whether a person agrees; ``yes`` agrees at once. Raises `UsageError` where nobody can be asked."""
    click.echo(announcement, err=True)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this wants a yes, and there is no terminal to ask", hint="Say --yes")
    return click.confirm(question, err=True)


def known_site(typed: str, known: Sequence[str], where: str) -> str:
    """The property that is meant. Raises `UsageError` that names the nearest one.

    Args:
        where: what ``known`` is, to follow "is not among", such as ``sync.sites``.
    """
    if typed in known:
        return typed
    from gsc_daemon.source.sites import normalise, suggestions

    site = normalise(typed)
    if site in known:
        return site
    if near := suggestions(site, known):
        raise UsageError(f'"{typed}" is not among {where}', hint=f"Did you mean {' or '.join(near)}?")
    if wrong := wrong_site(site):
        raise UsageError(f'"{typed}" {wrong}')
    raise UsageError(f'"{typed}" is not among {where}', hint=f"There are {len(known):,}; `gscd sites` lists them")


def live_daemon(settings: Settings) -> DaemonView | None:
    """The daemon that works with this ledger, if its supervisor lives."""
    daemon = read_daemon(daemon_path(settings.ledger.path))
    return daemon if daemon is not None and daemon.alive else None
