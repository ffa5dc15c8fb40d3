"""A sink on a fresh database, made and owned."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sink_world import LEDGER, SCHEMA

from gsc_daemon import servers
from gsc_daemon.sink import PostgresSink


@pytest.fixture(scope="session")
def breakable() -> Iterator[servers.Postgres]:
    """A server to stop, kill, freeze and reconfigure, which every test leaves running."""
    with servers.postgres(private=True) as server:
        yield server


@pytest.fixture
def private_dsn(breakable: servers.Postgres) -> Iterator[str]:
    """Of a fresh database there, owned by the role gscd."""
    name = breakable.new_name()
    yield breakable.create_database(name)
    breakable.drop_database(name)


@pytest.fixture
def sink(dsn: str) -> Iterator[PostgresSink]:
    made = PostgresSink(dsn, SCHEMA)
    made.migrate()
    made.own(LEDGER)
    yield made
    made.close()


@pytest.fixture
def fragile(private_dsn: str) -> Iterator[PostgresSink]:
    """A sink on the server that may break."""
    made = PostgresSink(private_dsn, SCHEMA)
    made.migrate()
    made.own(LEDGER)
    yield made
    made.close()
