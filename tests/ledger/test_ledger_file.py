"""The SQLite file: made, opened, migrated; locked, read-only, full, damaged or somebody else's; tended and copied."""

from __future__ import annotations

import os
import re
import resource
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from as_nobody import as_nobody, open_folder
from ledger_scene import RUN, SITE, Scene, StillClock, day, receipt

from gsc_daemon.errors import ConfigError, GscdError, LedgerCorrupt, LedgerUnavailable, NotPermitted, UsageError
from gsc_daemon.ledger import SqliteLedger, open_ledger
from gsc_daemon.ledger.opening import statements_of
from gsc_daemon.ledger.statements import migrations, statement
from gsc_daemon.model import Batch, WantedDay

CLOCK = StillClock()


@pytest.fixture
def made(path: Path) -> Path:
    """A ledger with ten planned days."""
    with closing(open_ledger(path, CLOCK, create=True)) as ledger:
        ledger.add_days(WantedDay(day(number)) for number in range(10))
    return path


@pytest.fixture
def plain(made: Path) -> Iterator[sqlite3.Connection]:
    """Somebody else's connection to it."""
    with closing(sqlite3.connect(made, isolation_level=None)) as connection:
        yield connection


def raised(act: Callable[[], object]) -> GscdError:
    with pytest.raises(GscdError) as caught:
        act()
    return caught.value


# made and opened


def test_a_missing_ledger_is_not_made_unasked(path: Path) -> None:
    error = raised(lambda: open_ledger(path, CLOCK))
    assert isinstance(error, ConfigError)
    assert str(error).startswith(f"there is no ledger {path}. `gscd sync recent` makes it")
    assert not path.exists()


def test_a_missing_folder_is_named(path: Path) -> None:
    error = raised(lambda: open_ledger(path.parent / "none" / "ledger.db", CLOCK, create=True))
    assert isinstance(error, ConfigError)
    assert f"there is no folder {path.parent / 'none'}" in str(error)


def test_a_folder_is_no_ledger(path: Path) -> None:
    path.mkdir()
    assert isinstance(raised(lambda: open_ledger(path, CLOCK, create=True)), ConfigError)


def test_an_empty_file_becomes_a_ledger_only_when_asked(path: Path) -> None:
    path.touch()
    assert "is empty and no ledger yet" in str(raised(lambda: open_ledger(path, CLOCK)))
    open_ledger(path, CLOCK, create=True).close()
    open_ledger(path, CLOCK).close()


def test_another_programs_database_is_left_alone(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE theirs (x)")
    before = path.read_bytes()
    error = raised(lambda: open_ledger(path, CLOCK, create=True))
    assert isinstance(error, ConfigError)
    assert f"{path} is a database of another program" in str(error)
    with closing(sqlite3.connect(path)) as other:
        assert other.execute("SELECT name FROM sqlite_schema").fetchall() == [("theirs",)]
    assert len(path.read_bytes()) == len(before)


@pytest.mark.parametrize("damage", [b"not a database " * 1000, b"SQLite format 3\0" + b"\xff" * 9000])
def test_what_is_no_database_is_called_damaged(path: Path, damage: bytes) -> None:
    path.write_bytes(damage)
    error = raised(lambda: open_ledger(path, CLOCK, create=True))
    assert isinstance(error, LedgerCorrupt)
    assert f"the ledger {path} is damaged" in str(error)
    assert "`gscd ledger rebuild`" in str(error)


def test_damaged_pages_are_called_damaged(made: Path) -> None:
    size = made.stat().st_size
    with made.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xaa" * (size - 4096))
    error = raised(lambda: open_ledger(made, CLOCK).add_days([WantedDay(day(99))]))
    assert isinstance(error, LedgerCorrupt)


@pytest.mark.parametrize(("umask", "mode"), [(0o000, 0o640), (0o022, 0o640), (0o077, 0o600)])
def test_nobody_else_reads_the_ledger(path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        ledger = open_ledger(path, CLOCK, create=True)
    finally:
        os.umask(before)
    with closing(ledger):
        modes = {file.name: file.stat().st_mode & 0o777 for file in path.parent.iterdir()}
    assert modes == dict.fromkeys(("ledger.db", "ledger.db-wal", "ledger.db-shm"), mode)


def test_a_new_ledger_carries_the_id_that_it_is_given(path: Path) -> None:
    with closing(open_ledger(path, CLOCK, create=True, ledger_id="known")) as ledger:
        assert ledger.ledger_id == "known"
    with closing(open_ledger(path, CLOCK, create=True, ledger_id="another")) as ledger:
        assert ledger.ledger_id == "known"


def test_every_commit_is_on_the_disk_before_it_is_believed(path: Path) -> None:
    with closing(open_ledger(path, CLOCK, create=True)) as ledger:
        asked = ("journal_mode", "synchronous", "wal_autocheckpoint", "foreign_keys")
        assert [ledger._db.one(f"PRAGMA {name}")[0] for name in asked] == ["wal", 2, 0, 1]  # type: ignore[index]


# migrated


def schema(path: Path) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(path)) as connection:
        return connection.execute("SELECT type, name, sql FROM sqlite_schema ORDER BY 1, 2").fetchall()


@pytest.mark.parametrize("version", [number for number, _ in migrations()[:-1]])
def test_an_older_ledger_is_brought_up_to_date(tmp_path: Path, version: int) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    with closing(sqlite3.connect(old, isolation_level=None)) as connection:
        for number, text in migrations():
            if number <= version:
                connection.executescript(text)
        connection.execute(f"PRAGMA user_version = {version}")
    error = raised(lambda: open_ledger(old, CLOCK, read_only=True))
    assert "is of an older gscd" in str(error)
    open_ledger(old, CLOCK).close()
    open_ledger(new, CLOCK, create=True).close()
    assert schema(old) == schema(new)


def test_migrations_are_numbered_without_gaps() -> None:
    assert [number for number, _ in migrations()] == list(range(1, len(migrations()) + 1))


def test_a_script_is_split_into_its_statements() -> None:
    trigger = "CREATE TRIGGER t AFTER INSERT ON a BEGIN\n SELECT 1;\n SELECT 2;\nEND;"
    table = "-- why\nCREATE TABLE a (x);"
    assert list(statements_of(f"{table}\n{trigger}\n-- the end\n")) == [table, trigger]


def test_a_newer_ledger_is_refused(made: Path, plain: sqlite3.Connection) -> None:
    plain.execute("PRAGMA user_version = 99")
    for read_only in (False, True):
        error = raised(lambda read_only=read_only: open_ledger(made, CLOCK, read_only=read_only))  # type: ignore[misc]
        assert isinstance(error, ConfigError)
        assert "is of a newer gscd (version 99, this one knows" in str(error)


def test_many_at_once_make_one_ledger(path: Path) -> None:
    ids, failures = [], []

    def make() -> None:
        try:
            with closing(open_ledger(path, CLOCK, create=True)) as ledger:
                ids.append(ledger.ledger_id)
        except BaseException as error:  # noqa: BLE001 - shown by the assertion
            failures.append(error)

    threads = [threading.Thread(target=make) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert (len(ids), len(set(ids))) == (8, 1)


# in the way


def test_a_lock_is_waited_for_no_longer_than_said(made: Path, plain: sqlite3.Connection) -> None:
    with closing(open_ledger(made, CLOCK, patience=0.05)) as ledger:
        plain.execute("BEGIN IMMEDIATE")
        error = raised(lambda: ledger.halt("why", "who"))
        assert isinstance(error, LedgerUnavailable)
        assert str(error).startswith(f"the ledger {made} has been locked by another process for 0.05 s. If you have it")
        assert ledger.counts().planned_days == 10  # reading goes on
        plain.execute("ROLLBACK")
        ledger.halt("why", "who")


def test_a_lock_that_ends_in_time_is_no_trouble(made: Path) -> None:
    locked, asked = threading.Event(), threading.Event()

    def hold() -> None:
        with closing(sqlite3.connect(made, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            locked.set()
            asked.wait(10)
            other.execute("ROLLBACK")

    with closing(open_ledger(made, CLOCK, patience=10)) as ledger:
        thread = threading.Thread(target=hold)
        thread.start()
        locked.wait(10)
        asked.set()
        ledger.halt("why", "who")
        thread.join()
        assert ledger.halt_state().halted


def test_opening_waits_for_a_lock_as_well(made: Path, plain: sqlite3.Connection) -> None:
    plain.execute("PRAGMA locking_mode = EXCLUSIVE")
    plain.execute("BEGIN EXCLUSIVE")
    assert isinstance(raised(lambda: open_ledger(made, CLOCK, patience=0.05)), LedgerUnavailable)


def test_read_only_reads_and_does_not_write(made: Path) -> None:
    with closing(open_ledger(made, CLOCK, read_only=True)) as ledger:
        assert ledger.counts().planned_days == 10
        assert len(list(ledger.receipts(None, None, None))) == 10
        error = raised(lambda: ledger.halt("why", "who"))
        assert isinstance(error, LedgerUnavailable)
        assert "opened for reading only" in str(error)


def test_the_wrong_user_is_told(path: Path) -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")
    with open_folder() as folder:
        file = folder / "ledger.db"
        said = as_nobody(lambda: open_ledger(file, CLOCK, create=True))
        assert said.startswith(f"NotPermitted: nobody may not make the ledger {file}. Run this as root")
        open_ledger(file, CLOCK, create=True).close()
        for read_only, verb in ((False, "write"), (True, "read")):
            said = as_nobody(lambda read_only=read_only: open_ledger(file, CLOCK, read_only=read_only))  # type: ignore[misc]
            assert said.startswith(f"NotPermitted: nobody may not {verb} the ledger {file}. Run this as root")
        folder.chmod(0o700)
        said = as_nobody(lambda: open_ledger(file, CLOCK))
        assert said.startswith(f"NotPermitted: nobody may not look into {folder}")
    assert issubclass(NotPermitted, GscdError)


def test_who_may_only_read_can_do_so_while_the_daemon_runs() -> None:
    if os.getuid() != 0:
        pytest.skip("only root can become somebody else")

    def look() -> object:
        with closing(open_ledger(file, CLOCK, read_only=True)) as ledger:
            return ledger.counts().planned_days

    with open_folder() as folder:
        file = folder / "ledger.db"
        with closing(open_ledger(file, CLOCK, create=True)) as ledger:
            ledger.add_days([WantedDay(day(0))])
            for beside in folder.iterdir():
                beside.chmod(0o644)
            assert as_nobody(look) == "1"
        said = as_nobody(look)
        assert said.startswith(f"LedgerUnavailable: the ledger {file} can be read by this user only while the daemon")


def test_a_full_disk_is_told_and_nothing_is_lost(made: Path) -> None:
    """A limit on the size of files stands for the full disk; Python ignores its signal."""
    with closing(open_ledger(made, CLOCK)) as ledger:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (256 * 1024, before[1]))
        try:
            error = raised(lambda: ledger.add_days(WantedDay(day(n, report=f"r{n % 9}")) for n in range(20_000)))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        assert isinstance(error, LedgerUnavailable)
        assert "disk" in str(error)
        assert ledger.counts().planned_days == 10
        assert ledger.add_days([WantedDay(day(10))]).new == 1
        assert ledger.facts().problems == ()


def test_a_failing_verb_changes_nothing(made: Path) -> None:
    with closing(open_ledger(made, CLOCK)) as ledger:
        with pytest.raises(sqlite3.IntegrityError):
            ledger.add_days([WantedDay(day(20)), WantedDay(day(21)._replace(report=""))])
        assert ledger.counts().planned_days == 10
        assert ledger.add_days([WantedDay(day(20))]).new == 1


# tended


def fill_wal(ledger: SqliteLedger) -> int:
    for number in range(12):
        ledger.add_days(WantedDay(day(n, report=f"r{number}")) for n in range(2_000))
    return wal(ledger)


def wal(ledger: SqliteLedger) -> int:
    return ledger._db.path.with_name("ledger.db-wal").stat().st_size


def test_the_wal_is_written_back_by_checkpoint_alone(made: Path) -> None:
    with closing(open_ledger(made, CLOCK)) as ledger:
        ledger.halt("a small one is left alone", "who")
        assert ledger.checkpoint() == wal(ledger) > 0
        assert fill_wal(ledger) > 4 * 1024 * 1024
        assert ledger.checkpoint() == wal(ledger) == 0
        assert ledger.counts().planned_days == 24_010


def test_a_reader_in_the_way_puts_the_checkpoint_off(made: Path, plain: sqlite3.Connection) -> None:
    with closing(open_ledger(made, CLOCK)) as ledger:
        plain.execute("BEGIN")
        plain.execute("SELECT count(*) FROM day").fetchall()
        filled = fill_wal(ledger)
        assert ledger.checkpoint() == filled
        ledger.halt("writing goes on", "who")
        plain.execute("COMMIT")
        assert ledger.checkpoint() == 0


def test_a_snapshot_is_a_ledger(made: Path, tmp_path: Path) -> None:
    target = tmp_path / "copy.db"
    with closing(open_ledger(made, CLOCK)) as ledger:
        ledger.snapshot(target)
        ledger.add_days([WantedDay(day(10))])
        assert isinstance(raised(lambda: ledger.snapshot(target)), UsageError)
        assert isinstance(raised(lambda: ledger.snapshot(tmp_path / "none" / "copy.db")), UsageError)
    assert target.stat().st_mode & 0o777 == 0o640
    with closing(open_ledger(target, CLOCK)) as copy:
        assert copy.counts().planned_days == 10


def test_facts(made: Path) -> None:
    with closing(open_ledger(made, CLOCK)) as ledger:
        facts = ledger.facts()
        assert (facts.sqlite, facts.schema_version) == (sqlite3.sqlite_version, migrations()[-1][0])
        assert (facts.journal_mode, facts.problems) == ("wal", ())
        assert facts.bytes >= made.stat().st_size > 0


def test_facts_of_a_damaged_ledger(made: Path, plain: sqlite3.Connection) -> None:
    plain.execute("PRAGMA ignore_check_constraints = ON")
    plain.execute("UPDATE day SET priority = 0 WHERE day_id = 1")
    with closing(open_ledger(made, CLOCK)) as ledger:
        assert ledger.facts().problems == ("CHECK constraint failed in day",)


# quick however long the queue


HOT = """
    take_batch.gate take_batch.held take_batch.site take_batch.choose take_batch.lease take_batch.items start_items
    add_next_item submit_results.held publish.day publish.items publish.drop requeue_batch requeue_batch.held
    requeue_batch.days release_dead release_dead.held leases promote.due promote.items top_up.sites top_up.days_of
    top_up.items counts progress quarantine recent_sends sent_queries batch_stats published_days pending_days
    seed.known
"""


@pytest.mark.parametrize("name", HOT.split())
def test_no_hot_statement_walks_through_all_days_or_items(scene: Scene, name: str) -> None:
    db = scene.ledger._db  # type: ignore[attr-defined]
    sql = statement(name)
    parameters = dict.fromkeys(re.findall(r":(\w+)", sql), 1)
    for listed in ("days", "items", "suspects", "blamed"):
        if listed in parameters:
            parameters[listed] = "[1]"  # type: ignore[assignment]
    steps = [row[3] for row in db.all(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    walk = r"SCAN (item|day|send|batch|history)\b(?! USING (COVERING )?INDEX item_)"
    assert [step for step in steps if re.match(walk, step)] == []


def test_who_died_in_the_middle_of_a_transaction_leaves_nothing(made: Path) -> None:
    with closing(open_ledger(made, CLOCK)) as ledger:
        scene = Scene(ledger, CLOCK, lambda: ledger).seeded()
        ledger.top_up(10, 100)
        batch = scene.take(scene.worker(), size=2)
        pid = os.fork()
        if pid == 0:
            try:
                child = open_ledger(made, CLOCK)
                with child._db.write("forget_site"):
                    child._run("forget_site.items", site=SITE)
                    os.kill(os.getpid(), 9)
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == 9
        assert isinstance(batch, Batch)
        ledger.submit_results(batch.token, receipt(batch.items[0].day, 1, batch.token))
        assert (ledger.counts().done, ledger.needs_seed(RUN)) == (1, False)
