"""Halt, the daemon's file: one daemon for one ledger, and who works, readable without the ledger.

The supervisor holds an exclusive flock on it and rewrites it in place; its room is taken at the start, so that a full
disk later changes nothing. The lock goes with the last process of the daemon, however that ends.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gsc_daemon import __version__
from gsc_daemon.clock import Clock, SystemClock
from gsc_daemon.errors import ConfigError, NotPermitted, TryAgain, Unavailable
from gsc_daemon.process import boot_id, pid_start

SIZE: Final = 16_384  # bytes; room for 64 workers and the fingerprints of the settings
LOCK_PATIENCE: Final = 0.5  # seconds; readers hold the lock for microseconds
READ_PATIENCE: Final = 0.2  # seconds until a file that is being rewritten reads whole
MODE: Final = 0o640


def daemon_path(ledger: Path) -> Path:
    """Where the daemon's file of a ledger is."""
    return ledger.parent / "gscd.lock"


class WorkerView(msgspec.Struct, frozen=True):
    """A worker as the supervisor last heard of it.

    Args:
        state: ``starting``, ``idle``, ``working``, ``halted`` or what it waits for. since_ms: UTC milliseconds.
    """

    slot: int
    pid: int
    state: str
    site: str = ""
    since_ms: int = 0

    @property
    def works(self) -> bool:
        """Whether a halt has not stilled it yet: alive, and not known to have stopped."""
        return self.state != "halted" and pid_start(self.pid) != 0


class DaemonView(msgspec.Struct, frozen=True):
    """What the daemon's file says.

    Args:
        locked: some process of that daemon lives. alive: its supervisor does.
        state: ``starting``, ``running``, ``halting``, ``halted``, ``draining`` or ``stopped``; since_ms: UTC ms.
        fault: why it last stopped by itself. config: the settings file it reads. settings: their fingerprints.
    """

    locked: bool
    alive: bool
    pid: int = 0
    run_id: str = ""
    version: str = ""
    state: str = "starting"
    since_ms: int = 0
    reason: str = ""
    fault: str = ""
    workers: tuple[WorkerView, ...] = ()
    config: str = ""
    settings: Mapping[str, str] = msgspec.field(default_factory=dict)


class DaemonFile:
    """The supervisor's side of the file.

    Args:
        run_id: names this run. fault: what made the daemon stop; told with the next `update`.
    """

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self.run_id = self.fault = ""
        self._clock = clock or SystemClock()
        self._descriptor = -1
        self._says: dict[str, Any] = {}

    def acquire(self, run_id: str, *, config: Path | None = None, settings: Mapping[str, str] | None = None) -> None:
        """Be the daemon of this ledger.

        Raises:
            TryAgain: another one is, with its pid. ConfigError, NotPermitted, Unavailable: the file cannot be made.
        """
        self._open()
        deadline = self._clock.monotonic() + LOCK_PATIENCE
        while not _lock(self._descriptor, fcntl.LOCK_EX):
            if self._clock.monotonic() > deadline:
                os.close(self._descriptor)
                self._descriptor = -1
                raise TryAgain(_who(self.path), hint="Stop it first; `gscd status` shows it")
            time.sleep(0.02)
        pid, self.run_id = os.getpid(), run_id
        self._says = {"pid": pid, "pid_start": pid_start(pid), "boot_id": boot_id(), "run_id": run_id}
        self._says |= {"version": __version__, "config": str(config or ""), "settings": dict(settings or {})}
        if not self.update(state="starting", reason="", workers=[]):
            self.release()
            raise Unavailable(f"{self.path} cannot be written: the disk is full or read-only")

    def _open(self) -> None:
        try:
            self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, MODE)
        except FileNotFoundError as error:
            raise ConfigError(f"there is no folder {self.path.parent}", hint="See ledger.path") from error
        except PermissionError as error:
            hint = "Run gscd as root or as the user that the folder belongs to"
            raise NotPermitted(f"this user may not write {self.path}", hint=hint) from error
        except OSError as error:
            raise Unavailable(f"{self.path} cannot be opened: {error.strerror}") from error

    def update(self, **says: Any) -> bool:
        """Tell what changed: ``state``, ``reason``, ``workers`` (slot, pid, state, site each), ``settings``.

        Gives whether it could be written; the daemon goes on without.
        """
        now_ms = self._clock.wall_ms()
        before = {worker["slot"]: worker for worker in self._says.get("workers", [])}
        if says.get("state", self._says.get("state")) != self._says.get("state"):
            self._says["since_ms"] = now_ms
        self._says |= says
        self._says["fault"] = self.fault
        self._says["workers"] = [_dated(worker, before.get(worker["slot"]), now_ms) for worker in self._says["workers"]]
        try:
            return os.pwrite(self._descriptor, self._bytes(), 0) == SIZE
        except OSError:
            return False

    def _bytes(self) -> bytes:
        whole = json.dumps(self._says, separators=(",", ":")).encode()
        if len(whole) > SIZE:  # very long names: who works is worth more than on what
            bare = [{**worker, "site": ""} for worker in self._says["workers"]]
            short = {**self._says, "workers": bare, "reason": self._says["reason"][:500], "fault": self.fault[:500]}
            whole = json.dumps({**short, "settings": {}}, separators=(",", ":")).encode()
        return whole.ljust(SIZE)

    def release(self) -> None:
        """Be the daemon no longer. The file stays, and says why the daemon ended."""
        if self._descriptor < 0:
            return
        self.update(state="stopped", workers=[])
        fcntl.flock(self._descriptor, fcntl.LOCK_UN)
        os.close(self._descriptor)
        self._descriptor = -1


def _dated(worker: Mapping[str, Any], before: Mapping[str, Any] | None, now_ms: int) -> dict[str, Any]:
    """With the time since when it is in its state."""
    same = before is not None and all(before[key] == worker[key] for key in ("pid", "state", "site"))
    return {**worker, "since_ms": before["since_ms"] if same and before is not None else now_ms}


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _who(path: Path) -> str:
    view = read_daemon(path)
    if view is not None and view.alive:
        return f"a gscd daemon (pid {view.pid}) works with this ledger already"
    return f"processes of an earlier gscd daemon still live and hold {path}"


def read_daemon(path: Path) -> DaemonView | None:
    """The daemon of a ledger, dead or alive; None if there never was one. Raises `NotPermitted`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except PermissionError as error:
        hint = "Run this as root, as the daemon's user, or as a member of its group"
        raise NotPermitted(f"this user may not read {path}", hint=hint) from error
    try:
        locked = not _lock(descriptor, fcntl.LOCK_SH)  # let go by closing
        deadline = time.monotonic() + READ_PATIENCE
        while (says := _says(descriptor)) is None and locked and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.close(descriptor)
    if says is None:
        return DaemonView(locked=True, alive=True) if locked else None
    return _view(says, locked)


def _says(descriptor: int) -> dict[str, Any] | None:
    """What stands there; None while it is being rewritten."""
    try:
        says = json.loads(os.pread(descriptor, SIZE, 0))
    except ValueError:
        return None
    return says if isinstance(says, dict) and "pid" in says else None


def _view(says: Mapping[str, Any], locked: bool) -> DaemonView:
    same = says["boot_id"] == boot_id() and pid_start(says["pid"]) == says["pid_start"]
    workers = tuple(
        WorkerView(one["slot"], one["pid"], one["state"], one["site"], one["since_ms"]) for one in says["workers"]
    )
    plain = ("pid", "run_id", "version", "state", "since_ms", "reason", "fault", "config", "settings")
    return DaemonView(locked, locked and same, workers=workers, **{key: says[key] for key in plain})
