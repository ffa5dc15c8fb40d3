"""The ledger under test, once per engine: another engine joins the conformance suite by its name here."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from ledger_scene import Scene, StillClock, inconsistencies

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


@pytest.fixture
def scene(opener: Callable[[], Ledger], clock: StillClock) -> Scene:
    return Scene(opener(), clock, opener)


@pytest.fixture
def ledger(scene: Scene) -> Ledger:
    return scene.ledger
