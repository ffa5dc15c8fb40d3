"""`gscd ledger`: looking, copying, trying again, making anew; with the sqlite3 program and a real Postgres."""

from __future__ import annotations

import datetime as dt
import io
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ledger_work
import pytest

from gsc_daemon import plan
from gsc_daemon.cli import ledger as command
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.model import Publication, Row

SITE = "sc-domain:example.com"
LAST = plan.newest_final(pacific_today(SystemClock()))
FIRST = LAST - dt.timedelta(days=2)
RANGE = ("sync", "range", "--from", str(FIRST), "--to", str(LAST))
DAYS = 3 * 2

Gscd = Callable[..., object]


def shell(folder: Path, sql: str, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gsc_daemon", "--config", str(folder / "gscd.toml"), "ledger", "shell", *words]
    return subprocess.run(
        command, input=sql, capture_output=True, text=True, timeout=60, env={**os.environ, **environ}
    )  # fmt: skip


needs_sqlite3 = pytest.mark.skipif(shutil.which("sqlite3") is None, reason="needs the sqlite3 program")


@needs_sqlite3
def test_the_shell_shows_and_changes_nothing(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    done = shell(folder, "SELECT count(*) FROM days;\n")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{DAYS}\n", "")
    refused = shell(folder, "UPDATE day SET state = 'cancelled';\n")
    assert refused.returncode != 0
    assert "readonly database" in refused.stderr
    assert gscd(*RANGE, "--json").data["already"] == DAYS


@needs_sqlite3
def test_a_change_by_hand_is_recorded_with_the_operators_name(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    done = shell(folder, "UPDATE day SET state = 'cancelled' WHERE report = 'totals';\n", "--write", SUDO_USER="o'neil")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    names = shell(folder, "SELECT DISTINCT by FROM changes WHERE to_state = 'cancelled';\n").stdout
    assert names == "o'neil\n"


@needs_sqlite3
def test_the_writing_shell_runs_no_automatic_checkpoint_and_forgets_no_commit(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    told = shell(folder, "PRAGMA wal_autocheckpoint; PRAGMA synchronous; PRAGMA foreign_keys;\n", "--write").stdout
    assert told.split() == ["0", "2", "1"]
    with ledger_work.opened(folder):  # keeps the log: the last one to close would tidy it away
        shell(folder, "UPDATE day SET priority = 11;\n" * 300, "--write")
        size = (folder / "ledger.db-wal").stat().st_size
        shell(folder, "UPDATE day SET priority = 12;\n" * 300, "--write")
        assert (folder / "ledger.db-wal").stat().st_size > size


def test_without_the_sqlite3_program_it_is_said_how_to_get_it(
    gscd: Gscd, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert gscd("ledger", "shell").code == 78
    gscd(*RANGE)
    monkeypatch.setattr(command.shutil, "which", lambda _: None)
    said = gscd("ledger", "shell")
    assert said.code == 69
    assert said.err.startswith("gscd: the sqlite3 program is not installed. Install it (Debian: apt install sqlite3)")


def test_a_snapshot_is_a_whole_ledger(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    said = gscd("ledger", "snapshot", str(folder / "copy.db"), "--json")
    assert said.data == {"file": str(folder / "copy.db"), "bytes": (folder / "copy.db").stat().st_size}
    copy = sqlite3.connect(folder / "copy.db")
    assert copy.execute("SELECT count(*) FROM day").fetchone() == (DAYS,)
    copy.close()
    assert gscd("ledger", "snapshot", str(folder / "copy.db")).code == 2
    said = gscd("ledger", "snapshot", str(folder / "none" / "copy.db"))
    assert said.code != 0
    assert said.err.startswith("gscd: ")
    assert "this is a fault" not in said.err


def test_requeue_gives_quarantined_days_another_chance(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    assert ledger_work.quarantine(folder) == DAYS
    said = gscd("ledger", "requeue", "--to", str(FIRST))
    assert said.err.startswith(f"2 quarantined days up to {FIRST} planned again\nno daemon runs; ")
    assert gscd("ledger", "requeue", "--site", SITE, "--json").data == {"requeued": DAYS - 2, "daemon": None}
    with ledger_work.opened(folder) as ledger:
        assert (ledger.counts().planned_days, ledger.counts().quarantined) == (DAYS, 0)
    assert gscd("ledger", "requeue", "--site", "sc-domain:exmaple.com").code == 2


@pytest.fixture
def fed(folder: Path, dsn: str, gscd: Gscd, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose ledger and Postgres agree: every day published in both."""
    wiring = pytest.importorskip("gsc_daemon.wiring")
    monkeypatch.setenv("GSCD_SINK__DSN", dsn)
    from gsc_daemon.settings import load

    sink = wiring.make_sink(load(folder / "gscd.toml", os.environ))
    gscd(*RANGE)
    with ledger_work.opened(folder) as ledger:
        sink.migrate()
        sink.own(ledger.ledger_id)
        batch = ledger_work.batch_of(ledger)
        for item in batch.items:
            names = ("query", "page", "country", "device") if item.day.report == "query_page" else ()
            held = ledger_work.receipt(item.day)
            now = dt.datetime.now(dt.UTC)
            publication = Publication(item.day, item.generation, batch.token, names, held.state, now)
            receipt = sink.publish(publication, [[Row(1.0, 2.0, 0.5, ["a"] * len(names), 1.0)]])
            ledger.submit_results(batch.token, receipt)
    sink.close()
    return folder


def published(folder: Path) -> tuple[str, int, int]:
    with ledger_work.opened(folder) as ledger:
        return ledger.ledger_id, ledger.token, len(ledger.published_days(SITE, "query_page", "web"))


@pytest.mark.parametrize("harm", ["deleted", "damaged", "none"])
def test_rebuild_learns_everything_from_postgres(gscd: Gscd, fed: Path, harm: str) -> None:
    before = published(fed)
    assert before[2] == 3
    if harm == "deleted":
        for file in fed.glob("ledger.db*"):
            file.unlink()
    elif harm == "damaged":
        (fed / "ledger.db").write_bytes(b"not a database " * 1000)
        assert gscd("cancel").code == 78
    said = gscd("ledger", "rebuild", "--yes", "--json")
    assert said.code == 0, said.err
    assert published(fed) == before
    assert said.data["days"] == DAYS
    kept = said.data["kept"]
    assert (kept is None) == (harm == "deleted")
    if kept is not None:
        assert Path(kept).exists()
        assert Path(kept).name.startswith("ledger.db.2")
    assert not list(fed.glob("*.new*"))
    assert gscd("config", "check").code == 0


def test_rebuild_carries_a_halt_over_and_says_so(gscd: Gscd, fed: Path) -> None:
    gscd("halt", "--reason", "moving")
    said = gscd("ledger", "rebuild", "--yes")
    assert "the halt is carried over; `gscd resume` ends it\n" in said.err
    with ledger_work.opened(fed) as ledger:
        assert (ledger.halt_state().halted, ledger.halt_state().reason) == (True, "moving")


def test_rebuild_refuses_while_a_daemon_runs(gscd: Gscd, fed: Path, daemon: Gscd) -> None:
    running = daemon()
    said = gscd("ledger", "rebuild", "--yes")
    assert said.code == 75
    assert said.err.startswith(f"gscd: a gscd daemon (pid {running.pid}) works with this ledger already")
    assert published(fed)[2] == 3


def test_rebuild_without_postgres_leaves_the_old_ledger_alone(
    gscd: Gscd, fed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = published(fed)
    monkeypatch.setenv("GSCD_SINK__DSN", "postgresql://127.0.0.1:9/gsc")
    said = gscd("ledger", "rebuild", "--yes")
    assert said.code == 69
    assert said.err.startswith("gscd: ")
    assert published(fed) == before
    assert not list(fed.glob("ledger.db.2*"))


def test_rebuild_of_a_ledger_that_is_there_wants_a_yes(gscd: Gscd, fed: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    assert gscd("ledger", "rebuild").code == 2
    assert not list(fed.glob("ledger.db.2*"))
