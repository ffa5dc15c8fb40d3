"""The services of the pipeline: whether Postgres and Redis answer, told to ledger and journal on a change."""

from __future__ import annotations

from gsc_daemon.errors import GscdError
from gsc_daemon.events import emit
from gsc_daemon.ports import Ledger


class Services:
    """As this worker last saw them. ``service``: ``sink`` or ``budget``."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self._up: dict[str, bool] = {}  # unknown until asked

    def away(self, service: str, error: GscdError) -> None:
        """It does not answer; `gscd status` shows since when."""
        self.ledger.note_outage(service, str(error))
        if self._up.get(service, True):
            emit(f"{service}.away", reason=str(error))
        self._up[service] = False

    def back(self, service: str) -> None:
        """It answers; what another worker noted is out of date, be it dead or with nothing more to do."""
        self.ledger.clear_outage(service)
        if self._up.get(service) is False:
            emit(f"{service}.back")
        self._up[service] = True
