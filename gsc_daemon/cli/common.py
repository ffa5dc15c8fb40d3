"""The command line, what its commands share: settings, words on stderr, data on stdout."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.settings import Settings, load

json_option = click.option("--json", "as_json", is_flag=True, help="Report as JSON.")


def settings_of(invocation: Invocation, *, only: Collection[str] = (), secrets: bool = True) -> Settings:
    """The settings in force; ``only`` some sections where a command must work whatever is wrong with the others.

    Raises `ConfigError`, `NotPermitted`.
    """
    if only:
        return load(invocation.config, os.environ, only=only, secrets=secrets)
    return load(invocation.config, os.environ, secrets=secrets)


def exists(path: Path) -> bool:
    """Whether a file is there; one that this user may not look at is, and opening it says the rest."""
    try:
        return path.exists()
    except OSError:
        return True


def say(text: str) -> None:
    """Words, for a person."""
    click.echo(text, err=True)


def report(data: Any) -> None:
    """Data, as JSON; ``--json`` of every command."""
    click.echo(json.dumps(data, ensure_ascii=False, indent=2, default=str))


def columns(rows: Collection[Collection[Any]]) -> Iterator[str]:
    """Rows of equal length as lines in columns; the first row is the heading."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def table(rows: Collection[Collection[Any]]) -> None:
    """Data as columns, for a person and for `cut`."""
    for line in columns(rows):
        click.echo(line)
