"""`gscd ledger rebuild`: a new ledger from the receipts in Postgres, made beside the old one, then put in its place."""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gsc_daemon.cli.common import exists
from gsc_daemon.cli.progress import Progress
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import GscdError, NotPermitted, Unavailable
from gsc_daemon.halt import DaemonFile, daemon_path
from gsc_daemon.model import HaltState
from gsc_daemon.settings import Settings

WITH: Final = ("", "-wal", "-shm")  # a SQLite database is these files together
PATIENCE: Final = 10.0


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """days: learned from Postgres. kept: the old ledger's new name, None if there was none."""

    days: int
    kept: Path | None
    halted: bool


def rebuild_ledger(settings: Settings) -> Rebuilt:
    """Make it; until it is whole the old one stays in its place.

    Raises `TryAgain` while a daemon runs (and none can start meanwhile), `SinkUnavailable`, `Unavailable`.
    """
    path = settings.ledger.path
    with _no_daemon(settings):
        halted = _halt_of(path)
        fresh = path.with_name(f"{path.name}.new")
        _remove(fresh)
        try:
            days = _fill(settings, fresh, halted)
            kept = _aside(path)
            _move(fresh, path)
        except OSError as error:
            raise _refused(path, error) from error
    return Rebuilt(days, kept, halted is not None)


@contextmanager
def _no_daemon(settings: Settings) -> Iterator[None]:
    """Hold the daemon's own lock."""
    lock = DaemonFile(daemon_path(settings.ledger.path))
    lock.acquire(str(uuid.uuid4()))
    try:
        yield
    finally:
        lock.release()


def _halt_of(path: Path) -> HaltState | None:
    """The halt that the old ledger holds, as far as it can be read."""
    from gsc_daemon.ledger import open_ledger

    if not exists(path):
        return None
    try:
        old = open_ledger(path, SystemClock(), read_only=True, patience=PATIENCE)
        try:
            state = old.halt_state()
        finally:
            old.close()
    except GscdError:  # damaged: that is why it is made anew
        return None
    return state if state.halted else None


def _fill(settings: Settings, fresh: Path, halted: HaltState | None) -> int:
    """The new ledger under the id that Postgres has recorded; gives its days."""
    from gsc_daemon.ledger import open_ledger
    from gsc_daemon.wiring import make_sink

    sink = make_sink(settings)
    try:
        owner = sink.owner()
        ledger = open_ledger(fresh, SystemClock(), create=True, ledger_id=owner or None, patience=PATIENCE)
        try:
            with Progress("days") as progress:
                receipts = progress.count(sink.receipts_since(-1)) if owner else ()
                days: int = ledger.seed(str(uuid.uuid4()), sink.highest_token() if owner else 0, receipts)
            if halted is not None:
                ledger.halt(halted.reason, halted.by)
        finally:
            ledger.close()
    finally:
        sink.close()
    return days


def _aside(path: Path) -> Path | None:
    """Keep the old files under a name of this moment."""
    kept = path.with_name(f"{path.name}.{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}")
    _move(path, kept)
    return kept if exists(kept) else None


def _move(old: Path, new: Path) -> None:
    for suffix in WITH:
        source = old.with_name(old.name + suffix)
        if exists(source):
            os.rename(source, new.with_name(new.name + suffix))  # noqa: PTH104 - pairs with the name above


def _remove(path: Path) -> None:
    """What an earlier attempt left behind."""
    for suffix in WITH:
        path.with_name(path.name + suffix).unlink(missing_ok=True)


def _refused(path: Path, error: OSError) -> GscdError:
    if isinstance(error, PermissionError):
        return NotPermitted(f"this user may not change {path.parent}", hint="Run this as root or as the daemon's user")
    return Unavailable(f"{path.parent} cannot be changed: {error.strerror}")
