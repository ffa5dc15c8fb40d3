"""Names a process beyond the reuse of its pid: when it started, and in which boot of the machine."""

from __future__ import annotations

from pathlib import Path


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
