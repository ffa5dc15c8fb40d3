"""Chaos, the command line: so many minutes of faults, then the audit and a report. Exits 1 if anything is wrong."""

from __future__ import annotations

import json
import random
import sys
import time
from pathlib import Path

import click
from faults import Faults
from report import Report
from work import SITES, Work, settings

from gsc_daemon.demo.stage import stage
from gsc_daemon.emulator import EmulatorConfig


@click.command()
@click.option("--minutes", default=2.0, show_default=True, help="How long faults go on; the audit comes after it.")
@click.option("--seed", default=1, show_default=True, help="The same seed draws the same faults in the same order.")
@click.option("--rate", default=8.0, show_default=True, help="Faults a second, most of them kills.")
@click.option("--json", "json_file", type=click.Path(path_type=Path), help="Write the report there as JSON.")
def main(minutes: float, seed: int, rate: float, json_file: Path | None) -> None:
    """Kill, freeze and cut everything that gscd consists of or depends on, while it works; then audit every row.

    Example: scripts/chaos --minutes 30 --seed 7
    """
    config = EmulatorConfig(
        sites=SITES, site_qpm=10**6, user_qpm=10**6, project_qpm=10**7, latency_median_s=0.05, latency_p99_s=0.3
    )
    with stage(config, **settings()) as made:
        work = Work(made)
        work.want()
        work.start()
        faults = Faults(made, work, random.Random(seed))
        until = time.monotonic() + minutes * 60
        told = time.monotonic()
        while time.monotonic() < until:
            faults.next(rate)
            work.keep_busy()
            if time.monotonic() - told > 30:
                told = time.monotonic()
                click.echo(f"{(until - told) / 60:.1f} minutes left; {faults.summary()}", err=True)
        faults.stop()
        work.finish()
        report = Report.of(made, work, faults)
    click.echo(report.text())
    if json_file:
        json_file.write_text(json.dumps(report.as_json(), indent=2) + "\n")
    sys.exit(0 if report.clean else 1)


if __name__ == "__main__":
    main()
