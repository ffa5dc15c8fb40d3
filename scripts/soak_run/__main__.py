"""Soak, the command line: so many weeks, a line for each, and the judgement; exits 1 if something grows."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path

import click
from figures import HEAD, Week, faults
from weeks import pass_weeks


@click.command()
@click.option("--weeks", default=12, show_default=True, help="Weeks that pass; history is full after the fifth.")
@click.option("--rows", default=400, show_default=True, help="Rows of each day of each of the two sites.")
@click.option("--step", default=1, show_default=True, help="Days that pass between two syncs.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the figures there as JSON.")
def main(weeks: int, rows: int, step: int, json_file: Path | None) -> None:
    """Let weeks pass over a daemon that syncs every day, and measure it at the end of each.

    Example: scripts/soak --weeks 26
    """
    click.echo(HEAD)
    seen: list[Week] = []
    for week in pass_weeks(weeks, rows, step):
        click.echo(week.line())
        seen.append(week)
    wrong = faults(seen)
    if json_file:
        json_file.write_text(json.dumps([asdict(week) for week in seen], indent=2) + "\n")
    click.echo("\n".join(wrong) if wrong else "Flat; and reconciled.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
