"""The ledger under test, once per engine: another engine joins the conformance suite by its name here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from ledger_scene import Scene, StillClock

from gsc_daemon.ledger import open_ledger
from gsc_daemon.ports import Ledger

ENGINES = ("sqlite",)


@pytest.fixture
def clock() -> StillClock:
    return StillClock()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the SQLite ledger of this test is."""
    return tmp_path / "ledger.db"


@pytest.fixture(params=ENGINES)
def opener(request: pytest.FixtureRequest, path: Path, clock: StillClock) -> Iterator[Callable[[], Ledger]]:
    """Opens the test's ledger once more, as another process would; all are closed after the test."""
    assert request.param == "sqlite"
    with ExitStack() as opened:
        yield lambda: opened.enter_context(closing(open_ledger(path, clock, create=True, patience=5.0)))
        if path.exists():
            with closing(sqlite3.connect(path)) as plain:
                assert inconsistencies(plain) == []


def inconsistencies(plain: sqlite3.Connection) -> list[object]:
    """What may be true of no ledger, whatever was done to it."""
    found: list[object] = [row for row in plain.execute("PRAGMA quick_check") if row != ("ok",)]
    found += plain.execute("PRAGMA foreign_key_check").fetchall()
    counted = """
        SELECT site_id, 'day', state, count(*) FROM day GROUP BY site_id, state
        UNION ALL SELECT site_id, 'item', state, count(*) FROM item GROUP BY site_id, state"""
    tally = "SELECT * FROM tally WHERE n <> 0"
    found += plain.execute(f"SELECT * FROM ({tally} EXCEPT SELECT * FROM ({counted}))").fetchall()
    found += plain.execute(f"SELECT * FROM ({counted}) EXCEPT SELECT * FROM tally").fetchall()
    found += plain.execute(MISFITS).fetchall()
    return found


MISFITS = """
    SELECT 'queued, but without exactly one live first item', day_id FROM day WHERE state = 'queued' AND 1 <>
        (SELECT count(*) FROM item WHERE item.day_id = day.day_id
            AND start_row = 0 AND item.state IN ('ready', 'waiting', 'leased'))
    UNION ALL
    SELECT 'not queued, but with a live item', day_id FROM day JOIN item USING (day_id)
        WHERE day.state <> 'queued' AND item.state IN ('ready', 'waiting', 'leased')
    UNION ALL
    SELECT 'quarantined without a quarantined item, or the reverse', day_id FROM day WHERE (state = 'quarantined') <>
        EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'quarantined')
    UNION ALL
    SELECT 'published without a first item', day_id FROM day WHERE published_generation > 0 AND NOT EXISTS
        (SELECT 1 FROM item WHERE item.day_id = day.day_id AND start_row = 0 AND done_generation = published_generation)
"""


@pytest.fixture
def scene(opener: Callable[[], Ledger], clock: StillClock) -> Scene:
    return Scene(opener(), clock, opener)


@pytest.fixture
def ledger(scene: Scene) -> Ledger:
    return scene.ledger
