"""Processes: named beyond the reuse of a pid, by when they started and in which boot; and sparing with memory."""

from __future__ import annotations

import contextlib
import ctypes
from pathlib import Path
from typing import Final

_ARENA_MAX: Final = -8  # mallopt(3)


def pid_start(pid: int) -> int:
    """Clock ticks since boot at which a process started; 0 if there is none (proc(5), field 22 of stat)."""
    try:
        return int(Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[19])
    except (FileNotFoundError, ProcessLookupError):
        pass
    except (OSError, IndexError):
        return 0
    return 0 if Path("/proc/self").exists() else _started_elsewhere(pid)


def _started_elsewhere(pid: int) -> int:
    """The same on a system without /proc; psutil takes long to import, so only there."""
    import psutil

    try:
        return int(psutil.Process(pid).create_time() * 100)
    except psutil.Error:
        return 0


def boot_id() -> str:
    """Names this boot of the machine; pids and start times mean nothing beyond it."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:  # a system without /proc
        import psutil

        return str(int(psutil.boot_time()))


def one_arena() -> None:
    """Let all threads of this process and its children take memory from one heap, where the C library is glibc.

    Else each fetching thread keeps a heap of its own that never quite empties: a tenth of all memory. They hardly ever
    ask at the same time, since Python runs one of them at a time.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, 1)
