"""Halt: the persistent stop as a file, and the file in which the daemon says who works. Neither needs the ledger."""

from gsc_daemon.halt.daemon import DaemonFile, DaemonView, WorkerView, daemon_path, read_daemon
from gsc_daemon.halt.file import clear, present, read, write

__all__ = [
    "DaemonFile",
    "DaemonView",
    "WorkerView",
    "clear",
    "daemon_path",
    "present",
    "read",
    "read_daemon",
    "write",
]
