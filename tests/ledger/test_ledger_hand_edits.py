"""Changes by hand in plain sqlite3: possible where they make sense, recorded, answered by a new fetch, else refused."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from ledger_scene import OTHER, RUN, SITE, Scene, day, receipt

from gsc_daemon.errors import LeaseLost, Refusal, SourceError
from gsc_daemon.ledger import shell_setup
from gsc_daemon.model import NoBatch


@pytest.fixture
def by_hand(scene: Scene, path: Path) -> Iterator[sqlite3.Connection]:
    """As an operator has it: no foreign keys, nothing of ours."""
    scene.seeded()
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        yield connection


def where(number: int) -> str:
    return f"site = '{SITE}' AND date = '{day(number).date}'"


def history(connection: sqlite3.Connection, *whats: str) -> list[tuple[str, ...]]:
    """Changes of these things by hand, oldest first."""
    rows = connection.execute("SELECT what, from_state, to_state, by FROM changes WHERE by <> 'gscd'").fetchall()
    return [row for row in reversed(rows) if row[0] in (whats or ("item", "day"))]


def quarantine(scene: Scene, number: int = 0) -> None:
    scene.ready(day(number))
    batch = scene.take(scene.worker())
    scene.send(batch)
    scene.ledger.requeue_batch(batch.token, failure=SourceError(Refusal.REQUEST, "no"), permanent=True)


# items


@pytest.mark.parametrize("edit", ["UPDATE items SET state = 'ready' WHERE {where}", "UPDATE item SET state = 'ready'"])
def test_a_done_item_made_ready_is_fetched_again(scene: Scene, by_hand: sqlite3.Connection, edit: str) -> None:
    scene.publish(day(0))
    by_hand.execute(edit.format(where=where(0)))
    batch = scene.take(scene.worker())
    assert [(item.day, item.generation) for item in batch.items] == [(day(0), 2)]
    with pytest.raises(LeaseLost):  # what Postgres holds of the first generation is no answer
        scene.ledger.submit_results(batch.token, receipt(day(0), 1, 1), adopted=True)
    scene.finish(batch)
    assert scene.states()[day(0)][:2] == ("published", 2)
    assert history(by_hand) == [("item", "done", "ready", "by hand")]


def test_all_items_of_a_day_made_ready_start_at_row_0(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.ready(day(0))
    batch = scene.take(scene.worker())
    scene.ledger.add_next_item(batch.token, batch.items[0].item_id)
    scene.finish(batch)
    by_hand.execute("UPDATE item SET state = 'ready'")
    assert [item.start_row for item in scene.take(scene.worker()).items] == [0]


def test_a_quarantined_item_made_ready_has_a_clean_record(scene: Scene, by_hand: sqlite3.Connection) -> None:
    quarantine(scene)
    by_hand.execute(f"UPDATE items SET state = 'ready' WHERE {where(0)}")
    [item] = scene.take(scene.worker()).items
    assert (item.failures, item.crashes, item.generation) == (0, 0, 2)
    assert scene.ledger.quarantine() == []


def test_a_waiting_item_made_ready_is_only_hastened(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.ready(day(0))
    scene.ledger.requeue_batch(scene.take(scene.worker()).token, delay=999)
    by_hand.execute(f"UPDATE items SET state = 'ready' WHERE {where(0)}")
    assert [item.generation for item in scene.take(scene.worker()).items] == [1]


def test_a_ready_item_can_be_cancelled(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.ready(day(0), day(1))
    by_hand.execute(f"UPDATE items SET state = 'cancelled' WHERE {where(0)}")
    assert (scene.state(day(0)), scene.ledger.counts().cancelled) == ("cancelled", 1)
    assert [item.day for item in scene.take(scene.worker()).items] == [day(1)]


def test_cancelling_a_refetch_leaves_what_is_published(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.publish(day(0))
    before = scene.states()
    scene.ready()
    scene.want(day(0), force=True)
    scene.ledger.top_up(10, 100)
    by_hand.execute(f"UPDATE items SET state = 'cancelled' WHERE {where(0)}")
    assert scene.states() == before


def test_a_cancelled_item_can_be_made_ready(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.ready(day(0))
    scene.ledger.cancel_days(None, None, None)
    by_hand.execute("UPDATE item SET state = 'ready'")
    assert [item.day for item in scene.take(scene.worker()).items] == [day(0)]


# days


@pytest.mark.parametrize("view", ["day", "days"])
def test_a_published_day_made_planned_is_fetched_again(scene: Scene, by_hand: sqlite3.Connection, view: str) -> None:
    scene.publish(day(0))
    by_hand.execute(f"UPDATE {view} SET state = 'planned'")
    assert scene.ask(scene.worker()) is NoBatch.EMPTY
    scene.ledger.top_up(10, 100)
    assert [item.generation for item in scene.take(scene.worker()).items] == [2]
    assert history(by_hand) == [("day", "published", "planned", "by hand")]


def test_a_quarantined_or_cancelled_day_can_be_planned(scene: Scene, by_hand: sqlite3.Connection) -> None:
    quarantine(scene)
    scene.want(day(1))
    scene.ledger.cancel_days(SITE, day(1).date, day(1).date)
    by_hand.execute(f"UPDATE days SET state = 'planned' WHERE site = '{SITE}'")
    scene.ledger.top_up(10, 100)
    assert [item.failures for item in scene.take(scene.worker()).items] == [0, 0]


def test_planned_and_queued_days_can_be_cancelled(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.ready(day(0))
    scene.want(day(1))
    quarantined = day(2)
    scene.ready(quarantined)
    by_hand.execute("UPDATE days SET state = 'cancelled'")
    assert {state for state, *_ in scene.states().values()} == {"cancelled"}
    assert scene.ledger.counts().idle


def test_a_days_priority_can_be_changed(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.ready(*map(day, range(3)))
    by_hand.execute(f"UPDATE days SET priority = 1 WHERE {where(2)}")
    assert [item.day for item in scene.take(scene.worker(), size=1).items] == [day(2)]


# whose


def test_the_operators_name_is_kept(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.publish(day(0))
    by_hand.executescript(shell_setup("anna o'neill"))
    by_hand.execute("UPDATE item SET state = 'ready'")
    assert history(by_hand) == [("item", "done", "ready", "anna o'neill")]


def test_the_shells_settings_are_safe(by_hand: sqlite3.Connection) -> None:
    by_hand.executescript(shell_setup("anna"))
    names = ("busy_timeout", "wal_autocheckpoint", "foreign_keys")
    assert [by_hand.execute(f"PRAGMA {name}").fetchone()[0] for name in names] == [10_000, 0, 1]


def test_the_programs_own_changes_are_told_from_those_by_hand(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.publish(day(0))
    quarantine(scene, 1)
    scene.ledger.requeue_quarantined(None, None, None)
    scene.ready(day(2), day(3))
    worker = scene.worker()
    scene.send(scene.take(worker))
    scene.die(worker)
    scene.ledger.cancel_days(None, None, None)
    scene.ledger.mark_missing([day(0)])
    assert history(by_hand) == []
    told = by_hand.execute("SELECT count(*) FROM changes").fetchone()[0]
    assert told > 15


# refused

REFUSED = [
    ("queued", "UPDATE items SET state = 'leased'", "only a worker leases an item. Set it to ready"),
    ("queued", "UPDATE item SET state = 'done'", "an item is done when Postgres holds its day"),
    ("queued", "UPDATE item SET state = 'finished'", "an item is ready, waiting, leased, done, quarantined"),
    ("queued", "UPDATE item SET state = 'waiting'", "a waiting item has a time (not_before_ms), and no other has"),
    ("queued", "UPDATE item SET state = 'quarantined'", "a quarantined item has an error"),
    ("queued", "UPDATE items SET start_row = 25000", "of items only state can be changed"),
    ("queued", "UPDATE item SET token = 5", "a leased item has a token, a worker and a time, and no other has"),
    ("queued", "UPDATE days SET state = 'published'", "by hand a day can be set to planned or cancelled"),
    ("queued", "UPDATE day SET state = 'queued', published_generation = 1", "what is published is provisional"),
    ("queued", "UPDATE days SET generation = 7", "of days only state and priority can be changed"),
    ("queued", "UPDATE day SET date = '24.11.2026'", "a date is written like 2026-11-24"),
    ("queued", "UPDATE day SET wanted_generation = 9", "at most the next generation is wanted"),
    ("queued", "INSERT INTO day (site_id, report, search_type, date, priority, changed_ms)"
               " SELECT site_id, report, search_type, date, 1, 1 FROM day", "UNIQUE constraint failed"),
    ("queued", "UPDATE item SET start_row = 17", "CHECK constraint failed: start_row >= 0 AND start_row % 25000 = 0"),
    ("queued", "UPDATE item SET start_row = 25000", "a day is fetched from row 0 in one sitting"),
    ("leased", "UPDATE items SET state = 'ready'", "the item is leased: its worker would be working on it still"),
    ("leased", "UPDATE days SET state = 'cancelled'", "a worker holds the day"),
    ("leased", "UPDATE fence SET token = 0", "a token never goes down"),
    ("published", "UPDATE items SET state = 'cancelled'", "its day is published: what is held stays"),
    ("published", "UPDATE days SET state = 'cancelled'", "the day is published: what is held stays"),
    ("published", "UPDATE day SET published_generation = 9", "no generation is published before it was wanted"),
    ("wanted again", "UPDATE day SET generation = 1, wanted_generation = 1", "a generation never goes down"),
    ("cancelled", "UPDATE item SET state = 'quarantined', error = 'x', error_ms = 1", "a cancelled item can only"),
    ("queued", "UPDATE control SET halted = 2", "CHECK constraint failed: halted IN (0, 1)"),
    ("queued", "UPDATE site SET parked_until_ms = 5", "only a parked site has a time until which it is parked"),
]  # fmt: skip


@pytest.mark.parametrize(("state", "edit", "words"), REFUSED)
def test_what_cannot_be_is_refused_with_a_reason(
    scene: Scene, by_hand: sqlite3.Connection, state: str, edit: str, words: str
) -> None:
    if state in ("published", "wanted again"):
        scene.publish(day(0))
        scene.want(day(0), force=state == "wanted again")
    else:
        scene.ready(day(0))
    if state == "leased":
        scene.take(scene.worker())
    if state == "cancelled":
        scene.ledger.cancel_days(None, None, None)
    with pytest.raises(sqlite3.IntegrityError, match=re.escape(words)):
        by_hand.execute(edit)


# read


VIEWS = ("progress", "days", "items", "leases", "quarantine", "queue", "qpm", "halt", "workers", "outages", "changes")


def test_every_view_can_be_read(scene: Scene, by_hand: sqlite3.Connection) -> None:
    made = {name for (name,) in by_hand.execute("SELECT name FROM sqlite_schema WHERE type = 'view'")}
    assert made == set(VIEWS)
    scene.publish(day(3))
    quarantine(scene, 1)
    scene.ready(day(0), day(0, OTHER))
    scene.send(scene.take(scene.worker()))
    scene.ledger.halt("moving", "anna")
    scene.ledger.note_outage("sink", "refused")
    for view in set(VIEWS) - {"qpm"}:  # which shows the last hour alone, and this clock stands still
        assert by_hand.execute(f"SELECT * FROM {view}").fetchall() != [], view


def real_now_ms(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT (julianday('now') - 2440587.5) * 86400000").fetchone()[0])


def test_views_say_what_a_person_wants_to_know(scene: Scene, by_hand: sqlite3.Connection) -> None:
    scene.clock.now_ms = real_now_ms(by_hand)
    scene.publish(day(3))
    quarantine(scene, 1)
    scene.ready(day(0))
    batch = scene.take(scene.worker())
    scene.send(batch)
    pid = dict(scene.ledger.workers())[batch.worker_id].pid

    def ask(sql: str) -> list[tuple[object, ...]]:
        return by_hand.execute(sql).fetchall()

    assert ask("SELECT site, days_wanted, published, to_do, quarantined, oldest, newest FROM progress") == [
        (SITE, 3, 1, 1, 1, str(day(3).date), str(day(3).date))
    ]
    assert ask("SELECT token, site, worker_id, pid, items, sent FROM leases") == [
        (batch.token, SITE, batch.worker_id, pid, 1, 1)
    ]
    [(seconds_left,)] = ask("SELECT seconds_left FROM leases")
    assert 100 < float(str(seconds_left)) <= 180.1
    assert ask("SELECT site, date, error, failures FROM quarantine") == [(SITE, str(day(1).date), "no", 1)]
    assert ask("SELECT site, sum(queries) FROM qpm GROUP BY site") == [(SITE, 2)]
    assert ask("SELECT work, reason FROM halt") == [("going", "")]
    assert ("items", "leased", 1) in ask("SELECT * FROM queue")
    assert RUN not in str(ask("SELECT * FROM workers"))
