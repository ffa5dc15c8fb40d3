"""Status, read: from the ledger, the halt file and the daemon's file."""

from __future__ import annotations

from typing import Final

import msgspec

from gsc_daemon import halt
from gsc_daemon.clock import Clock
from gsc_daemon.errors import GscdError
from gsc_daemon.halt import DaemonView
from gsc_daemon.model import HaltState
from gsc_daemon.ports import Ledger
from gsc_daemon.settings import Settings
from gsc_daemon.status.judging import judge
from gsc_daemon.status.types import NOT_HALTED, RATE_SPANS, Facts, Status

QUARANTINE_SHOWN: Final = 10
MEASURED_SECONDS: Final = 3600.0  # of batches, for the seed's formula
STILL: Final = ("halting", "halted")  # states of the daemon


def halt_of(settings: Settings, ledger: Ledger | None, daemon: DaemonView | None) -> HaltState:
    """The halt, whoever holds it: the file, the ledger, or a running daemon that was told by signal alone."""
    told = halt.read(settings.halt.file)
    if told is None and ledger is not None:
        told = ledger.halt_state()
    if (told is None or not told.halted) and daemon is not None and daemon.alive and daemon.state in STILL:
        return HaltState(True, daemon.reason, "", daemon.since_ms)
    return told or NOT_HALTED


def gather(
    ledger: Ledger | None, settings: Settings, clock: Clock, *, trouble: GscdError | None = None, exists: bool = True
) -> Facts:
    """Read all there is; a ledger that fails half-way is trouble, not an error. Raises `NotPermitted`.

    Args:
        ledger: None where it could not be opened, for ``trouble``, or where there is none (not ``exists``).
    """
    daemon = halt.read_daemon(halt.daemon_path(settings.ledger.path))
    facts = Facts(clock.wall_ms(), settings.ledger.path, exists, trouble, daemon, halt_of(settings, None, daemon))
    if ledger is None:
        return facts
    try:
        return msgspec.structs.replace(
            facts,
            halted=halt_of(settings, ledger, daemon),
            counts=ledger.counts(),
            sites=ledger.progress(),
            leases=ledger.leases(),
            quarantine=ledger.quarantine(QUARANTINE_SHOWN),
            outages=ledger.outages(),
            batches=ledger.batch_stats(MEASURED_SECONDS),
            sent=tuple(ledger.sent_queries(seconds) for seconds in RATE_SPANS),
            fetched=tuple(ledger.batch_stats(seconds).queries for seconds in RATE_SPANS),
        )
    except GscdError as error:
        return msgspec.structs.replace(facts, trouble=error)


def look(
    ledger: Ledger | None, settings: Settings, clock: Clock, *, trouble: GscdError | None = None, exists: bool = True
) -> Status:
    """`judge` on what `gather` has read."""
    return judge(gather(ledger, settings, clock, trouble=trouble, exists=exists), settings)
