"""Private servers answer, each test has its own database, and an ordinary role owns it."""

from __future__ import annotations

import psycopg
from limits.storage import RedisStorage

from gsc_daemon import servers


def test_a_fresh_database_is_empty_and_owned_by_an_ordinary_role(dsn: str) -> None:
    with psycopg.connect(dsn) as connection:
        row = connection.execute(
            "SELECT pg_catalog.pg_get_userbyid(datdba) = current_user, rolsuper, pg_encoding_to_char(encoding)"
            " FROM pg_database JOIN pg_roles ON rolname = current_user WHERE datname = current_database()"
        ).fetchone()
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert row == (True, False, "UTF8")
    assert tables == (0,)


def test_limits_reads_the_url_of_the_private_redis(redis_server: servers.Redis, redis_url: str) -> None:
    storage = RedisStorage(redis_url)
    storage.incr("a", 60)
    assert storage.get("a") == 1
    redis_server.flush()
    assert storage.get("a") == 0
    storage.get_connection().close()
