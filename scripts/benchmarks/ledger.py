"""The ledger: claiming and finishing by several processes, with a thousand to a million items ready."""

from __future__ import annotations

import datetime as dt
import json
import os
import random
import statistics
import tempfile
import time
from pathlib import Path

from figures import Figure

from gsc_daemon.clock import SystemClock
from gsc_daemon.ledger import open_ledger
from gsc_daemon.model import Batch, Day, DayState, Priority, Receipt, WantedDay, WorkerIdentity

RUN = "bench"
SECONDS = 4.0
PACED_SECONDS = 45.0
QUERIES_A_SECOND = 16  # of the budget, 960 a minute, by all workers together
SMALL = 10_000  # items that are soon gone, so that each race gets its own
BATCH = 10
DATES = 1000  # of each site
FIRST = dt.date(2020, 1, 1)


def claims(short: bool) -> list[Figure]:
    """Flat out by 1, 3 and 8 processes; at a real pace by 3 and 8."""
    figures, rates = [], {}
    for size in (1_000, 100_000) if short else (1_000, 100_000, 1_000_000):
        with tempfile.TemporaryDirectory(prefix="gscd-bench-") as folder:
            for processes in (1, 3, 8):
                found = _race(_filled(Path(folder), size), processes, 0.0)
                rates[size, processes] = found[0]
                figures.append(Figure(f"{size:,} items, {processes} processes", found[0], "items/s"))
                figures.append(Figure("  least share of a process", found[3], "", "> 0"))
            for processes in (3, 8):
                found = _race(_filled(Path(folder), size), processes, processes * BATCH / QUERIES_A_SECOND)
                figures.append(Figure(f"{size:,} items, {processes} processes at real pace: claim p50", found[1], "ms"))
                figures.append(Figure("  p99", found[2], "ms", "<= 10"))
    sizes = sorted({size for size, _ in rates})
    figures.append(
        Figure("largest against smallest, 1 process", rates[sizes[-1], 1] / rates[sizes[0], 1], "", ">= 0.7")
    )
    return figures


def _filled(folder: Path, size: int) -> Path:
    """A ledger with so many items ready; a large one serves all races."""
    number = len(list(folder.glob("*.db"))) if size <= SMALL else 0
    path = folder / f"ledger-{number}.db"
    if not path.exists():
        _fill(path, size)
    return path


def _fill(path: Path, size: int) -> None:
    ledger = open_ledger(path, SystemClock(), create=True)
    ledger.seed(RUN, 0, [])
    dates = min(DATES, size)
    for number in range(max(1, size // DATES)):
        site = f"sc-domain:{number}.example.com"
        days = (Day(site, "query_page", "web", FIRST + dt.timedelta(days=back)) for back in range(dates))
        ledger.add_days(WantedDay(day, Priority.RECENT) for day in days)
    while ledger.top_up(size, 2 * size):
        continue
    ledger.close()


def _race(path: Path, processes: int, pace: float) -> tuple[float, float, float, float]:
    """Items a second, claim p50 and p99 in ms, the smallest share of a process times their number."""
    lines = []
    for slot in range(processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            code = 1
            try:
                os.close(reader)
                os.write(writer, json.dumps(_work(path, slot, pace)).encode())
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        lines.append(reader)
    told = []
    for reader in lines:
        with os.fdopen(reader) as file:
            told.append(json.loads(file.read()))
        os.wait()
    waits = sorted(wait for one in told for wait in one["waits"])
    done = [one["items"] for one in told]
    share = min(done) / max(1, sum(done)) * processes
    return (
        sum(done) / max(one["seconds"] for one in told),
        statistics.median(waits),
        waits[int(len(waits) * 0.99)],
        share,
    )


def _work(path: Path, slot: int, pace: float) -> dict[str, object]:
    """Claim, start and finish for some seconds: flat out, or a batch each ``pace`` seconds."""
    ledger = open_ledger(path, SystemClock())
    worker = ledger.register_worker(WorkerIdentity(slot, os.getpid(), 1, "boot"), RUN)
    chance = random.Random(slot)
    time.sleep(chance.uniform(0.0, pace))  # workers do not march in step
    waits, items, start = [], 0, time.monotonic()
    seconds = SECONDS if not pace else PACED_SECONDS
    while time.monotonic() < start + seconds:
        began = time.perf_counter()
        batch = ledger.take_batch(worker, batch_size=BATCH, max_in_flight=100, lease_seconds=180, run_id=RUN)
        waits.append((time.perf_counter() - began) * 1000)
        if not isinstance(batch, Batch):
            break
        ledger.start_items(batch.token, [item.item_id for item in batch.items], (), 180)
        for item in batch.items:
            time.sleep(chance.uniform(0.5, 1.5) * pace / BATCH)  # its answer, and its day's way into Postgres
            ledger.submit_results(batch.token, Receipt(item.day, item.generation, batch.token, DayState.FINAL, 1, 1, 1))
        items += len(batch.items)
    ledger.close()
    return {"waits": waits, "items": items, "seconds": time.monotonic() - start}
