"""A backfill: our workers, one request after another, and a plain script; by workers, and by multipart."""

from __future__ import annotations

import datetime as dt
import os

import plain_script
from figures import Figure
from scene import LATENCY, SITE, audit, run, scene, want

from gsc_daemon.demo.sequential import sequential_seconds
from gsc_daemon.wiring import open_ledger

ROWS = 40_000
SLICE = 8  # days that are fetched one request after another


def against_sequential(short: bool) -> list[Figure]:
    """Three workers against our own sequential mode and against the plain script."""
    days = 30 if short else 150
    with scene(ROWS, **LATENCY) as made:
        first, last = want(made, days)
        ours = run(made)
        ledger = open_ledger(made.settings, read_only=True)
        batches = ledger.batch_stats(3600.0)
        ledger.close()
        wrong = audit(made, first, last)
        dates = [last - dt.timedelta(days=back) for back in range(SLICE)]
        slowly = sequential_seconds(made, dates) / SLICE
        plainly = plain_script.sync(made.emulator.url, str(made.key), made.postgres.dsn, SITE, dates)[0] / SLICE
    each = ours.seconds / days
    return [
        Figure(f"{days} days with 3 workers", ours.seconds, "s"),
        Figure("rows", days * ROWS / ours.seconds, "rows/s"),
        Figure("times as fast as one request after another", slowly / each, "", ">= 8, aim 14"),
        Figure("times as fast as the plain script", plainly / each, "", ">= 10"),
        Figure("processor, of what there is", ours.cpu / ours.seconds / (os.cpu_count() or 1), "", ""),
        Figure("memory of all processes (PSS)", ours.memory / 1e6, "MB", "< 300"),
        Figure("batch latency, mean", batches.average_s, "s"),
        Figure("batch latency, p99", batches.p99_s, "s", "< 5"),
        Figure("rows missing, double or altered", wrong, "", "0"),
    ]


def by_workers(short: bool) -> list[Figure]:
    """Rows a second by the number of workers, and what of the lower limit that is."""
    days = 30 if short else 90
    figures = []
    for workers, transport in ((1, "parallel"), (3, "parallel"), (5, "parallel"), (3, "multipart")):
        settings = {"workers": {"max_concurrency": workers}, "api": {"transport": transport}}
        with scene(ROWS, settings=settings, **LATENCY) as made:
            want(made, days)
            done = run(made)
        rate = days * ROWS / done.seconds
        by_processor = days * ROWS / (done.cpu / (os.cpu_count() or 1))
        # Two batches of ten under way in each worker, a response of 25,000 or 15,000 rows each.
        by_waiting = workers * 20 / LATENCY["latency_median_s"] * ROWS / 2
        figures += [
            Figure(f"{workers} workers, {transport}", rate, "rows/s"),
            Figure("  of min(in flight / latency, processor)", rate / min(by_processor, by_waiting), "", ">= 0.8"),
        ]
    return figures
