"""Doctor, this machine: settings, user, ledger and its SQLite, halt file, disk."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gsc_daemon import halt
from gsc_daemon.doctor.check import Check, Instruments, Verdict
from gsc_daemon.model import LedgerFacts
from gsc_daemon.settings import check_places, warnings
from gsc_daemon.words import moment

MB: Final = 1_000_000
WAL_HIGH: Final = 64 * MB  # the coordinator empties it at 4 MB, so far more means that it cannot
DISK_LOW: Final = 1000 * MB
DISK_FULL: Final = 100 * MB
# sqlite.org/wal.html#the_wal_reset_bug: from 3.7.0 until these, each for its branch
WAL_RESET_FIXED: Final = ((3, 44, 6), (3, 50, 7), (3, 51, 3))


def look_at_settings(instruments: Instruments) -> Iterator[Check]:
    """The places that they name, and what works but not well."""
    settings = instruments.settings
    check_places(settings)
    for warning in warnings(settings):
        yield Check("settings", Verdict.WARNING, warning)
    yield Check("settings", Verdict.OK, f"{settings.file} is good")


def look_at_user(instruments: Instruments) -> Iterator[Check]:
    """As whom the daemon works, and whether others can get at what is its own."""
    settings = instruments.settings
    folder = settings.ledger.path.parent
    if not folder.exists() and folder == settings.state_folder:
        yield Check("user", Verdict.OK, f"{folder} is made by the first run")
        return
    mode = folder.stat().st_mode
    if mode & stat.S_IWOTH:
        yield Check(
            "user", Verdict.PROBLEM, f"everyone on this machine may write in {folder}", f"Run `chmod o-w {folder}`"
        )
    yield Check("user", Verdict.OK, f"works as {_name(os.geteuid())} in {folder}")


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def look_at_ledger(instruments: Instruments) -> Iterator[Check]:
    """The file, its SQLite, and how much waits in its write-ahead log."""
    path = instruments.settings.ledger.path
    if not instruments.ledger_exists:
        yield Check("ledger", Verdict.OK, f"there is no {path} yet; the first run or sync makes it")
        return
    ledger = instruments.open_ledger()
    try:
        facts = ledger.facts()
    finally:
        ledger.close()
    yield from judge_ledger(path, facts)
    yield judge_sqlite(facts.sqlite)
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        yield Check("ledger", Verdict.PROBLEM, f"everyone may write {path}", f"Run `chmod o= {path}`")


def judge_ledger(path: Path, facts: LedgerFacts) -> Iterator[Check]:
    """What its facts mean."""
    if facts.problems:
        told = "; ".join(facts.problems[:3])
        yield Check(
            "ledger",
            Verdict.PROBLEM,
            f"{path} is damaged: {told}",
            "Stop the daemon; `gscd ledger rebuild` makes it anew from Postgres",
        )
    if facts.journal_mode.lower() != "wal":
        yield Check(
            "ledger",
            Verdict.PROBLEM,
            f"{path} is in journal mode {facts.journal_mode}, so readers and writers shut each other out",
            "Stop whatever has it open; the daemon sets WAL when it starts",
        )
    if facts.wal_bytes > WAL_HIGH:
        yield Check(
            "ledger",
            Verdict.WARNING,
            f"{facts.wal_bytes / MB:,.0f} MB wait in its write-ahead log",
            "A reader keeps it from being emptied: end long-running sqlite3 sessions; or the daemon does not run",
        )
    if not facts.problems:
        yield Check("ledger", Verdict.OK, f"{path}: {facts.bytes / MB:,.1f} MB, schema {facts.schema_version}, sound")


def judge_sqlite(version: str) -> Check:
    """Whether this SQLite has the WAL-reset bug, which gscd keeps clear of and others do not."""
    if not has_wal_reset_bug(version):
        return Check("SQLite", Verdict.OK, f"{version}")
    return Check(
        "SQLite",
        Verdict.OK,
        f"{version} has the WAL-reset bug (fixed in 3.51.3, 3.50.7 and 3.44.6), which gscd keeps clear of",
        "Never write to the ledger with a plain sqlite3, which may corrupt it; `gscd ledger shell --write` is safe",
    )


def has_wal_reset_bug(version: str) -> bool:
    """Args: version: such as ``3.40.1``."""
    number = tuple(int(part) for part in version.split(".")[:3])
    if number < (3, 7, 0) or number >= WAL_RESET_FIXED[-1]:
        return False
    return not any(number[:2] == fixed[:2] and number >= fixed for fixed in WAL_RESET_FIXED)


def look_at_halt_file(instruments: Instruments) -> Iterator[Check]:
    """Whether it is there, and whether it could be made and removed."""
    path = instruments.settings.halt.file
    held = halt.read(path)
    if held is not None:
        since = f" since {moment(held.since_ms)}" if held.since_ms else ""
        why = f": {held.reason}" if held.reason else ""
        yield Check("halt file", Verdict.WARNING, f"halted{since}{why}", "`gscd resume` goes on")
    folder = path.parent
    if folder.exists() and not os.access(folder, os.W_OK | os.X_OK):
        yield Check(
            "halt file",
            Verdict.PROBLEM,
            f"{_name(os.geteuid())} may not write in {folder}, so `gscd halt` could not make {path}",
            "Give the folder to the daemon's user, or name another halt.file",
        )
    elif held is None:
        yield Check("halt file", Verdict.OK, f"{path} can be made; it is not there")


def look_at_disk(instruments: Instruments) -> Iterator[Check]:
    """Room for the ledger, and for large responses on their way."""
    seen: set[int] = set()
    for path in (_there(instruments.settings.ledger.path.parent), Path(tempfile.gettempdir())):
        device = path.stat().st_dev
        if device not in seen:
            seen.add(device)
            yield judge_room(path, shutil.disk_usage(path).free)


def _there(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    return next(parent for parent in (folder, *folder.parents) if parent.exists())


def judge_room(path: Path, free: int) -> Check:
    """Args: free: bytes."""
    text = f"{free / MB:,.0f} MB are free in {path}"
    if free < DISK_FULL:
        return Check("disk", Verdict.PROBLEM, text, "Make room; the ledger must be able to grow")
    if free < DISK_LOW:
        return Check("disk", Verdict.WARNING, text, "Make room before it is full")
    return Check("disk", Verdict.OK, text)
