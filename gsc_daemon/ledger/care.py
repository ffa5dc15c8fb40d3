"""The ledger is tended: its WAL, what is too old to keep, copies, and what `gscd doctor` and the shell want."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

from gsc_daemon.errors import UsageError
from gsc_daemon.ledger.connection import FILE_MODE
from gsc_daemon.ledger.statements import statement
from gsc_daemon.ledger.store import Store
from gsc_daemon.model import LedgerFacts

WAL_LIMIT: Final = 4 * 1024 * 1024  # bytes; a smaller WAL is left alone
CHECKPOINT_PATIENCE: Final = 250  # milliseconds; every writer stands still meanwhile if a reader is in the way
SEND_KEPT: Final = 3600.0  # seconds
BATCH_KEPT: Final = 7 * 86_400.0
HISTORY_KEPT: Final = 30 * 86_400.0
PRUNED_AT_ONCE: Final = 20_000  # rows; a day of full speed makes fewer a minute


class Care(Store):
    """Housekeeping."""

    def checkpoint(self) -> int:
        """As `ports.Ledger`. Never PASSIVE: with it, SQLite before 3.51.3 can corrupt the file (see docs/ledger.md)."""
        if self._wal_bytes() > WAL_LIMIT:
            self._db.checkpoint(CHECKPOINT_PATIENCE)
        return self._wal_bytes()

    def _wal_bytes(self) -> int:
        path = self._db.path
        try:
            return path.with_name(path.name + "-wal").stat().st_size
        except FileNotFoundError:
            return 0

    def prune(self) -> None:
        now = self._now()
        for what, kept in (("sends", SEND_KEPT), ("batches", BATCH_KEPT), ("history", HISTORY_KEPT)):
            with self._db.write("prune"):
                self._run(f"prune.{what}", before=now - round(kept * 1000), limit=PRUNED_AT_ONCE)
        with self._db.write("prune"):
            self._run("prune.workers", before=now - round(HISTORY_KEPT * 1000))

    def snapshot(self, target: Path) -> None:
        """A copy, whole and compact, while work goes on. Raises `UsageError` if ``target`` is there already."""
        if target.exists():
            raise UsageError(f"{target} is there already", hint="Name a new file")
        if not target.parent.is_dir():
            raise UsageError(f"there is no folder {target.parent}")
        self._db.all("VACUUM INTO :target", {"target": str(target)})
        target.chmod(FILE_MODE)

    def facts(self) -> LedgerFacts:
        with self._db.read():
            problems = tuple(text for (text,) in self._db.all("PRAGMA quick_check") if text != "ok")
            row = self._one("facts")
            assert row is not None
        version, mode, size = row
        return LedgerFacts(sqlite3.sqlite_version, version, mode, size, self._wal_bytes(), problems)


def shell_setup(operator: str) -> str:
    """What `gscd ledger shell --write` runs first: safe settings, and the operator's name in the history."""
    return statement("shell").replace(":operator", "'" + operator.replace("'", "''") + "'")
