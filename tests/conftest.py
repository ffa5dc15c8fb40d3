"""Real Redis and Postgres for every test that asks: private, thrown away, or those that are given by variable.

GSCD_TEST_POSTGRES_DSN, GSCD_TEST_REDIS_URL: use these servers (only databases of our own, nobody else's keys).
GSCD_TEST_REQUIRE_SERVICES=1: a server that cannot be had is a failure and no skip.
GSCD_SERVERS_FROM=machine|wheels: which programs to start.
"""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from typing import TypeVar

import pytest

from gsc_daemon import servers
from gsc_daemon.errors import Unavailable

T = TypeVar("T")

# A shell's background job ignores Ctrl-C, and so would every program that a test starts.
signal.signal(signal.SIGINT, signal.default_int_handler)


@contextlib.contextmanager
def _or_skip(server: contextlib.AbstractContextManager[T]) -> Iterator[T]:
    with contextlib.ExitStack() as stack:
        try:
            entered = stack.enter_context(server)
        except Unavailable as error:
            if os.environ.get("GSCD_TEST_REQUIRE_SERVICES") == "1":
                raise
            pytest.skip(str(error))
        yield entered


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[servers.Postgres]:
    """One Postgres for the whole run; tests that stop or freeze it take `own_postgres`."""
    with _or_skip(servers.postgres()) as server:
        yield server


@pytest.fixture
def dsn(postgres_server: servers.Postgres) -> Iterator[str]:
    """libpq DSN of a fresh database, owned by an ordinary role."""
    name = postgres_server.new_name()
    yield postgres_server.create_database(name)
    postgres_server.drop_database(name)


@pytest.fixture
def own_postgres() -> Iterator[servers.Postgres]:
    """A Postgres of this test alone, to stop, kill and freeze."""
    with _or_skip(servers.postgres(private=True)) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server() -> Iterator[servers.Redis]:
    """One Redis for the whole run; tests that stop or freeze it take `own_redis`."""
    with _or_skip(servers.redis()) as server:
        yield server


@pytest.fixture
def redis_url(redis_server: servers.Redis) -> str:
    """URL of an empty database, as ``rate_limit.storage`` reads it."""
    redis_server.flush()
    return redis_server.url


@pytest.fixture
def own_redis() -> Iterator[servers.Redis]:
    """A Redis of this test alone, to stop, kill and freeze."""
    with _or_skip(servers.redis(private=True)) as server:
        yield server
