"""`gscd run`: the daemon, in the foreground."""

from __future__ import annotations

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import settings_of
from gsc_daemon.cli.owner import become_owner
from gsc_daemon.settings import check_places, make_state_folder


@click.command()
@click.option(
    "--until-idle",
    is_flag=True,
    help="Leave when nothing is left to do: 0 all is published, 75 halted or parked, 1 something is in quarantine.",
)
@click.option(
    "--take-over", is_flag=True, help="Feed this Postgres schema from now on, although another ledger has fed it."
)
@click.pass_obj
def run(invocation: Invocation, until_idle: bool, take_over: bool) -> int:
    """Run the daemon in the foreground; systemd does that for the service.

    TERM drains (a second one: at once), HUP reads the settings again, USR1 halts, USR2 writes every process's stacks.
    A second daemon for the same ledger exits 75; settings that cannot work exit 78.

    Example: gscd run --until-idle
    """
    settings = settings_of(invocation)
    make_state_folder(settings)
    check_places(settings)
    become_owner(settings)
    from gsc_daemon.wiring import run_daemon

    return run_daemon(settings, lambda: settings_of(invocation), until_idle=until_idle, take_over=take_over)
