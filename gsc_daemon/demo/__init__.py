"""Beside the way of the data: the whole of gscd on this machine, with servers of its own, to be seen and to be drilled.

`backfill` is `gscd demo`; `DRILLS` are those of `gscd drill`. Both run the real program on a `stage` that is gone
afterwards.
"""

from gsc_daemon.demo.drills import DRILLS, Drilled
from gsc_daemon.demo.watch import Tell
from gsc_daemon.demo.whole import LATENCY, Outcome, backfill, room_needed

__all__ = ["DRILLS", "LATENCY", "Drilled", "Outcome", "Tell", "backfill", "room_needed"]
