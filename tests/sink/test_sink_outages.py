"""Postgres away, hung, full, read-only, misconfigured: what it is called, and that work goes on afterwards."""

from __future__ import annotations

import contextlib
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import conninfo
from sink_world import DAY, LEDGER, SCHEMA, ask, many, publication, publish, seen, served

from gsc_daemon import servers
from gsc_daemon.errors import ConfigError, GscdError, SinkUnavailable
from gsc_daemon.model import Row
from gsc_daemon.sink import PostgresSink
from gsc_daemon.sink.line import Line

PASSWORD = "correct-horse-9"


def verbs(sink: PostgresSink) -> dict[str, Callable[[], Any]]:
    return {
        "migrate": sink.migrate,
        "own": lambda: sink.own(LEDGER),
        "owner": sink.owner,
        "highest_token": sink.highest_token,
        "receipts": lambda: sink.receipts([DAY]),
        "receipts_since": lambda: list(sink.receipts_since(0)),
        "publish": lambda: publish(sink, many(10), generation=2),
        "audit": lambda: list(sink.audit(None, None, None)),
        "sample_pages": lambda: sink.sample_pages(None, None, None, 5),
        "page_rows": lambda: sink.page_rows(DAY, "https://www.example.com/"),
        "forget_site": lambda: sink.forget_site("sc-domain:never.example"),
        "facts": sink.facts,
    }


def test_every_verb_says_that_postgres_is_away_and_works_again_later(
    breakable: servers.Postgres, fragile: PostgresSink
) -> None:
    publish(fragile, many(5))
    breakable.stop()
    try:
        for name, verb in verbs(fragile).items():
            with pytest.raises(SinkUnavailable, match="Postgres does not answer"):
                print(name, verb())  # noqa: T201
    finally:
        breakable.start()
    for verb in verbs(fragile).values():
        verb()


def test_a_restart_between_two_calls_is_not_even_noticed(breakable: servers.Postgres, fragile: PostgresSink) -> None:
    publish(fragile, many(5))
    breakable.stop()
    breakable.start()
    assert publish(fragile, many(6), generation=2).row_count == 6


@pytest.mark.parametrize("end", ["stop", "kill"])
@pytest.mark.parametrize("held", [False, True])
def test_a_server_that_ends_in_mid_publication_leaves_the_day_as_it_was(
    breakable: servers.Postgres, fragile: PostgresSink, private_dsn: str, end: str, held: bool
) -> None:
    before = many(50, seed=3) if held else []
    if held:
        publish(fragile, before, generation=1, token=1)

    def responses() -> Iterator[list[Row]]:
        yield many(100)
        getattr(breakable, end)()

    try:
        with pytest.raises(SinkUnavailable):
            fragile.publish(publication(generation=2, token=2), responses())
    finally:
        breakable.start()
    assert served(before) == seen(private_dsn)
    assert publish(fragile, many(100), generation=2, token=2).row_count == 100
    assert served(many(100)) == seen(private_dsn)


class Relay:
    """Between client and server: once armed, it passes a COMMIT on and ends the connection before the answer."""

    def __init__(self, folder: Path, target: str) -> None:
        self._target = target
        self.mute = threading.Event()
        self.armed = threading.Event()
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / ".s.PGSQL.5432"))
        self._listener.listen()
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(self._target)
            self._ends += [client, server]
            threading.Thread(target=self._to_server, args=(client, server), daemon=True).start()
            threading.Thread(target=self._to_client, args=(server, client), daemon=True).start()

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        while data := self._receive(client):
            if b"COMMIT\0" in data and self.armed.is_set():
                self.mute.set()
            with contextlib.suppress(OSError):
                server.sendall(data)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        while data := self._receive(server):
            with contextlib.suppress(OSError):
                if self.mute.is_set():
                    client.shutdown(socket.SHUT_RDWR)
                else:
                    client.sendall(data)

    @staticmethod
    def _receive(end: socket.socket) -> bytes:
        try:
            return end.recv(65536)
        except OSError:
            return b""

    def close(self) -> None:
        self._listener.close()
        for end in self._ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


def test_a_commit_whose_answer_is_lost_is_adopted_or_repeated(
    breakable: servers.Postgres, private_dsn: str, tmp_path: Path
) -> None:
    """The connection ends after COMMIT was sent and before its answer came."""
    host = conninfo.conninfo_to_dict(private_dsn)["host"]
    relay = Relay(tmp_path, f"{host}/.s.PGSQL.5432")
    sink = PostgresSink(conninfo.make_conninfo(private_dsn, host=str(tmp_path)), SCHEMA)
    sink.migrate()
    publish(sink, many(3), day=DAY._replace(search_type="image"))  # so that there are a site and a partition
    relay.armed.set()
    with pytest.raises(SinkUnavailable):
        publish(sink, many(30), token=4)
    assert relay.mute.is_set()
    relay.mute.clear()
    relay.armed.clear()
    adopted = sink.receipts([DAY])[DAY]
    assert (adopted.generation, adopted.token, adopted.row_count) == (1, 4, 30)
    assert adopted == publish(sink, many(30), token=4)
    assert served(many(30)) == seen(private_dsn)
    sink.close()
    relay.close()


def cut_while(sink: PostgresSink, work: Callable[[], Any], under_way: Callable[[], Any]) -> float:
    """Cancel the work when it is under way; gives the seconds until it had raised."""
    outcome: list[BaseException | float] = []

    def run() -> None:
        try:
            work()
        except SinkUnavailable as error:
            outcome.extend((error, time.monotonic()))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    under_way()
    began = time.monotonic()
    sink.cancel()
    thread.join(20)
    assert not thread.is_alive()
    error, ended = outcome
    assert "interrupted" in str(error)
    assert isinstance(ended, float)
    return ended - began


def test_a_publication_is_cut_though_the_server_hangs(
    breakable: servers.Postgres, fragile: PostgresSink, private_dsn: str
) -> None:
    publish(fragile, many(20))
    frozen, go_on = threading.Event(), threading.Event()

    def responses() -> Iterator[list[Row]]:
        breakable.freeze()
        frozen.set()
        yield many(25_000)

    def under_way() -> None:
        assert frozen.wait(20)
        go_on.wait(0.3)  # so that it waits for the server; a shorter time only makes the test easier

    try:
        seconds = cut_while(fragile, lambda: fragile.publish(publication(generation=2), responses()), under_way)
    finally:
        breakable.thaw()
    assert seconds < 2
    assert served(many(20)) == seen(private_dsn)
    assert publish(fragile, many(30), generation=2).row_count == 30


def test_connecting_is_cut_though_the_server_hangs(breakable: servers.Postgres, private_dsn: str) -> None:
    sink = PostgresSink(private_dsn, SCHEMA)
    breakable.freeze()
    try:
        seconds = cut_while(sink, sink.migrate, lambda: time.sleep(0.2))
    finally:
        breakable.thaw()
    assert seconds < 2
    sink.migrate()
    sink.close()


def test_a_stream_is_cut_too(fragile: PostgresSink, private_dsn: str) -> None:
    publish(fragile, many(3))
    with psycopg.connect(private_dsn) as other:
        other.execute("LOCK TABLE gsc.receipts")

        def under_way() -> None:
            waiting = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            while not ask(private_dsn, waiting):
                pass

        cut_while(fragile, lambda: list(fragile.receipts_since(0)), under_way)
        other.rollback()
    assert len(list(fragile.receipts_since(0))) == 1


def test_a_cancel_without_work_does_nothing(fragile: PostgresSink) -> None:
    PostgresSink("host=/nowhere", SCHEMA).cancel()
    fragile.cancel()
    assert publish(fragile, many(3)).row_count == 3
    fragile.cancel()
    assert publish(fragile, many(4), generation=2).row_count == 4


def test_a_signal_may_cancel_what_its_own_thread_does(fragile: PostgresSink, private_dsn: str) -> None:
    publish(fragile, many(3))
    before = signal.signal(signal.SIGALRM, lambda *_: fragile.cancel())
    try:
        with psycopg.connect(private_dsn) as other:
            other.execute("LOCK TABLE gsc.receipts")
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(SinkUnavailable, match="interrupted"):
                publish(fragile, many(4), generation=2)
            other.rollback()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert publish(fragile, many(4), generation=2).row_count == 4


def test_a_server_that_hangs_is_given_up_by_itself(breakable: servers.Postgres, private_dsn: str) -> None:
    line = Line(private_dsn, SCHEMA)
    with line.work() as connection:
        connection.execute("SELECT 1")
    breakable.freeze()
    try:
        with pytest.raises(SinkUnavailable, match="has not answered for"), line.work(0.2) as connection:
            connection.execute("SELECT 1")
    finally:
        breakable.thaw()
    with line.work() as connection:
        assert connection.execute("SELECT 2").fetchone() == (2,)
    line.close()


@pytest.mark.parametrize(
    ("setting", "words"),
    [("default_transaction_read_only = on", "read-only"), ("statement_timeout = '60s'", "")],
)
def test_a_read_only_database_is_an_outage(
    fragile: PostgresSink, breakable: servers.Postgres, private_dsn: str, setting: str, words: str
) -> None:
    publish(fragile, many(3))
    name = conninfo.conninfo_to_dict(private_dsn)["dbname"]
    with psycopg.connect(breakable.admin_dsn, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} SET {setting}")  # type: ignore[arg-type]
    fragile.close()
    assert fragile.facts().read_only == bool(words)
    if words:
        with pytest.raises(SinkUnavailable, match=words):
            publish(fragile, many(4), generation=2)
        with pytest.raises(SinkUnavailable, match=words):  # so that nothing is fetched for it
            fragile.receipts([DAY], to_write=True)
        assert DAY in fragile.receipts([DAY])
    else:
        publish(fragile, many(4), generation=2)
        assert DAY in fragile.receipts([DAY], to_write=True)


def test_too_many_connections_are_an_outage(breakable: servers.Postgres, private_dsn: str) -> None:
    name = conninfo.conninfo_to_dict(private_dsn)["dbname"]
    with psycopg.connect(breakable.admin_dsn, autocommit=True) as admin:
        admin.execute(f"ALTER DATABASE {name} CONNECTION LIMIT 0")  # type: ignore[arg-type]
    sink = PostgresSink(private_dsn, SCHEMA)
    with pytest.raises(SinkUnavailable, match="too many connections"):
        sink.migrate()


@pytest.mark.parametrize(
    ("sqlstate", "kind", "words"),
    [
        ("53100", SinkUnavailable, "disk is full"),
        ("53200", SinkUnavailable, "out of memory"),
        ("57P01", SinkUnavailable, "shutting down"),
        ("57014", SinkUnavailable, "too long"),
        ("40001", SinkUnavailable, "in each other's way"),
        ("XX001", SinkUnavailable, "refused"),
        ("42501", ConfigError, "may not"),
        ("42703", ConfigError, "not as gscd made them"),
    ],
)
def test_what_postgres_says_has_a_name_and_a_remedy(
    fragile: PostgresSink, private_dsn: str, sqlstate: str, kind: type[GscdError], words: str
) -> None:
    """Raised by Postgres itself, in the place of a real failure, with a detail that quotes a row."""
    ask(
        private_dsn,
        "CREATE FUNCTION fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"RAISE EXCEPTION 'as it says' USING ERRCODE = '{sqlstate}', DETAIL = 'secret query'; END $$;"
        "CREATE TRIGGER fail BEFORE INSERT ON receipts FOR EACH ROW EXECUTE FUNCTION fail()",
    )
    with pytest.raises(kind, match=words) as caught:
        publish(fragile, many(3))
    assert "as it says" in str(caught.value)
    assert "secret query" not in str(caught.value)
    assert caught.value.__cause__ is not None


def test_tables_removed_by_hand_are_a_matter_of_configuration(fragile: PostgresSink, private_dsn: str) -> None:
    publish(fragile, many(3))
    ask(private_dsn, "DROP SCHEMA gsc CASCADE")
    with pytest.raises(ConfigError):
        publish(fragile, many(3), generation=2)
    fragile.migrate()
    fragile.own(LEDGER)
    assert publish(fragile, many(3), generation=2).row_count == 3


@pytest.fixture
def strict(breakable: servers.Postgres) -> Iterator[str]:
    """The server asks for a password; gives a DSN with the right one."""
    hba = breakable.log.parent / "data" / "pg_hba.conf"
    before = hba.read_text()
    with psycopg.connect(breakable.admin_dsn, autocommit=True) as admin:
        admin.execute(f"ALTER ROLE gscd PASSWORD '{PASSWORD}'")  # type: ignore[arg-type]
        hba.write_text("local all gscd scram-sha-256\n" + before)
        admin.execute("SELECT pg_reload_conf()")
        yield conninfo.make_conninfo(breakable.dsn, password=PASSWORD)
        hba.write_text(before)
        admin.execute("SELECT pg_reload_conf()")


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline


def refused(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return True
    return False


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"password": "wrong-battery-7"}, "password authentication failed"),
        ({"password": ""}, "no password supplied"),
        ({"dbname": "nowhere"}, "does not exist.*createdb"),
        ({"user": "nobody_of_ours"}, 'role "nobody_of_ours" does not exist'),
    ],
)
def test_what_a_restart_cannot_help_is_configuration_and_shows_no_password(
    strict: str, change: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGPASSFILE", str(tmp_path / "none"))
    wait_until(lambda: refused(conninfo.make_conninfo(strict, password="not this")))
    right = PostgresSink(strict, SCHEMA)
    right.facts()
    right.close()
    dsn = conninfo.make_conninfo(strict, **change)
    sink = PostgresSink(dsn, SCHEMA)
    with pytest.raises(ConfigError, match=words) as caught:
        sink.migrate()
    assert caught.value.hint
    for secret in (PASSWORD, "wrong-battery-7"):
        assert secret not in str(caught.value) + repr(caught.value) + repr(sink) + str(caught.value.__cause__)


@pytest.mark.parametrize("dsn", ["host=/tmp password=not hunter2", "postgresql://u:hunter2@h:5432/d?nosuch=hunter2"])
def test_a_dsn_that_cannot_be_read_is_not_repeated(dsn: str) -> None:
    with pytest.raises(ConfigError, match=r"sink\.dsn") as caught:
        PostgresSink(dsn, SCHEMA).migrate()
    seen_by_users: BaseException | None = caught.value
    while seen_by_users is not None:
        assert "hunter2" not in str(seen_by_users)
        seen_by_users = seen_by_users.__cause__ or (
            None if seen_by_users.__suppress_context__ else seen_by_users.__context__
        )


def test_nothing_is_open_before_the_first_use(dsn: str) -> None:
    before = set(Path("/proc/self/fd").iterdir())
    threads = threading.active_count()
    PostgresSink(dsn, SCHEMA)
    assert before == set(Path("/proc/self/fd").iterdir())
    assert threads == threading.active_count()
