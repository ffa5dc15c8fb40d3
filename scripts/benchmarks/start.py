"""How long the commands take that are typed most, against a program that does nothing but import click."""

from __future__ import annotations

import compileall
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from figures import Figure

import gsc_daemon
from gsc_daemon.clock import SystemClock
from gsc_daemon.ledger import open_ledger

BARE = "import click\n@click.command()\ndef main(): click.echo('x')\nmain()"
SETTINGS = """\
[ledger]
path = "ledger.db"
[halt]
file = "HALT"
[api]
credentials = "key.json"
[sync]
sites = ["sc-domain:example.com"]
"""


def commands(short: bool) -> list[Figure]:
    """Medians of runs that take turns."""
    compileall.compile_dir(Path(gsc_daemon.__file__).parent, quiet=2)  # as every installation does
    times: dict[str, list[float]] = {"bare": [], "help": [], "status": []}
    with tempfile.TemporaryDirectory(prefix="gscd-bench-") as folder:
        config = Path(folder) / "gscd.toml"
        config.write_text(SETTINGS)
        open_ledger(Path(folder) / "ledger.db", SystemClock(), create=True).close()
        gscd = [sys.executable, "-m", "gsc_daemon", "--config", str(config)]
        ways = {"bare": [sys.executable, "-c", BARE], "help": [*gscd, "--help"], "status": [*gscd, "status"]}
        for _ in range(5 if short else 15):
            for name, words in ways.items():
                began = time.monotonic()
                subprocess.run(words, capture_output=True, check=False)
                times[name].append(time.monotonic() - began)
    bare = statistics.median(times["bare"])
    return [
        Figure("bare click program", bare * 1000, "ms"),
        Figure("gscd --help", statistics.median(times["help"]) / bare, "times bare", "<= 1.3"),
        Figure("gscd status", statistics.median(times["status"]) / bare, "times bare", "<= 1.3"),
    ]
