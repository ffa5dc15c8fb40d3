"""The ledger: the truth about work, in one SQLite file. Engine of `gsc_daemon.ports.Ledger`."""

from gsc_daemon.ledger.care import shell_setup
from gsc_daemon.ledger.opening import open_ledger
from gsc_daemon.ledger.sqlite_ledger import SqliteLedger

__all__ = ["SqliteLedger", "open_ledger", "shell_setup"]
