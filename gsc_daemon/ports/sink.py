"""The sink as the pipeline and reconcile ask it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from gsc_daemon.model import Day, Held, Publication, Receipt, Report, Row, SinkFacts


class Sink(Protocol):
    """The truth about data. Raises `SinkUnavailable` everywhere."""

    def migrate(self, reports: Sequence[Report] = ()) -> None:
        """Bring the schema to this program's version, with a relation for each report.

        Raises `ConfigError` if it is newer, or a report was something else before.
        """

    def own(self, ledger_id: str, *, take_over: bool = False) -> None:
        """One ledger feeds one sink: record its id. Raises `ConfigError` for another ledger's sink."""

    def owner(self) -> str:
        """The id of the ledger that feeds this sink, "" where none does yet (or there is no schema)."""

    def highest_token(self) -> int: ...

    def receipts(self, days: Sequence[Day], *, to_write: bool = False) -> Mapping[Day, Receipt]:
        """What is held of these days. ``to_write``: raises `SinkUnavailable` too where it can only be read."""

    def receipts_since(self, token: int) -> Iterable[Receipt]:
        """Receipts under a higher token, a thousand at a time."""

    def publish(self, publication: Publication, responses: Iterable[Sequence[Row]]) -> Receipt:
        """The whole day in one transaction; ``responses`` are decoded one at a time as they are asked for.

        Raises `LeaseLost` (a newer token or generation is there), `Overlap`.
        """

    def roll_up(self) -> bool:
        """Bring an analyst's sums of one month up to date, the newest that are not; False if none need it."""

    def audit(
        self, site: str | None, first: dt.date | None, last: dt.date | None, *, digests: bool = False
    ) -> Iterable[Held]:
        """For reconcile: every day with a receipt or rows (dates inclusive), its rows really counted; by site, date."""

    def sample_pages(
        self, site: str | None, first: dt.date | None, last: dt.date | None, count: int
    ) -> Sequence[tuple[Day, str]]:
        """Random days of ``query_page`` with a random page (URL) of each, for a spot check against the API."""

    def page_rows(self, day: Day, page: str) -> Sequence[Row]:
        """The rows of one page, with keys in the order of the report's dimensions."""

    def forget_site(self, site: str) -> int:
        """Delete a site's rows and days; gives the number of rows."""

    def facts(self) -> SinkFacts: ...

    def cancel(self) -> None:
        """From another thread or a signal: interrupt the statement under way."""

    def close(self) -> None: ...
