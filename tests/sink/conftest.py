"""A sink on a fresh database, made and owned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sink_world import LEDGER, SCHEMA

from gsc_daemon.sink import PostgresSink


@pytest.fixture
def sink(dsn: str) -> Iterator[PostgresSink]:
    made = PostgresSink(dsn, SCHEMA)
    made.migrate()
    made.own(LEDGER)
    yield made
    made.close()
