"""The command line, described: docs/commands.md is made from the commands themselves."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Final

import click

from gsc_daemon.cli import COMMANDS, gscd
from gsc_daemon.errors import Exit

HEAD: Final = """\
# Commands

<!-- Made by scripts/docs from gsc_daemon/cli; change it there. -->

`--config FILE` stands before the command. What a command reports goes to stdout, with `--json` as JSON and nothing
else; words for a person go to stderr. Run as root, gscd acts as the owner of the ledger's folder; others need that user
or its group. `--help` after any command says what stands here.

"""

EXITS: Final = {
    Exit.OK: "done",
    Exit.PROBLEM: "found a problem: differences, something in quarantine, a person is needed, or a no was answered",
    Exit.USAGE: "wrong words, dates or sites",
    Exit.UNAVAILABLE: "a service or the ledger is unavailable",
    Exit.TRY_AGAIN: "try again: halted, parked, or another daemon is in the way",
    Exit.NOT_PERMITTED: "not permitted",
    Exit.CONFIG: "the settings, the credentials or what they name cannot work; a restart will not help",
    Exit.INTERRUPTED: "interrupted",
}

SIGNALS: Final = {
    "TERM": "drain: finish what is leased (15 s at most, the rest goes back), then exit 0. A second one: at once",
    "INT": "as TERM, and exit 130",
    "HUP": "read the settings again; `gscd reload` checks them first",
    "USR1": "halt; `gscd resume` goes on",
    "USR2": "write the stacks of every process to stderr",
}


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Each command with its whole name, those below it after it."""
    context = click.Context(gscd)
    for name in COMMANDS:
        command = gscd.get_command(context, name)
        assert command is not None
        yield from _tree(name, command)


def _tree(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for sub, below in command.commands.items():
            yield from _tree(f"{name} {sub}", below)


def page() -> str:
    """docs/commands.md."""
    parts = [HEAD + "| Command | |", "|---|---|"]
    parts += [f"| [`{name}`](#gscd-{name}) | {lazy.help} |" for name, lazy in COMMANDS.items()]
    for name, command in every_command():
        parts += ["", *_section(name, command)]
    parts += ["", "## Exit codes", "", "| Code | Meaning |", "|---|---|"]
    parts += [f"| {int(code)} | {meaning} |" for code, meaning in EXITS.items()]
    parts += ["", "## Signals to the daemon", "", "The children ignore those that are not theirs, so that signalling"]
    parts += ["the whole unit does no harm.", "", "| Signal | Does |", "|---|---|"]
    parts += [f"| {name} | {does} |" for name, does in SIGNALS.items()]
    return "\n".join(parts) + "\n"


def _section(name: str, command: click.Command) -> Iterator[str]:
    text, _, example = inspect.cleandoc(command.help or "").partition("Example: ")
    context = click.Context(command)
    yield f"{'#' * (2 + name.count(' '))} gscd {name}"
    yield ""
    yield "\n\n".join(" ".join(paragraph.split()) for paragraph in text.strip().split("\n\n"))
    arguments = [param.make_metavar(context) for param in command.params if isinstance(param, click.Argument)]
    if arguments:
        yield ""
        yield f"Takes `{' '.join(arguments)}`."
    yield from ("", "```sh", " ".join(example.split()), "```")
    options = [param for param in command.params if isinstance(param, click.Option)]
    if options:
        yield from ("", "| Option | |", "|---|---|")
        yield from (_option(command, option) for option in options)


def _option(command: click.Command, option: click.Option) -> str:
    names = ", ".join(f"`{name}`" for name in option.opts)
    record = option.get_help_record(click.Context(command))
    value = "" if option.is_flag else f" {option.make_metavar(click.Context(command))}"
    described = (record[1] if record else "").replace("|", "\\|")
    return f"| {names}{value.replace('|', ', ')} | {described} |"
