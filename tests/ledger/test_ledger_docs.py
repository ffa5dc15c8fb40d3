"""Every statement that docs/ledger.md shows is typed into a real ledger, by the sqlite3 program where there is one."""

from __future__ import annotations

import re
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest
from ledger_scene import OTHER, SITE, Scene, day

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.ledger import shell_setup

PAGE = (Path(__file__).parents[2] / "docs" / "ledger.md").read_text()
BLOCKS = re.findall(r"^```sql\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
READING = [block for block in BLOCKS if block.startswith("SELECT")]
WRITING = [block for block in BLOCKS if block.startswith("UPDATE")]


@pytest.fixture
def eventful(scene: Scene) -> Scene:
    """Something of everything, so that every question has an answer."""
    ledger = scene.ledger
    with closing(sqlite3.connect(":memory:")) as any_connection:
        now = any_connection.execute("SELECT (julianday('now') - 2440587.5) * 86400000").fetchone()[0]
    scene.clock.now_ms = int(now)
    scene.seeded().publish(day(1), day(2), day(1, OTHER))
    scene.ready(day(0), day(3), day(4))
    batch = scene.take(scene.worker())
    scene.send(batch)
    failure = SourceError(Refusal.REQUEST, "Google answered 400")
    by_day = {item.day: item.item_id for item in batch.items}
    ledger.requeue_batch(batch.token, [by_day[day(3)]], failure=failure, permanent=True)
    ledger.requeue_batch(batch.token, [by_day[day(4)]], failure=failure, delay=900)
    ledger.note_batch(batch.worker_id, batch.token, batch.site, 3, 1.5, "ok")
    scene.want(day(9), day(400))
    scene.die(scene.worker())
    ledger.note_outage("sink", "connection refused")
    return scene


def test_the_page_shows_both_kinds() -> None:
    assert (len(READING), len(WRITING)) == (10, 6)
    assert len(BLOCKS) == len(READING) + len(WRITING)


def typed(path: Path, sql: str, *words: str) -> str:
    """What the sqlite3 program answers."""
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("the sqlite3 program is not installed")
    done = subprocess.run([program, *words, str(path)], input=sql, capture_output=True, text=True, timeout=20)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize("block", READING, ids=lambda block: " ".join(block.split()[-4:]))
def test_what_the_page_asks_is_answered(eventful: Scene, path: Path, block: str) -> None:
    with closing(sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)) as connection:
        for statement in filter(str.strip, block.split(";")):
            connection.execute(statement).fetchall()
    typed(path, block, "-readonly")


@pytest.mark.parametrize("block", WRITING, ids=lambda block: " ".join(block.split()[:6]))
def test_what_the_page_changes_is_changed(eventful: Scene, path: Path, block: str) -> None:
    before = eventful.states(), eventful.ledger.counts()
    typed(path, block, "-cmd", ".output /dev/null", "-cmd", shell_setup("anna"), "-cmd", ".output stdout")
    with closing(sqlite3.connect(path)) as connection:
        by = connection.execute("SELECT DISTINCT by FROM history WHERE by NOT IN ('gscd', 'who')").fetchall()
    if "priority" in block:
        assert "\n1\n" in f"\n{typed(path, 'SELECT DISTINCT priority FROM days ORDER BY 1', '-readonly')}"
    else:
        assert by == [("anna",)]
        assert (eventful.states(), eventful.ledger.counts()) != before


def test_a_refusal_is_shown_with_its_reason(eventful: Scene, path: Path) -> None:
    program = shutil.which("sqlite3")
    if program is None:
        pytest.skip("the sqlite3 program is not installed")
    words = [program, str(path), f"UPDATE days SET state = 'planned' WHERE site = '{SITE}' AND date = '{day(0).date}'"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=20)
    assert done.returncode != 0
    assert "a worker holds the day. `gscd halt --wait` gives it back first" in done.stderr
