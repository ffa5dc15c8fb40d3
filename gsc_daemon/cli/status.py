"""`gscd status`: one verdict, what to do next, and the figures behind it; asks neither Redis nor Postgres."""

from __future__ import annotations

import json
import sys
import time
from typing import Final, NoReturn

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import exists, json_option, report, settings_of
from gsc_daemon.cli.owner import become_owner
from gsc_daemon.cli.statuslines import as_data, lines
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import Exit, GscdError
from gsc_daemon.settings import Settings
from gsc_daemon.status import Status, look

PATIENCE: Final = 2.0  # seconds that the ledger's lock is waited for
WATCH_SECONDS: Final = 2.0


@click.command()
@click.option("--watch", is_flag=True, help="Look again every 2 s until interrupted; with --json, one line each time.")
@json_option
@click.pass_obj
def status(invocation: Invocation, watch: bool, as_json: bool) -> int:
    """Say in one line how things are and what to do next; then workers, queue, rate, sites.

    Works while Redis and Postgres are dead. Exits 1 when a person is needed.

    Example: gscd status --watch
    """
    settings = settings_of(invocation, secrets=False)
    if exists(settings.ledger.path.parent):
        become_owner(settings)
    if watch:
        _watch(settings, as_json=as_json)
    seen = look_now(settings)
    if as_json:
        report(as_data(seen))
    else:
        _show(seen)
    return int(Exit.PROBLEM if seen.person_needed else Exit.OK)


def _watch(settings: Settings, *, as_json: bool) -> NoReturn:
    """Until interrupted: a view on a terminal, else one status after another."""
    if as_json or not sys.stdout.isatty():
        while True:
            seen = look_now(settings)
            if as_json:
                click.echo(json.dumps(as_data(seen), ensure_ascii=False))
            else:
                _show(seen)
                click.echo()
            time.sleep(WATCH_SECONDS)
    from gsc_daemon.cli.watch import Painter, look_of_terminal, screen, size_of_terminal

    look = look_of_terminal()
    with Painter(sys.stdout) as painter:
        while True:
            size, most = size_of_terminal(), settings.workers.max_queue_size
            painter.draw(screen(look_now(settings), look, width=size[0], height=size[1], most_queued=most), size)
            time.sleep(WATCH_SECONDS)


def look_now(settings: Settings) -> Status:
    """The status, whatever is wrong with the ledger. Raises `NotPermitted`."""
    clock = SystemClock()
    if not exists(settings.ledger.path):
        return look(None, settings, clock, exists=False)
    from gsc_daemon.ledger import open_ledger

    try:
        ledger = open_ledger(settings.ledger.path, clock, read_only=True, patience=PATIENCE)
    except GscdError as error:
        return look(None, settings, clock, trouble=error)
    try:
        return look(ledger, settings, clock)
    finally:
        ledger.close()


def _show(seen: Status) -> None:
    for line in lines(seen):
        click.echo(line)
