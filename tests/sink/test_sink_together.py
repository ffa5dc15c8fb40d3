"""Several at once: writers of one day, readers, a site forgotten meanwhile."""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from sink_world import DAY, LEDGER, SCHEMA, SITE, ask, many, publication, publish, seen, served

from gsc_daemon.errors import LeaseLost, SinkUnavailable
from gsc_daemon.model import Row
from gsc_daemon.sink import PostgresSink, failures, line, postgres

FORK = multiprocessing.get_context("fork")


@pytest.fixture
def second(sink: PostgresSink, dsn: str) -> Iterator[PostgresSink]:
    made = PostgresSink(dsn, SCHEMA)
    made.own(LEDGER)
    yield made
    made.close()


class Started(threading.Thread):
    """Work in a thread; `result` gives what it gave or raises what it raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self._outcome: Any = None
        self._error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._outcome = self._work()
        except BaseException as error:  # noqa: BLE001  # raised again by result()
            self._error = error

    def result(self) -> Any:
        self.join(30)
        assert not self.is_alive()
        if self._error is not None:
            raise self._error
        return self._outcome


def wait_for_lock_waiter(dsn: str) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    while ask(dsn, query) == [(0,)]:
        pass


def held_open(sink: PostgresSink, rows: list[Row], **fields: Any) -> tuple[Started, threading.Event]:
    """A publication that has locked the day and goes on when told to."""
    locked, go_on = threading.Event(), threading.Event()

    def responses() -> Iterator[list[Row]]:
        locked.set()
        assert go_on.wait(30)
        yield rows

    work = Started(lambda: sink.publish(publication(**fields), responses()))
    assert locked.wait(30)
    return work, go_on


@pytest.mark.parametrize("held", [False, True])
def test_a_second_writer_of_the_day_waits_and_the_newer_token_stays(
    sink: PostgresSink, second: PostgresSink, dsn: str, held: bool
) -> None:
    if held:
        publish(sink, many(7, seed=5), generation=0, token=0)
    older, go_on = held_open(sink, many(40), token=1)
    newer = Started(lambda: publish(second, many(30, seed=1), token=2))
    wait_for_lock_waiter(dsn)
    go_on.set()
    assert older.result().row_count == 40
    assert newer.result().row_count == 30
    assert served(many(30, seed=1)) == seen(dsn)


def test_the_older_token_is_refused_when_the_newer_one_was_first(
    sink: PostgresSink, second: PostgresSink, dsn: str
) -> None:
    newer, go_on = held_open(sink, many(40), token=2)
    older = Started(lambda: publish(second, many(30), token=1))
    wait_for_lock_waiter(dsn)
    go_on.set()
    newer.result()
    with pytest.raises(LeaseLost):
        older.result()
    assert served(many(40)) == seen(dsn)


def test_a_writer_that_fails_lets_the_next_one_in(sink: PostgresSink, second: PostgresSink, dsn: str) -> None:
    failing, go_on = held_open(sink, many(20) + many(20), token=2)
    other = Started(lambda: publish(second, many(30), token=1))
    wait_for_lock_waiter(dsn)
    go_on.set()
    with pytest.raises(Exception, match="came twice"):
        failing.result()
    assert other.result().row_count == 30
    assert served(many(30)) == seen(dsn)


def _write_over_and_over(dsn: str, number: int, errors: Any) -> None:
    sink = PostgresSink(dsn, SCHEMA)
    lost = 0
    for turn in range(12):
        token = turn * 2 + number
        try:
            publish(sink, many(300, seed=token, first=token * 10), token=token)
        except LeaseLost:
            lost += 1
    errors.put(lost)
    sink.close()


def test_two_processes_over_one_day_never_deadlock_nor_mix(sink: PostgresSink, dsn: str) -> None:
    lost: Any = FORK.SimpleQueue()
    writers = [FORK.Process(target=_write_over_and_over, args=(dsn, number, lost)) for number in range(2)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
    assert [writer.exitcode for writer in writers] == [0, 0]
    assert lost.get() + lost.get() < 24
    assert served(many(300, seed=23, first=230)) == seen(dsn)
    assert ask(dsn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == [(0,)]


def test_readers_see_whole_generations_only(sink: PostgresSink, dsn: str) -> None:
    """Polled through every moment of twenty re-publications, rows and receipt in one look."""
    generations = [many(400 + 10 * n, seed=n, first=n * 50) for n in range(20)]
    sums = {(len(rows), int(sum(one.clicks for one in rows))): n + 1 for n, rows in enumerate(generations)}
    publish(sink, generations[0])
    done = threading.Event()

    def poll() -> list[tuple[int, int]]:
        looks = []
        with psycopg.connect(dsn, autocommit=True, options="-c search_path=gsc") as reader:
            while not done.is_set():
                looks += reader.execute(
                    "SELECT count(*), sum(clicks)::int, (SELECT generation FROM days) FROM search_analytics"
                ).fetchall()
        return looks

    polling = Started(poll)
    for number, rows in enumerate(generations):
        publish(sink, rows, generation=number + 1, token=number + 1)
    done.set()
    looks = polling.result()
    assert len(looks) > 20
    for count, clicks, generation in looks:
        assert sums[count, clicks] == generation


@pytest.mark.parametrize("held", [False, True])
def test_a_site_forgotten_while_a_day_of_it_is_published(
    sink: PostgresSink, second: PostgresSink, dsn: str, held: bool
) -> None:
    publish(sink, many(5), day=DAY._replace(search_type="image"))
    if held:
        publish(sink, many(9, seed=2))
    publishing, go_on = held_open(sink, many(20), generation=2)
    forgetting = Started(lambda: second.forget_site(SITE))
    wait_for_lock_waiter(dsn)
    go_on.set()
    publishing.result()
    assert forgetting.result() == 25
    assert ask(dsn, "SELECT count(*) FROM query_page") == [(0,)]


def test_a_day_published_while_its_site_is_being_forgotten(sink: PostgresSink, dsn: str) -> None:
    """Both kinds: a day that was held, and one that was not. Neither leaves rows without a receipt."""
    new_day = DAY._replace(search_type="image")
    publish(sink, many(5))
    for day in (DAY, new_day):
        with psycopg.connect(dsn, options="-c search_path=gsc") as other:
            other.execute("SELECT FROM sites FOR UPDATE")
            other.execute("DELETE FROM receipts")
            publishing = Started(lambda: publish(sink, many(20), day=day, generation=2))  # noqa: B023
            wait_for_lock_waiter(dsn)
            other.execute("DELETE FROM query_page")
            other.execute("DELETE FROM sites")
            other.commit()
        assert publishing.result().row_count == 20
        assert served(many(20)) == seen(dsn, day)
        assert all(held.receipt is not None for held in sink.audit(None, None, None))


def test_a_lock_that_somebody_keeps_is_an_outage(sink: PostgresSink, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(line, "LOCK_SECONDS", 0.05)
    publish(sink, many(3))
    sink.close()  # the next connection has the short limit
    with psycopg.connect(dsn) as other:
        other.execute("LOCK TABLE gsc.query_page")
        with pytest.raises(SinkUnavailable, match="a lock is held by somebody else"):
            publish(sink, many(4), generation=2)
        other.rollback()
    publish(sink, many(4), generation=2)
    assert served(many(4)) == seen(dsn)


def test_a_deadlock_is_tried_again(fragile: PostgresSink, private_dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A superuser locks in the other order, and is patient: it is we who find the deadlock and give way."""
    met: list[str | None] = []
    other_done = threading.Event()

    def passes_at_once(error: psycopg.Error) -> bool:
        met.append(error.sqlstate)
        assert other_done.wait(30)
        return failures.passes_at_once(error)

    monkeypatch.setattr(postgres, "passes_at_once", passes_at_once)
    publish(fragile, many(3))
    superuser = {"user": "postgres", "options": "-c search_path=gsc -c deadlock_timeout=1h"}
    with psycopg.connect(private_dsn, **superuser) as other:
        other.execute("LOCK TABLE query_page IN SHARE MODE")
        publishing = Started(lambda: publish(fragile, many(9), generation=2))
        wait_for_lock_waiter(private_dsn)
        other.execute("UPDATE receipts SET token = token")
        other.rollback()
        other_done.set()
    assert publishing.result().row_count == 9
    assert met == ["40P01"]
    assert served(many(9)) == seen(private_dsn)


def test_a_worker_killed_in_mid_publication_leaves_nothing(sink: PostgresSink, dsn: str) -> None:
    publish(sink, many(50))
    reading, writing = os.pipe()

    def die() -> None:
        def responses() -> Iterator[list[Row]]:
            yield many(30)
            os.write(writing, b"x")
            threading.Event().wait()

        PostgresSink(dsn, SCHEMA).publish(publication(generation=2, token=2), responses())

    worker = FORK.Process(target=die)
    worker.start()
    assert os.read(reading, 1) == b"x"
    worker.kill()
    worker.join()
    os.close(reading)
    os.close(writing)
    assert served(many(50)) == seen(dsn)
    assert publish(sink, many(60), generation=2, token=3).row_count == 60
    assert served(many(60)) == seen(dsn)
