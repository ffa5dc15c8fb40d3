"""The command line, what the commands on work share: dates and sites as they are typed, the ledger, a person's yes."""

from __future__ import annotations

import datetime as dt
import difflib
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import click

from gsc_daemon.cli.owner import become_owner
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import UsageError
from gsc_daemon.ledger import SqliteLedger, open_ledger
from gsc_daemon.settings import Settings, make_state_folder, wrong_site

PATIENCE: Final = 10.0  # seconds that a command waits for the ledger's lock


class DateType(click.ParamType):
    """A date as 2026-11-24; what is no date is a misuse."""

    name = "date"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> dt.date:
        """Raises `click.BadParameter`."""
        if isinstance(value, dt.date):
            return value
        try:
            parsed = dt.datetime.strptime(value, "%Y-%m-%d")  # noqa: DTZ007 - a date of Google's, without a time
        except ValueError:
            self.fail(f"{value!r} is no date; write it like 2026-11-24", param, ctx)
        return parsed.date()


DATE: Final = DateType()

Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]


def date_range(*, required: bool) -> Decorator:
    """``--from`` and ``--to`` as ``first`` and ``last``, both ends included."""

    def decorate(command: Callable[..., Any]) -> Callable[..., Any]:
        till = click.option("--to", "last", type=DATE, required=required, metavar="DATE", help="The last date.")
        since = click.option(
            "--from", "first", type=DATE, required=required, metavar="DATE", help="The first date (Pacific time)."
        )
        return since(till(command))

    return decorate


def check_order(first: dt.date | None, last: dt.date | None) -> None:
    """Raises `UsageError` for a range that is reversed."""
    if first is not None and last is not None and first > last:
        raise UsageError(
            f"the range {first} to {last} is reversed", hint=f"Say --from {last} --to {first}"
        )


def span_words(site: str | None, first: dt.date | None, last: dt.date | None) -> str:
    """The choice of a command in words, to follow what it did."""
    parts = [
        f" of {site}" if site else "",
        f" from {first}" if first else "",
        f" up to {last}" if last else "",
    ]
    return "".join(parts)


@contextmanager
def working_ledger(settings: Settings, *, create: bool = False, read_only: bool = False) -> Iterator[SqliteLedger]:
    """The ledger, opened as its owner and closed again. Raises as `open_ledger` and `become_owner`."""
    if create:
        make_state_folder(settings)
    become_owner(settings)
    ledger = open_ledger(settings.ledger.path, SystemClock(), create=create, read_only=read_only, patience=PATIENCE)
    try:
        yield ledger
    finally:
        ledger.close()


def confirmed(announcement: str, question: str, *, yes: bool) -> bool:
    """Whether a person agrees; --yes agrees at once. Raises `UsageError` where nobody can be asked."""
    click.echo(announcement, err=True)
    if yes:
        return True
    if not sys.stdin.isatty():
        raise UsageError("this wants a yes, and there is no terminal to ask", hint="Say --yes")
    return click.confirm(question, err=True)


def known_site(name: str, known: Collection[str]) -> str:
    """The property that is meant by ``name``. Raises `UsageError` that names the right spelling."""
    if name in known:
        return name
    ...
