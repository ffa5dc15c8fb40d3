"""The role that may read: every view, and nothing else."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import conninfo
from sink_world import SCHEMA, ask, many, publish

from gsc_daemon import servers
from gsc_daemon.errors import ConfigError
from gsc_daemon.sink import PostgresSink

VIEWS = "SELECT relname FROM pg_class WHERE relnamespace = 'gsc'::regnamespace AND relkind = 'v'"


@pytest.fixture
def role(breakable: servers.Postgres, private_dsn: str) -> Iterator[str]:
    name = f"reader_{uuid.uuid4().hex[:8]}"
    yield name
    with psycopg.connect(_admin(breakable, private_dsn), autocommit=True) as admin:
        if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", [name]).fetchall():
            admin.execute(f"DROP OWNED BY {name}")
            admin.execute(f"DROP ROLE {name}")


def _admin(server: servers.Postgres, dsn: str) -> str:
    return conninfo.make_conninfo(server.admin_dsn, dbname=conninfo.conninfo_to_dict(dsn)["dbname"])


def _as(dsn: str, role: str, query: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, options=f"-c search_path={SCHEMA}") as connection:
        connection.execute(f"SET ROLE {role}")
        return connection.execute(query).fetchall()


def test_a_reader_sees_every_view_and_nothing_else(
    fragile: PostgresSink, breakable: servers.Postgres, private_dsn: str, role: str
) -> None:
    publish(fragile, many(5))
    admin = _admin(breakable, private_dsn)
    ask(admin, f"CREATE ROLE {role} NOLOGIN")
    sink = PostgresSink(private_dsn, SCHEMA, role)
    sink.migrate()
    for (view,) in ask(private_dsn, VIEWS):
        _as(admin, role, f"SELECT * FROM {view}")
    assert _as(admin, role, "SELECT count(*) FROM search_analytics") == [(5,)]
    for forbidden in ("SELECT * FROM query_page", "SELECT * FROM owner", "DELETE FROM receipts RETURNING 1"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            _as(admin, role, forbidden)
    ask(private_dsn, "CREATE VIEW later AS SELECT 1 AS one")
    sink.migrate()
    assert _as(admin, role, "SELECT * FROM later") == [(1,)]
    sink.close()


def test_the_role_is_made_where_that_is_allowed(breakable: servers.Postgres, private_dsn: str, role: str) -> None:
    admin = _admin(breakable, private_dsn)
    sink = PostgresSink(admin, SCHEMA, role)
    sink.migrate()
    assert _as(admin, role, "SELECT count(*) FROM days") == [(0,)]
    sink.close()


def test_where_it_is_not_the_error_says_what_to_run(private_dsn: str, role: str) -> None:
    sink = PostgresSink(private_dsn, SCHEMA, role)
    with pytest.raises(ConfigError, match=rf"no role {role} \(sink\.reader\)") as refused:
        sink.migrate()
    assert refused.value.hint == f"As a superuser, run: CREATE ROLE {role} NOLOGIN;"
    sink.close()
