"""`gscd reload`: bad settings are refused here, before the daemon hears of them."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import json_option, report, say, settings_of
from gsc_daemon.errors import NotPermitted, Unavailable, UsageError
from gsc_daemon.halt import DaemonView, daemon_path, read_daemon
from gsc_daemon.settings import Settings, changed_since, check_places


@click.command()
@json_option
@click.pass_obj
def reload(invocation: Invocation, as_json: bool) -> int:
    """Have the daemon read its settings again (the same as HUP), each worker after its batch.

    [workers], [rate_limit] figures, [sync], [[reports]] and log_level change without a restart; it says which other
    changes want one.

    Example: gscd reload
    """
    settings = settings_of(invocation)
    check_places(settings)
    daemon = _live_daemon(settings)
    live, restart = changed_since(daemon.settings, settings, daemon.run_id)
    try:
        os.kill(daemon.pid, signal.SIGHUP)
    except ProcessLookupError as error:
        raise Unavailable(
            "the daemon has just ended", hint="`systemctl start gscd` starts it with the new settings"
        ) from error
    except PermissionError as error:
        hint = "Run this as root or as the daemon's user"
        raise NotPermitted(f"this user may not signal the daemon (pid {daemon.pid})", hint=hint) from error
    if as_json:
        report({"daemon": daemon.pid, "changed": live, "restart_wanted": restart})
        return 0
    say(f"the daemon (pid {daemon.pid}) reads {settings.file} again")
    if daemon.settings:
        say("changed: " + (", ".join(live) if live else "nothing that a reload puts in force"))
    if restart:
        say(f"these want a restart (`systemctl restart gscd`): {', '.join(restart)}")
    return 0


def _live_daemon(settings: Settings) -> DaemonView:
    """The daemon that reads this very file. Raises `Unavailable`, `UsageError`."""
    daemon = read_daemon(daemon_path(settings.ledger.path))
    if daemon is None or not daemon.alive or not daemon.pid:
        hint = "They count from the next start on: `systemctl start gscd`"
        raise Unavailable("the settings are good, but no daemon runs", hint=hint)
    if daemon.config and settings.file is not None and Path(daemon.config) != settings.file:
        raise UsageError(
            f"the daemon (pid {daemon.pid}) reads {daemon.config}, not {settings.file}",
            hint=f"Use `gscd --config {daemon.config} reload`",
        )
    return daemon
