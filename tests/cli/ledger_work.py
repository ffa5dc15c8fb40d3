"""A real ledger in the folder of a test, brought to any state by the ledger's own verbs, as workers would."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import GscdError
from gsc_daemon.ledger import SqliteLedger, open_ledger
from gsc_daemon.model import Batch, Day, DayState, Receipt, WorkerIdentity

RUN = "test-run"


@contextmanager
def opened(folder: Path) -> Iterator[SqliteLedger]:
    """The folder's ledger, made if there is none."""
    ledger = open_ledger(folder / "ledger.db", SystemClock(), create=True)
    try:
        yield ledger
    finally:
        ledger.close()


def batch_of(ledger: SqliteLedger, size: int = 1000) -> Batch:
    """Everything of one site that can be claimed."""
    if ledger.needs_seed(RUN):
        ledger.seed(RUN, 0, [])
    ledger.top_up(size, 1_000_000)
    worker = ledger.register_worker(WorkerIdentity(0, os.getpid(), 1, "boot"), RUN)
    batch = ledger.take_batch(worker, batch_size=size, max_in_flight=100, lease_seconds=180, run_id=RUN)
    assert isinstance(batch, Batch), batch
    return batch


def publish(folder: Path) -> int:
    """Publish every day that is planned; gives how many."""
    with opened(folder) as ledger:
        batch = batch_of(ledger)
        for item in batch.items:
            ledger.submit_results(batch.token, receipt(item.day, item.generation, batch.token))
    return len(batch.items)


def receipt(day: Day, generation: int = 1, token: int = 1) -> Receipt:
    """One row, one click."""
    return Receipt(day, generation, token, DayState.FINAL, row_count=1, clicks=1, impressions=1)


def quarantine(folder: Path, why: str = "HTTP 400 badRequest") -> int:
    """Quarantine every day that is planned; gives how many."""
    with opened(folder) as ledger:
        batch = batch_of(ledger)
        return ledger.requeue_batch(batch.token, failure=GscdError(why), permanent=True)
