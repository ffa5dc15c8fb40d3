"""The benchmarks' command line: which cases, how often, a table and JSON."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import backfill
import click
import growth
import ledger
import limiter
import questions
import quota
import sink
import start
from figures import Figure, table

Case = Callable[[bool], list[Figure]]

CASES: dict[str, tuple[Case, str]] = {
    "backfill": (backfill.against_sequential, "days of 40,000 rows: 3 workers, one after another, and a plain script"),
    "workers": (backfill.by_workers, "the same with 1, 3 and 5 workers, and multipart"),
    "sink": (sink.against_copy, "JSON to commit, against psql's \\copy of a file made before"),
    "quota": (quota.at_the_budget, "pages of 100 rows: how much of the budget is used, one site and ten"),
    "hidden": (quota.below_a_hidden_limit, "a limit that nobody has told: found, kept, remembered"),
    "ledger": (ledger.claims, "claim and finish, by processes and size"),
    "limiter": (limiter.checks, "a check of the budget against PING"),
    "start": (start.commands, "gscd --help and gscd status against a bare click program"),
    "questions": (questions.answered, "an analyst's questions of docs/data.md beside 10 million rows"),
    "growth": (growth.large, "146,000 days planned; 10 million rows there"),
}


@click.command()
@click.argument("cases", nargs=-1, type=click.Choice(list(CASES)))
@click.option("--repeats", default=3, show_default=True, help="Runs of each case; the table shows medians and spread.")
@click.option("--short", is_flag=True, help="Fewer days and minutes: to see that it works, not to quote.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write all figures there.")
def main(cases: tuple[str, ...], repeats: int, short: bool, json_file: Path | None) -> None:
    """Measure gscd on this machine. Without CASES: all of them, which takes about an hour.

    Example: scripts/bench backfill sink --repeats 3
    """
    machine = f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}"
    figures: list[Figure] = []
    for name in cases or tuple(CASES):
        case, about = CASES[name]
        click.echo(f"\n{name}: {about}", err=True)
        runs = []
        for number in range(repeats):
            load = os.getloadavg()[0]
            click.echo(f"  run {number + 1} of {repeats}, load {load:.1f}", err=True)
            runs.append(case(short))
        merged = Figure.merged(name, runs)
        click.echo(table(merged))
        figures += merged
    if json_file:
        found = {"machine": machine, "short": short, "figures": [figure.as_json() for figure in figures]}
        json_file.write_text(json.dumps(found, indent=2) + "\n")
    click.echo(f"\n{machine}, load {os.getloadavg()[0]:.1f} at the end", err=True)


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parent))
    main()
