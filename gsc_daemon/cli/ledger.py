"""`gscd ledger`: looking into the ledger and repairing it by hand; never needed while all is well."""

from __future__ import annotations

import datetime as dt
import os
import shutil
import sys
from pathlib import Path
from typing import Final

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import exists, json_option, report, say, settings_of
from gsc_daemon.cli.owner import become_owner, operator, user_name
from gsc_daemon.cli.work import (
    check_order,
    confirmed,
    date_range,
    known_site,
    live_daemon,
    site_option,
    span_words,
    working_ledger,
    yes_option,
)
from gsc_daemon.errors import ConfigError, Exit, NotPermitted, Unavailable
from gsc_daemon.words import amount

SECTIONS: Final = ("ledger",)  # a mistake elsewhere keeps nobody from looking
BUSY_MS: Final = 10_000  # that the program waits for a writer


@click.group()
def ledger() -> None:
    """Look into the ledger, copy it, have quarantined days tried again, make it anew.

    Example: gscd ledger shell
    """


@ledger.command()
@click.option("--write", is_flag=True, help="Allow changes; the history keeps them with your name.")
@click.pass_obj
def shell(invocation: Invocation, write: bool) -> int:
    """Open the ledger in the sqlite3 program, read-only unless told otherwise; its statements may come from stdin.

    Views to begin with: progress, leases, quarantine, qpm, changes. A transaction that stays open holds the daemon up.

    Example: gscd ledger shell
    """
    settings = settings_of(invocation, only=SECTIONS, secrets=False)
    by = operator()
    become_owner(settings)
    path = settings.ledger.path
    if not exists(path):
        raise ConfigError(f"there is no ledger {path} yet", hint="`gscd sync recent` makes it")
    program = shutil.which("sqlite3")
    if program is None:
        raise Unavailable(
            "the sqlite3 program is not installed",
            hint="Install it (Debian: apt install sqlite3), or take a copy by `gscd ledger snapshot FILE`",
        )
    words = shell_words(path, write=write, by=by)
    sys.stdout.flush()
    os.execv(program, [program, *words])  # noqa: S606 - no shell is wanted


def shell_words(path: Path, *, write: bool, by: str) -> list[str]:
    """The words after ``sqlite3``: safe settings first, whose own answers are not shown."""
    from gsc_daemon.ledger import shell_setup

    setup = shell_setup(by) if write else f".timeout {BUSY_MS}"
    shown = ["-header", "-column"] if sys.stdout.isatty() else []
    commands = [word for command in (".output /dev/null", setup, ".output stdout") for word in ("-cmd", command)]
    return [*([] if write else ["-readonly"]), *shown, *commands, str(path)]


@ledger.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@json_option
@click.pass_obj
def snapshot(invocation: Invocation, file: Path, as_json: bool) -> int:
    """Copy the ledger into a new file, whole and consistent, while the daemon works.

    Example: gscd ledger snapshot /var/backups/ledger.db
    """
    settings = settings_of(invocation, only=SECTIONS, secrets=False)
    target = file.absolute()
    with working_ledger(settings, read_only=True) as opened:
        if exists(target.parent) and not os.access(target.parent, os.W_OK | os.X_OK):
            hint = "Name a file in a folder that the ledger's owner may write in"
            raise NotPermitted(f"{user_name(os.geteuid())} may not write in {target.parent}", hint=hint)
        opened.snapshot(target)
    size = target.stat().st_size
    if as_json:
        report({"file": target, "bytes": size})
    else:
        say(f"{target}: {size:,} bytes")
    return 0


@ledger.command()
@site_option
@date_range()
@json_option
@click.pass_obj
def requeue(
    invocation: Invocation, site: str | None, first: dt.date | None, last: dt.date | None, as_json: bool
) -> int:
    """Try quarantined days again, their failures forgotten; without options all of them.

    Example: gscd ledger requeue --site sc-domain:example.com
    """
    check_order(first, last)
    settings = settings_of(invocation, only=SECTIONS, secrets=False)
    with working_ledger(settings) as opened:
        if site is not None:
            site = known_site(site, [one.site for one in opened.known_sites()], "the sites in the ledger")
        days = opened.requeue_quarantined(site, first, last)
    daemon = live_daemon(settings)
    if as_json:
        report({"requeued": days, "daemon": daemon.pid if daemon else None})
        return 0
    say(f"{amount(days, 'quarantined day')}{span_words(site, first, last)} planned again")
    if days and daemon is None:
        say("no daemon runs; `systemctl start gscd` or `gscd run --until-idle` does them")
    return 0


@ledger.command()
@yes_option
@json_option
@click.pass_obj
def rebuild(invocation: Invocation, yes: bool, as_json: bool) -> int:
    """Make the ledger anew from what Postgres holds, where it was deleted, damaged or restored from too long ago.

    The old file is kept beside it. What was planned, parked or quarantined is not in Postgres: `gscd sync` asks again.

    Example: gscd ledger rebuild --yes
    """
    from gsc_daemon.cli.rebuild import rebuild_ledger

    settings = settings_of(invocation)
    become_owner(settings)
    if exists(settings.ledger.path) and not yes:
        said = f"{settings.ledger.path} is moved aside, and a new one is made from what Postgres holds"
        if not confirmed(said, "Do that?", yes=False):
            say("nothing has been changed")
            return int(Exit.PROBLEM)
    done = rebuild_ledger(settings)
    if as_json:
        report({"ledger": settings.ledger.path, "days": done.days, "kept": done.kept, "halted": done.halted})
        return 0
    say(f"{settings.ledger.path}: {amount(done.days, 'day')} learned from what Postgres holds")
    if done.kept:
        say(f"the old one is kept as {done.kept}")
    if done.halted:
        say("the halt is carried over; `gscd resume` ends it")
    say("days that were asked for and not published yet are not in it; `gscd sync recent` asks for the newest")
    return 0
