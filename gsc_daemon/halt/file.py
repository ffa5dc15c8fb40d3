"""Halt, the file: its being there is the halt, whoever made it and however little it says."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from pathlib import Path
from typing import Final, NoReturn

from gsc_daemon.errors import ConfigError, NotPermitted, Unavailable
from gsc_daemon.model import HaltState

MODE: Final = 0o640
_FULL: Final = (errno.ENOSPC, errno.EDQUOT)
_READ_AT_MOST: Final = 4096


def write(path: Path, reason: str, by: str) -> None:
    """Halt. On a full disk the file is empty, which halts as well.

    Raises:
        NotPermitted: this user may not write there. Unavailable: no file can be made (disk full to its last entry,
        read-only). ConfigError: there is no such folder.
    """
    says = json.dumps({"reason": reason, "by": by, "since_ms": time.time_ns() // 1_000_000}, ensure_ascii=False)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, MODE)
    except OSError as error:
        _refuse(path, "written", error)
    try:
        os.ftruncate(descriptor, 0)
        _fill(descriptor, says.encode("utf-8", "replace") + b"\n")
    finally:
        os.close(descriptor)
    _sync_folder(path.parent)


def _fill(descriptor: int, content: bytes) -> None:
    """Write what there is room for: all or nothing, since half of it would read like a reason."""
    try:
        if os.write(descriptor, content) != len(content):
            os.ftruncate(descriptor, 0)
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _FULL:
            raise
        os.ftruncate(descriptor, 0)


def _sync_folder(folder: Path) -> None:
    """Have the file's name survive a power cut; a file system that cannot do it keeps the halt all the same."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def present(path: Path) -> bool:
    """Whether the file is there. What cannot be looked at counts as there: standing still harms nothing."""
    try:
        os.stat(path)  # noqa: PTH116 - asked ten times a second by every worker
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def read(path: Path) -> HaltState | None:
    """What the file says; None if there is none. A file made by hand may hold a reason in plain words, or nothing."""
    try:
        with path.open("rb") as file:
            text = file.read(_READ_AT_MOST).decode("utf-8", "replace").strip()
            made_ms = int(os.fstat(file.fileno()).st_mtime * 1000)
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        return HaltState(True, f"{path} is there but cannot be read: {error.strerror}")
    try:
        says = json.loads(text)
        return HaltState(True, str(says["reason"]), str(says["by"]), int(says["since_ms"]))
    except (ValueError, KeyError, TypeError):
        return HaltState(True, " ".join(text.split()), "", made_ms)


def clear(path: Path) -> bool:
    """Resume, as far as the file goes; whether there was one. Raises `NotPermitted`, `Unavailable`."""
    try:
        path.unlink()
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        _refuse(path, "removed", error)
    _sync_folder(path.parent)
    return True


def _refuse(path: Path, done: str, error: OSError) -> NoReturn:
    said = f"the halt file {path} cannot be {done}"
    match error.errno:
        case errno.EACCES | errno.EPERM:
            raise NotPermitted(f"{said}: this user may not", hint="Run it as root or as the daemon's user") from error
        case errno.ENOENT | errno.ENOTDIR:
            raise ConfigError(f"{said}: there is no folder {path.parent}", hint="See halt.file") from error
        case errno.EISDIR:
            raise ConfigError(f"{said}: it is a folder", hint="See halt.file") from error
        case _:
            raise Unavailable(f"{said}: {error.strerror}") from error
