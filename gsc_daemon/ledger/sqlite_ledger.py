"""The ledger of one VM, on SQLite: `ports.Ledger`, put together from its verbs by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gsc_daemon.ledger.care import Care
from gsc_daemon.ledger.freshness import Freshness
from gsc_daemon.ledger.leasing import Leasing
from gsc_daemon.ledger.looking import Looking
from gsc_daemon.ledger.planning import Planning
from gsc_daemon.ledger.returning import Returning
from gsc_daemon.ledger.sites import Sites
from gsc_daemon.ports import Ledger


class SqliteLedger(Planning, Leasing, Returning, Sites, Freshness, Looking, Care):
    """`ports.Ledger` on one file; made by `open_ledger`, in the process and thread that uses it."""


if TYPE_CHECKING:

    def _is_a_ledger(ledger: SqliteLedger) -> Ledger:
        return ledger
