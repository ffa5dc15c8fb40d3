"""A ledger and a Postgres that agree, to be set at odds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from reconcile_stores import Stores

from gsc_daemon.clock import SystemClock
from gsc_daemon.ledger import open_ledger
from gsc_daemon.sink import PostgresSink


@pytest.fixture
def stores(tmp_path: Path, dsn: str) -> Iterator[Stores]:
    """Empty ones."""
    ledger = open_ledger(tmp_path / "ledger.db", SystemClock(), create=True)
    sink = PostgresSink(dsn, "gsc")
    sink.migrate()
    sink.own(ledger.ledger_id)
    yield Stores(ledger, sink, dsn)
    sink.close()
    ledger.close()
