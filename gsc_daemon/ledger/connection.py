"""The ledger's file: one SQLite connection, its transactions, and SQLite's complaints as our errors.

Waiting for the lock is done here, a jittered moment at a time: SQLite's own busy handler backs off so far that one of
eight writers waits seconds while the others pass it by.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar

from gsc_daemon import failpoint
from gsc_daemon.errors import GscdError, LedgerCorrupt, LedgerUnavailable, NotPermitted

T = TypeVar("T")

FILE_MODE: Final = 0o640
RETRY: Final = (0.0005, 0.0015)  # seconds between tries for the lock
LONG_WAIT: Final = (1.0, 0.02)  # after the first seconds, tries come no more often than this
CACHE_KIB: Final = 4096
BUSY: Final = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL)

Parameters = Mapping[str, Any]


class Connection:
    """One process' connection to the ledger. Made after a fork, never carried over one.

    Args:
        patience: seconds to wait for another process' transaction.
    """

    def __init__(self, path: Path, *, read_only: bool, patience: float) -> None:
        self.path, self.read_only, self.patience = path, read_only, patience
        mode = "ro" if read_only else "rw"
        with self.translated():
            self._sqlite = sqlite3.connect(
                f"{path.absolute().as_uri()}?mode={mode}", uri=True, timeout=0, isolation_level=None
            )
        try:
            with self.translated():
                self.retried(self._configure)
        except BaseException:
            self._sqlite.close()
            raise

    def _configure(self) -> None:
        run = self._sqlite.execute
        if run("PRAGMA journal_mode").fetchone()[0] != "wal" and not self.read_only:
            run("PRAGMA journal_mode = WAL").fetchone()
        run("PRAGMA synchronous = FULL")  # NORMAL can forget the last commits at a power cut, tokens among them
        run("PRAGMA wal_autocheckpoint = 0")  # only `checkpoint` does that: see there
        run("PRAGMA foreign_keys = ON")
        run("PRAGMA temp_store = MEMORY")
        run(f"PRAGMA cache_size = -{CACHE_KIB}")

    def close(self) -> None:
        """The last one to close also tidies the WAL away."""
        with contextlib.suppress(sqlite3.Error):
            self._sqlite.close()

    # statements

    def run(self, sql: str, parameters: Parameters = {}) -> int:  # noqa: B006 - never changed
        """Execute a change; gives the number of rows. Only within `write`."""
        with self.translated():
            return self._sqlite.execute(sql, parameters).rowcount

    def run_many(self, sql: str, rows: list[tuple[Any, ...]]) -> None:
        """Execute a change once per row. Only within `write`."""
        with self.translated():
            self._sqlite.executemany(sql, rows)

    def all(self, sql: str, parameters: Parameters = {}) -> list[tuple[Any, ...]]:  # noqa: B006
        """All rows; a RETURNING is exhausted before anything else happens."""
        with self.translated():
            return self.retried(lambda: self._sqlite.execute(sql, parameters).fetchall())

    def one(self, sql: str, parameters: Parameters = {}) -> tuple[Any, ...] | None:  # noqa: B006
        """The first row, or None."""
        rows = self.all(sql, parameters)
        return rows[0] if rows else None

    # transactions

    @contextlib.contextmanager
    def write(self, verb: str) -> Iterator[None]:
        """A writing transaction: all of it, or nothing if anything is raised. ``verb`` names it for failpoints."""
        if self.read_only:
            raise LedgerUnavailable(f"the ledger {self.path} was opened for reading only")
        with self._transaction(lambda: self._sqlite.execute("BEGIN IMMEDIATE"), verb):
            yield

    @contextlib.contextmanager
    def read(self) -> Iterator[None]:
        """Several questions to one state of the ledger. To be left soon: it holds up the care of the WAL."""
        with self._transaction(self._begin_reading):
            yield

    def _begin_reading(self) -> None:
        """BEGIN alone takes no state of the file yet; a first question does, and then nothing can be locked."""
        self._sqlite.execute("BEGIN")
        try:
            self._sqlite.execute("SELECT count(*) FROM sqlite_schema").fetchall()
        except sqlite3.OperationalError:
            self._sqlite.execute("ROLLBACK")
            raise

    @contextlib.contextmanager
    def _transaction(self, begin: Callable[[], object], verb: str = "") -> Iterator[None]:
        with self.translated():
            self.retried(begin)
        try:
            yield
            with self.translated():
                self._commit(verb)
        except BaseException:
            with contextlib.suppress(sqlite3.Error):
                if self._sqlite.in_transaction:
                    self._sqlite.execute("ROLLBACK")
            raise

    def _commit(self, verb: str) -> None:
        if verb:
            failpoint.hit(f"ledger.{verb}.before", sqlite3.OperationalError)
        self.retried(lambda: self._sqlite.execute("COMMIT"))
        if verb:
            failpoint.hit(f"ledger.{verb}.after", sqlite3.OperationalError)

    def checkpoint(self, patience_ms: int) -> None:
        """Write the WAL back and truncate it, if no reader or writer is in the way for longer than that."""
        with self.translated():
            self._sqlite.execute(f"PRAGMA busy_timeout = {patience_ms}")
            try:
                self._sqlite.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            except sqlite3.OperationalError as error:
                if _code(error) not in BUSY:
                    raise
            finally:
                self._sqlite.execute("PRAGMA busy_timeout = 0")

    def retried(self, act: Callable[[], T]) -> T:
        """What ``act`` gives, once nothing is locked any more; after the patience, SQLite's complaint."""
        began = time.monotonic()
        while True:
            try:
                return act()
            except sqlite3.OperationalError as error:
                waited = time.monotonic() - began
                if _code(error) not in BUSY or self._sqlite.in_transaction or waited > self.patience:
                    raise
                import random  # only for who has to wait: commands start sooner without

                calm, pause = LONG_WAIT
                time.sleep(random.uniform(*RETRY) + (random.uniform(0, pause) if waited > calm else 0.0))

    @contextlib.contextmanager
    def translated(self) -> Iterator[None]:
        """SQLite's complaints as ours, chained."""
        try:
            yield
        except (sqlite3.IntegrityError, sqlite3.ProgrammingError):
            raise  # a mistake of this program: no state of the ledger excuses it
        except sqlite3.DatabaseError as error:
            raise self._translate(error) from error

    def _translate(self, error: sqlite3.DatabaseError) -> GscdError:
        code, path = _code(error), self.path
        if code in BUSY:
            return LedgerUnavailable(
                f"the ledger {path} has been locked by another process for {self.patience:g} s",
                hint="If you have it open in sqlite3, end its transaction; else `fuser` on the file shows who has it",
            )
        if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
            return LedgerCorrupt(
                f"the ledger {path} is damaged: {error}",
                hint="Stop the daemon, keep a copy, and make it anew from Postgres with `gscd ledger rebuild`",
            )
        if code == sqlite3.SQLITE_FULL:
            return LedgerUnavailable(f"the disk of the ledger {path} is full", hint="Free some; work goes on by itself")
        if code in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH):
            return self._not_allowed(error)
        if code == sqlite3.SQLITE_IOERR:
            return LedgerUnavailable(
                f"the ledger {path} cannot be read or written: {error} ({error.sqlite_errorname})",
                hint="Look at the disk: is it full, over quota, or failing?",
            )
        return LedgerUnavailable(f"the ledger {path} does not do its work: {error}")

    def _not_allowed(self, error: sqlite3.DatabaseError) -> GscdError:
        path, folder = self.path, self.path.parent
        wanted = os.R_OK if self.read_only else os.R_OK | os.W_OK
        files_ok = all(os.access(file, wanted) for file in self._files())
        if folder.exists() and os.statvfs(folder).f_flag & os.ST_RDONLY and not self.read_only:
            return LedgerUnavailable(f"the ledger {path} is on a file system that is mounted read-only")
        if files_ok and self.read_only:  # SQLite wants to make -shm
            return LedgerUnavailable(
                f"the ledger {path} can be read by this user only while the daemon runs: {error}",
                hint=f"Ask as root or as the owner of {folder}",
            )
        if not files_ok or not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            verb = "read" if self.read_only else "write"
            return NotPermitted(
                f"{user_name()} may not {verb} the ledger {path}",
                hint=f"Run this as root, as the owner of {folder}, or as a member of its group",
            )
        return LedgerUnavailable(f"the ledger {path} cannot be written: {error}", hint="Is it read-only?")

    def _files(self) -> Iterator[Path]:
        yield self.path
        for suffix in ("-wal", "-shm"):
            beside = self.path.with_name(self.path.name + suffix)
            if os.path.lexists(beside):
                yield beside


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary result code; the driver's own complaints have none."""
    return getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF


def user_name() -> str:
    """Who runs this, for people."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"
