"""The pipeline's own words: a sitting is one day while it is fetched; a batch under way is the sittings of a token."""

from __future__ import annotations

from dataclasses import dataclass, field

from gsc_daemon.errors import GscdError
from gsc_daemon.events import emit
from gsc_daemon.model import Item, Query, Receipt
from gsc_daemon.ports import Response


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures a worker works by, from the settings."""

    batch_size: int
    max_in_flight: int
    lease_seconds: float


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer, as the source's threads hand it over. at: when, in monotonic seconds."""

    query: Query
    result: Response | GscdError
    at: float

    def drop(self) -> None:
        """Nobody waits for it any more."""
        if not isinstance(self.result, GscdError):
            self.result.body.close()


@dataclass(slots=True, eq=False)
class Sitting:
    """One day while it is fetched.

    Args:
        item: the day's first. items: all that are leased for it, by id. responses: the answers so far.
        outstanding: what is asked now. sent_ms: when, UTC milliseconds. waited: seconds that the budget denied it.
    """

    item: Item
    batch: UnderWay
    items: list[int]
    responses: list[Response] = field(default_factory=list)
    outstanding: Query | None = None
    sent_ms: int = 0
    waited: float = 0.0

    @property
    def where(self) -> dict[str, str]:
        """The day, as events name it."""
        day = self.item.day
        return {"site": day.site, "date": str(day.date), "report": day.report, "search_type": day.search_type}

    def close(self) -> None:
        """Let go of the answers."""
        for response in self.responses:
            response.body.close()
        self.responses.clear()
        self.outstanding = None


@dataclass(slots=True, eq=False)
class UnderWay:
    """One leased batch: its sittings by the id of their first item, and what telemetry wants to know.

    Args:
        sent_at, renewed_at: monotonic seconds. queries: sent at first. unanswered: of those.
        had_at: when the last of their answers came, however much later it is looked at.
    """

    token: int
    site: str
    sent_at: float
    renewed_at: float
    queries: int
    unanswered: int
    had_at: float = 0.0
    sittings: dict[int, Sitting] = field(default_factory=dict)
    retries: int = 0

    @property
    def items(self) -> list[int]:
        """All items that are leased under its token."""
        return [item for sitting in self.sittings.values() for item in sitting.items]


def tell_published(sitting: Sitting, receipt: Receipt, seconds: float) -> None:
    """What has been published, and what is odd about it. seconds: that the publishing took."""
    emit(
        "day.published",
        **sitting.where,
        token=receipt.token,
        rows=receipt.row_count,
        requests=len(sitting.items),
        duration=round(seconds, 3),
        state=receipt.state.value,
        overlap=receipt.overlap,
        truncated=receipt.truncated,
    )
    if receipt.kept:
        emit("day.kept", **sitting.where, rows=receipt.row_count)
    if receipt.suspect:
        emit("day.suspect", **sitting.where, asks=sitting.item.empty_asks)
