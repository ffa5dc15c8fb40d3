"""`gscd halt` and `gscd resume`: the file first, since it needs neither the ledger nor any service."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable
from typing import Final

import click

from gsc_daemon import halt as halting
from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import exists, json_option, report, say, settings_of
from gsc_daemon.cli.owner import become_owner, operator
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import ConfigError, GscdError, TryAgain
from gsc_daemon.halt import DaemonView, daemon_path, read_daemon
from gsc_daemon.ports import Ledger
from gsc_daemon.settings import Settings
from gsc_daemon.words import plain

SECTIONS: Final = ("ledger", "halt")  # a mistake elsewhere in the settings must not keep anyone from halting
LEDGER_PATIENCE: Final = 1.0  # seconds; the file is enough
RESUME_PATIENCE: Final = 10.0
WAIT_SECONDS: Final = 10.0
RESUME_SECONDS: Final = 3.0
POLL: Final = 0.05


@click.command()
@click.option("--reason", default="", metavar="TEXT", help="Why; `gscd status` shows it.")
@click.option(
    "--wait", is_flag=True, help="Return when every worker stands still; exits 75 after 10 s if one does not."
)
@json_option
@click.pass_obj
def halt(invocation: Invocation, reason: str, wait: bool, as_json: bool) -> int:
    """Stop all work until `gscd resume`; the daemon stays up, and nothing is lost.

    Works with a locked ledger, a full disk, Postgres and Redis dead. Survives restart and reboot.

    Example: gscd halt --wait --reason "moving the database"
    """
    settings = _settings(invocation)
    by = operator()
    reason = plain(reason) or f"`gscd halt` by {by}"
    become_owner(settings)
    held_by = _halt_everywhere(settings, reason, by)
    began = time.monotonic()
    daemon = _await_stillness(settings) if wait else _daemon(settings)
    if as_json:
        waited = round(time.monotonic() - began, 3) if wait else None
        pid = daemon.pid if daemon else None
        report({"halted": True, "reason": reason, "held_by": held_by, "daemon": pid, "waited_seconds": waited})
        return 0
    workers = "every worker stands still" if wait else "workers stop within seconds"
    say(f"halted: {workers if daemon else 'no daemon runs'}; `gscd resume` goes on")
    return 0


def _halt_everywhere(settings: Settings, reason: str, by: str) -> list[str]:
    """What holds the halt now: ``file``, ``ledger``, ``signal``. Raises what kept the file away if nothing does."""
    held_by = []
    failure = _write_file(settings, reason, by)
    if failure is None:
        held_by.append("file")
    elif _signal_daemon(settings):
        held_by.append("signal")
    has_ledger = exists(settings.ledger.path)
    ledger_failure = _tell_ledger(settings, lambda ledger: ledger.halt(reason, by)) if has_ledger else None
    if has_ledger and ledger_failure is None:
        held_by.append("ledger")
    if failure is not None and not held_by:
        raise failure
    if failure is not None:
        how = "the ledger holds the halt" if "ledger" in held_by else "the running daemon was told by signal"
        say(f"{failure}; {how}")
    elif ledger_failure is not None:
        say(f"the ledger could not be told ({ledger_failure}); the halt file is enough")
    return held_by


def _settings(invocation: Invocation) -> Settings:
    try:
        return settings_of(invocation, only=SECTIONS, secrets=False)
    except ConfigError as error:
        way = "A running service halts all the same by `systemctl kill -s USR1 gscd`"
        raise ConfigError(error.message, hint=f"{error.hint}. {way}" if error.hint else way) from error


def _write_file(settings: Settings, reason: str, by: str) -> GscdError | None:
    """What kept the file from being written, if anything did."""
    try:
        halting.write(settings.halt.file, reason, by)
    except GscdError as error:
        return error
    return None


def _daemon(settings: Settings) -> DaemonView | None:
    """The daemon, if any process of it lives."""
    view = read_daemon(daemon_path(settings.ledger.path))
    return view if view is not None and view.locked else None


def _signal_daemon(settings: Settings) -> bool:
    """USR1 to the supervisor; whether there is one to be told."""
    daemon = _daemon(settings)
    if daemon is None or not daemon.alive or not daemon.pid:
        return False
    try:
        os.kill(daemon.pid, signal.SIGUSR1)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _tell_ledger(
    settings: Settings, act: Callable[[Ledger], None], patience: float = LEDGER_PATIENCE
) -> GscdError | None:
    """What kept the ledger from being told, if anything did."""
    try:
        from gsc_daemon.ledger import open_ledger

        ledger = open_ledger(settings.ledger.path, SystemClock(), patience=patience)
        try:
            act(ledger)
        finally:
            ledger.close()
    except GscdError as error:
        return error
    except Exception as error:  # noqa: BLE001 - whatever is wrong with the ledger, the halt by file holds and is told
        failure = GscdError(f"{type(error).__name__}: {error}")
        failure.__cause__ = error
        return failure
    return None


def _await_stillness(settings: Settings) -> DaemonView | None:
    """Until the daemon says halted and no worker works. Raises `TryAgain` naming who still does."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (daemon := _daemon(settings)) is not None:
        busy = [worker for worker in daemon.workers if worker.works]
        if daemon.state == "halted" and not busy:
            return daemon
        if time.monotonic() > deadline:
            now_ms = time.time() * 1000
            named = [
                f"worker {worker.slot} (pid {worker.pid}, {' '.join(filter(None, (worker.state, worker.site)))} "
                f"for {(now_ms - worker.since_ms) / 1000:.0f} s)"
                for worker in busy
            ] or [f"the supervisor (pid {daemon.pid}) says {daemon.state}"]
            raise TryAgain(
                f"halted, but after {WAIT_SECONDS:.0f} s not everything stands still: {', '.join(named)}",
                hint="The halt stays; ask again, or end them with `systemctl kill -s KILL gscd`, which loses nothing",
            )
        time.sleep(POLL)
    return None


@click.command()
@json_option
@click.pass_obj
def resume(invocation: Invocation, as_json: bool) -> int:
    """Go on with work after a halt, and say what happens next.

    Example: gscd resume
    """
    settings = _settings(invocation)
    by = operator()
    become_owner(settings)
    was_halted = [halting.present(settings.halt.file)]

    def clear_ledger(ledger: Ledger) -> None:
        was_halted.append(ledger.halt_state().halted)
        ledger.resume(by)

    has_ledger = exists(settings.ledger.path)
    failure = _tell_ledger(settings, clear_ledger, RESUME_PATIENCE) if has_ledger else None
    if failure is not None:
        raise type(failure)(f"still halted, nothing has changed: {failure.message}", hint=failure.hint) from failure
    halting.clear(settings.halt.file)
    daemon = _await_motion(settings)
    still = daemon is not None and daemon.state in ("halted", "halting")
    if as_json:
        report({"was_halted": any(was_halted), "halted": still, "daemon": daemon.pid if daemon else None})
    else:
        say("resumed" if any(was_halted) else "it was not halted")
        say(_what_next(daemon))
    return 0 if not still else int(TryAgain.exit_code)


def _await_motion(settings: Settings) -> DaemonView | None:
    """The daemon as soon as it no longer stands still, or as it is after a while."""
    deadline = time.monotonic() + RESUME_SECONDS
    while (daemon := _daemon(settings)) is not None and daemon.state in ("halted", "halting"):
        if time.monotonic() > deadline:
            return daemon
        time.sleep(POLL)
    return daemon


def _what_next(daemon: DaemonView | None) -> str:
    if daemon is None:
        return "no daemon runs; `systemctl start gscd` or `gscd run` starts one"
    if daemon.state in ("halted", "halting"):
        why = f" ({daemon.reason})" if daemon.reason else ""
        return f"the daemon (pid {daemon.pid}) still stands still{why}; `systemctl restart gscd` frees it"
    return f"the daemon (pid {daemon.pid}, {daemon.state}) goes on by itself; `gscd status` shows what it does"
