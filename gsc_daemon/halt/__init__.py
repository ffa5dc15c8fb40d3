"""Halt: the persistent stop as a file, and the file in which the daemon says who works. Neither needs the ledger."""

from gsc_daemon.halt.daemon import DaemonFile, DaemonView, WorkerView, boot_id, daemon_path, pid_start, read_daemon
from gsc_daemon.halt.file import clear, present, read, write

__all__ = [
    "DaemonFile",
    "DaemonView",
    "WorkerView",
    "boot_id",
    "clear",
    "daemon_path",
    "pid_start",
    "present",
    "read",
    "read_daemon",
    "write",
]
