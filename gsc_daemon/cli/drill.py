"""`gscd drill`: what goes wrong in production, done on purpose to a gscd on the emulator."""

from __future__ import annotations

import click

from gsc_daemon.cli.common import json_option, report
from gsc_daemon.cli.demo import Teller, end_like_ctrl_c
from gsc_daemon.demo import DRILLS
from gsc_daemon.errors import Exit


@click.command()
@click.argument("name", type=click.Choice(list(DRILLS)))
@json_option
def drill(name: str, as_json: bool) -> int:
    """Disturb a gscd that works on the emulator, and see that it recovers without losing a row; a minute each.

    rate-limit: Google refuses above a limit that nobody announced. backlog: Postgres hangs, then is away. coordinator:
    the coordinator is killed. Everything is private to the drill and gone afterwards; exits 1 if it went wrong.

    Example: gscd drill rate-limit
    """
    end_like_ctrl_c()
    teller = Teller()
    try:
        drilled = DRILLS[name](teller)
    finally:
        teller.clear()
    if as_json:
        report({"drill": name, "good": drilled.good, "figures": drilled.figures})
    else:
        click.echo(f"{name}: {'as it should be' if drilled.good else 'NOT as it should be'}")
        for what, figure in drilled.figures.items():
            click.echo(f"  {what}: {figure}")
    return int(Exit.OK if drilled.good else Exit.PROBLEM)
