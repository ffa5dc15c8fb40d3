"""`gscd demo`: the whole of gscd on this machine, with servers of its own, measured and checked."""

from __future__ import annotations

import dataclasses
import shutil
import signal
import sys
import time
from typing import Any, Final

import click

from gsc_daemon.cli.common import json_option, report, say
from gsc_daemon.demo import LATENCY, Outcome, backfill
from gsc_daemon.errors import Exit

PLAIN_EVERY: Final = 5.0  # seconds between two lines where there is no terminal
MB: Final = 1_000_000
NEXT: Final = """\
For real data:
  gscd config example > gscd.toml    then name your property, its service account's key, Redis and Postgres in it
  gscd --config gscd.toml doctor     says what is still amiss
  gscd --config gscd.toml sync recent
  gscd --config gscd.toml run        or scripts/install, which makes a systemd service of it"""


@click.command()
@click.option("--days", default=150, show_default=True, type=click.IntRange(1, 480), help="How many days to fetch.")
@click.option("--rows", default=40_000, show_default=True, type=click.IntRange(1, 50_000), help="Rows of a day.")
@json_option
def demo(days: int, rows: int, as_json: bool) -> int:
    """Backfill 150 days of 40,000 rows from a local Search Console into a private Postgres, and check every row.

    Takes about two minutes and needs no account, no settings and no service; nothing of it stays. The settings of this
    machine's own gscd are neither read nor changed. Exits 1 if a single row is wrong.

    Example: gscd demo --days 30
    """
    end_like_ctrl_c()
    teller = Teller()
    try:
        outcome = backfill(days, rows, LATENCY, teller)
    finally:
        teller.clear()
    if as_json:
        report(_data(outcome))
    else:
        click.echo(_told(outcome))
    return int(Exit.OK if outcome.clean else Exit.PROBLEM)


def end_like_ctrl_c() -> None:
    """A SIGTERM takes everything down in order, as a Ctrl-C does."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)


class Teller:
    """Words on stderr; how far it is, as one line that is rewritten or, without a terminal, a line now and then."""

    def __init__(self) -> None:
        self._terminal = sys.stderr.isatty()
        self._shown = False
        self._shown_at = -PLAIN_EVERY

    def say(self, text: str) -> None:
        """Something that stays."""
        self.clear()
        say(text)

    def show(self, text: str) -> None:
        """How far it is."""
        if self._terminal:
            width = shutil.get_terminal_size().columns - 1
            click.echo(f"\r\x1b[K{text[:width]}", err=True, nl=False)
            self._shown = True
        elif time.monotonic() - self._shown_at >= PLAIN_EVERY:
            self._shown_at = time.monotonic()
            say(f"  {text}")

    def clear(self) -> None:
        """Leave no trace of the line that is rewritten."""
        if self._shown:
            click.echo("\r\x1b[K", err=True, nl=False)
            self._shown = False


def _told(outcome: Outcome) -> str:
    speed = outcome.rows / outcome.seconds
    a_day, slowly = outcome.seconds / outcome.days, outcome.slice_seconds / outcome.slice_days
    verdict = "Every row is right" if outcome.clean else "NOT every row is right"
    agree = "ledger and Postgres agree" if not outcome.differences else f"{outcome.differences} days differ"
    return f"""
{verdict}: {outcome.days} days, {outcome.rows:,} rows in {outcome.seconds:.1f} s ({speed:,.0f} rows/s)
  missing {outcome.missing}, double {outcome.double}, altered {outcome.altered}; {agree}
  {outcome.times_faster:.1f} times as fast as one request after another: {a_day:.2f} s a day with its start, \
against {slowly:.2f} s
    (measured afterwards on {outcome.slice_days} of these days: same machine, same code, each day written before the
    next is asked for)
  {outcome.requests} requests, {outcome.mean_qpm:.0f} a minute; at most {outcome.most_qpm} in any 60 s, \
as Google would count (it allows 1,200)
  {outcome.memory / MB:.0f} MB of memory at most, all processes of gscd together

{NEXT}"""


def _data(outcome: Outcome) -> dict[str, Any]:
    figures = dataclasses.asdict(outcome)
    rounded = {name: round(value, 3) if isinstance(value, float) else value for name, value in figures.items()}
    return {"clean": outcome.clean, "times_faster": round(outcome.times_faster, 2), **rounded}
