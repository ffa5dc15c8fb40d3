"""The command line: parse, call, print, exit code. Each command's module is imported when it is used.

stdout is data, stderr is words. A failure is one line on stderr and its exit code (`gsc_daemon.errors.Exit`).
"""

from __future__ import annotations

import gc
import importlib
import os
import sys
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import click

from gsc_daemon import __version__

INTERRUPTED: Final = 130
USAGE: Final = 2


class Lazy(NamedTuple):
    """A command that is not imported yet: ``module:name`` below this package, and its line in `gscd --help`."""

    where: str
    help: str


# One line is all that a new command needs here.
COMMANDS: Final[dict[str, Lazy]] = {
    "run": Lazy("daemon:run", "The daemon, in the foreground."),
    "sync": Lazy("sync:sync", "Ask for days: yesterday, recent, range or full-history."),
    "cancel": Lazy("cancel:cancel", "Take back days that were asked for."),
    "sites": Lazy("sites:sites", "The properties and what is kept of them; park, unpark, forget."),
    "halt": Lazy("halt:halt", "Stop all work until `gscd resume`; the daemon stays up."),
    "resume": Lazy("halt:resume", "Go on with work after a halt."),
    "status": Lazy("status:status", "One verdict, what to do next, and the figures behind it."),
    "reconcile": Lazy("reconcile:reconcile", "Compare what was planned, done and is in Postgres."),
    "doctor": Lazy("doctor:doctor", "Check everything that the daemon needs, and say what to do."),
    "config": Lazy("config:config", "Check and show the settings, or print an example."),
    "ledger": Lazy("ledger:ledger", "Look into the ledger, repair it by hand, rebuild it."),
    "reload": Lazy("reload:reload", "Have the daemon read its settings again."),
    "rollout": Lazy("rollout:rollout", "May max_concurrency be raised, and why not."),
    "drill": Lazy("drill:drill", "Rollback drills on the emulator."),
    "emulator": Lazy("emulator:emulator", "A Search Console of this machine's own."),
    "demo": Lazy("demo:demo", "The whole thing on this machine, reconciled."),
}


class Invocation(NamedTuple):
    """What stands before the command's name: ``--config``."""

    config: Path | None = None


class LazyGroup(click.Group):
    """A group whose `--help` and other commands never import what is not asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """In the order of the table."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command now."""
        lazy = COMMANDS.get(cmd_name)
        if lazy is None:
            return None
        module, _, name = lazy.where.partition(":")
        gc.disable()  # what is imported stays; looking for garbage in it meanwhile only takes time
        try:
            command = getattr(importlib.import_module(f"gsc_daemon.cli.{module}"), name)
        finally:
            gc.enable()
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """The list of commands, from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, lazy.help) for name, lazy in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """A reader that has left, such as `head`, is no failure; click would make it one."""
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # nothing to say at exit either
            return 0
        return result


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 done, 1 found a problem, 2 usage, 69 a service is unavailable, 75 try again, "
    "77 not permitted, 78 configuration, 130 interrupted.",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Settings file. Default: $GSCD_CONFIG, /etc/gscd/gscd.toml or, without root, $XDG_CONFIG_HOME/gscd/gscd.toml.",
)
@click.version_option(__version__, message="gscd %(version)s")
@click.pass_context
def gscd(ctx: click.Context, config: Path | None) -> None:
    """Keeps a complete and correct copy of Google Search Console data in PostgreSQL.

    Example: gscd --config ./gscd.toml config check
    """
    ctx.obj = Invocation(config)


def main() -> NoReturn:
    """The program `gscd`."""
    code = run(sys.argv[1:])
    gc.freeze()  # the process ends: a last search for garbage would take a sixth of a short command's time
    sys.exit(code)


def run(arguments: list[str]) -> int:
    """One command, from its words to its exit code; nothing is raised."""
    try:
        result = gscd.main(arguments, prog_name="gscd", standalone_mode=False)
    except click.ClickException as error:
        return _misused(error)
    except (click.Abort, KeyboardInterrupt):
        click.echo("gscd: interrupted", err=True)
        return INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the last place: every failure becomes one line and an exit code
        return _failed(error)
    return result if isinstance(result, int) else 0


def _misused(error: click.ClickException) -> int:
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        error.show()
        return USAGE
    context = error.ctx if isinstance(error, click.UsageError) else None
    hint = f". See `{context.command_path} --help`" if context is not None else ""
    click.echo(f"gscd: {error.format_message().rstrip('.')}{hint}", err=True)
    return error.exit_code


def _failed(error: Exception) -> int:
    from gsc_daemon.errors import Exit, GscdError
    from gsc_daemon.words import plain

    if os.environ.get("GSCD_DEBUG") == "1":
        import traceback

        traceback.print_exception(error)
    if isinstance(error, GscdError):
        click.echo(f"gscd: {plain(' '.join(str(error).split()))}", err=True)
        return int(error.exit_code)
    from gsc_daemon.settings import mask

    said = plain(mask(" ".join(f"{type(error).__name__}: {error}".split())))
    click.echo(f"gscd: this is a fault of gscd: {said}. GSCD_DEBUG=1 shows where", err=True)
    return int(Exit.PROBLEM)
