"""Status, all steps at once: one verdict on the daemon and its work, what to do next, and the figures behind it.

`gather` reads the ledger, the halt file and the daemon's file; `judge` is pure. Nothing here asks Redis or Postgres, so
that it answers while they are dead.
"""

from gsc_daemon.status.gathering import gather, halt_of, look
from gsc_daemon.status.judging import budget_qpm, judge, share_time
from gsc_daemon.status.types import RATE_SPANS, SERVICES, Facts, Finding, Kind, SiteStatus, Status

__all__ = [
    "RATE_SPANS",
    "SERVICES",
    "Facts",
    "Finding",
    "Kind",
    "SiteStatus",
    "Status",
    "budget_qpm",
    "gather",
    "halt_of",
    "judge",
    "look",
    "share_time",
]
