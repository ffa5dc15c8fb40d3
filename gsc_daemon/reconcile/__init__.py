"""After the way of the data: compare what was planned, what the ledger says and what Postgres holds; plan it again.

`look` finds differences, `repair` plans what Google can still give, `spot_check` asks the API about random URLs.
"""

from gsc_daemon.reconcile.compare import Booked, Difference, Findings, Kind, look
from gsc_daemon.reconcile.repair import Repair, Wanted, repair
from gsc_daemon.reconcile.spot import Asker, Checked, spot_check

__all__ = [
    "Asker",
    "Booked",
    "Checked",
    "Difference",
    "Findings",
    "Kind",
    "Repair",
    "Wanted",
    "look",
    "repair",
    "spot_check",
]
