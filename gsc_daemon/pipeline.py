"""Steps 3 to 7 for one worker: take_batch → check_rate → fetch_query_batch → submit_results, or requeue_batch.

Up to two batches are under way at a time, so that the next one is fetched while the last one is written. Answers come
from the source's threads through one queue; everything else happens in the worker's main thread.
"""

from __future__ import annotations

import datetime as dt
import queue
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from gsc_daemon import plan
from gsc_daemon.clock import Clock, next_pacific_midnight_ms, pacific_today
from gsc_daemon.errors import (
    BudgetUnavailable,
    ConfigError,
    GscdError,
    LeaseLost,
    Overlap,
    Refusal,
    SinkUnavailable,
    SourceError,
)
from gsc_daemon.events import emit
from gsc_daemon.model import (
    ROWS_PER_RESPONSE,
    Batch,
    DayState,
    Denial,
    Item,
    NoBatch,
    Publication,
    Query,
    Receipt,
    Report,
    Send,
)
from gsc_daemon.ports import Budget, Ledger, Response, Sink, Source

BATCHES_UNDER_WAY: Final = 2  # one is fetched while the other is written
IDLE_POLL: Final = (0.05, 0.5)  # seconds between claims that give nothing, growing
SERVICE_RETRY: Final = 10.0  # seconds until a service that was away is asked again
MID_DAY_PATIENCE: Final = 15.0  # seconds a day may wait for its next request before it starts again
MAX_REFETCHES: Final = 2  # of a day whose responses overlapped
LOAD_PARK: Final = 15 * 60  # seconds: developers.google.com/webmaster-tools/limits, "load quota"
SITE_PARK: Final = 24 * 3600  # a property that is lost is tried again daily
CREDENTIAL_PARK: Final = 3600
BACKOFF: Final = (2.0, 900.0)  # seconds: first ceiling and highest, full jitter below it


@dataclass(frozen=True, slots=True)
class Limits:
    """The figures a worker works by, from the settings."""

    batch_size: int
    max_in_flight: int
    lease_seconds: float


@dataclass(slots=True)
class Sitting:
    """One day while it is fetched: its leased items and the answers so far."""

    item: Item
    batch: UnderWay
    items: list[int] = field(default_factory=list)
    responses: list[Response] = field(default_factory=list)
    outstanding: Query | None = None
    sent_ms: int = 0
    waited: float = 0.0

    def close(self) -> None:
        for response in self.responses:
            response.body.close()
        self.responses.clear()
        self.outstanding = None


@dataclass(slots=True)
class UnderWay:
    """One leased batch: its days by item id of their first item, and what telemetry wants to know."""

    token: int
    site: str
    sent_at: float
    renewed_at: float
    queries: int
    first_answers: int
    sittings: dict[int, Sitting] = field(default_factory=dict)
    retries: int = 0


@dataclass(frozen=True, slots=True)
class Arrival:
    """An answer, as the source's threads hand it over."""

    query: Query
    result: Response | GscdError


class Pipeline:
    """What one worker does with batches; `step` is called again and again from its main loop.

    Args:
        reports: by name. halted: looked at before every claim and every sending.
        arrivals: also woken by the caller, with None.
    """

    def __init__(
        self,
        ledger: Ledger,
        budget: Budget,
        source: Source,
        sink: Sink,
        *,
        clock: Clock,
        worker_id: int,
        run_id: str,
        limits: Limits,
        reports: dict[str, Report],
        halted: Callable[[], bool],
        arrivals: queue.SimpleQueue[Arrival | None],
    ) -> None:
        self.ledger, self.budget, self.source, self.sink = ledger, budget, source, sink
        self.clock, self.worker_id, self.run_id = clock, worker_id, run_id
        self.limits, self.reports, self.halted, self.arrivals = limits, reports, halted, arrivals
        self.published = 0
        self._under_way: dict[int, UnderWay] = {}
        self._by_item: dict[int, Sitting] = {}
        self._delayed: list[tuple[float, Sitting]] = []
        self._next_claim = 0.0
        self._idle_polls = 0
        self._owed: list[int] = []  # tokens that the ledger could not take back yet
        self._up: dict[str, bool] = {}  # service → whether it answered last; unknown until asked

    @property
    def busy(self) -> bool:
        """Whether anything is leased."""
        return bool(self._under_way or self._owed)

    @property
    def site(self) -> str:
        """The site of the newest batch under way, for people."""
        return next(reversed(self._under_way.values())).site if self._under_way else ""

    def step(self, *, claim: bool, timeout: float) -> None:
        """Claim if there is room, then handle one answer or wait up to ``timeout`` seconds for one.

        Raises `LedgerUnavailable`; every other trouble is dealt with here.
        """
        now = self.clock.monotonic()
        if self._owed:
            self.give_back()
        if claim and len(self._under_way) < BATCHES_UNDER_WAY and now >= self._next_claim and not self.halted():
            self._claim()
        self._send_delayed()
        self._renew()
        try:
            arrival = self.arrivals.get(timeout=self._patience(timeout, claim))
        except queue.Empty:
            return
        if arrival is not None:
            self._handle(arrival)

    def give_back(self) -> int:
        """Abandon what is in flight and return every lease without an attempt; gives the number of items."""
        self.source.abandon()
        self._owed += self._under_way
        for sitting in self._by_item.values():
            sitting.close()
        self._under_way.clear()
        self._by_item.clear()
        self._delayed.clear()
        items = 0
        while self._owed:
            items += self.ledger.requeue_batch(self._owed[-1])
            self._owed.pop()
        return items

    def _patience(self, timeout: float, claim: bool) -> float:
        """Seconds to wait for an answer: not beyond the next thing that is due."""
        due = [timeout]
        now = self.clock.monotonic()
        if claim and len(self._under_way) < BATCHES_UNDER_WAY:
            due.append(self._next_claim - now)
        due += [at - now for at, _ in self._delayed]
        return max(0.0, min(due))

    # 3: claim, 4: budget

    def _claim(self) -> None:
        taken = self.ledger.take_batch(
            self.worker_id,
            batch_size=self.limits.batch_size,
            max_in_flight=self.limits.max_in_flight,
            lease_seconds=self.limits.lease_seconds,
            run_id=self.run_id,
        )
        if isinstance(taken, NoBatch):
            first, most = IDLE_POLL
            self._wait_to_claim(min(most, first * 2 ** min(self._idle_polls, 8)))
            self._idle_polls += 1
            return
        self._idle_polls = 0
        try:
            items = self._adopt(taken)
            if items:
                self._begin(taken, items)
        except (SinkUnavailable, ConfigError, BudgetUnavailable) as error:
            self.ledger.requeue_batch(taken.token)
            self._service_away("budget" if isinstance(error, BudgetUnavailable) else "sink", error)
        except LeaseLost:
            emit("lease.lost", token=taken.token, site=taken.site, worker_id=self.worker_id)

    def _adopt(self, batch: Batch) -> list[Item]:
        """Finish the days that Postgres already holds; gives the items that must be fetched."""
        held = self.sink.receipts([item.day for item in batch.items])
        self._service_back("sink")
        rest = []
        for item in batch.items:
            receipt = held.get(item.day)
            if receipt is None or receipt.generation < item.generation:
                rest.append(item)
                continue
            self.ledger.submit_results(batch.token, receipt, adopted=True)
            emit("day.adopted", **_where(item), token=batch.token, worker_id=self.worker_id, rows=receipt.row_count)
        return rest

    def _begin(self, batch: Batch, items: Sequence[Item]) -> None:
        answer = self.budget.check_rate(batch.site, self.source.credential, len(items))
        self._service_back("budget")
        if isinstance(answer, Denial) or self.halted():
            self.ledger.requeue_batch(batch.token)
            self._wait_to_claim(answer.wait if isinstance(answer, Denial) else 0.0)
            return
        now = self.clock.monotonic()
        now_ms = self.clock.wall_ms()
        first = min(answer.delays)
        under_way = UnderWay(batch.token, batch.site, now + first, now, len(items), len(items))
        queries = []
        for item, delay in zip(items, answer.delays, strict=True):
            sitting = Sitting(item, under_way, [item.item_id], sent_ms=now_ms + round(delay * 1000))
            sitting.outstanding = self._query(item)
            queries.append(sitting.outstanding)
            under_way.sittings[item.item_id] = sitting
        sent_ms = [sitting.sent_ms for sitting in under_way.sittings.values()]
        self._note_sends(batch.token, list(under_way.sittings), batch.site, sent_ms)
        self._under_way[batch.token] = under_way
        self._by_item.update(under_way.sittings)
        self.source.fetch_query_batch(queries, answer.delays, self._deliver)

    def _note_sends(self, token: int, item_ids: Sequence[int], site: str, sent_ms: Sequence[int]) -> None:
        """In the ledger before anything is sent: an emptied Redis is filled from it."""
        sends = [Send(at_ms, site, self.source.credential, 1) for at_ms in sent_ms]
        self.ledger.start_items(token, item_ids, sends, self.limits.lease_seconds)

    def _deliver(self, query: Query, result: Response | GscdError) -> None:
        self.arrivals.put(Arrival(query, result))

    def _query(self, item: Item) -> Query:
        day = item.day
        final = plan.state_of(day.date, pacific_today(self.clock)) is DayState.FINAL
        dimensions = self.reports[day.report].dimensions
        return Query(
            item.item_id, day.site, day.date, day.search_type, dimensions, item.start_row, ROWS_PER_RESPONSE, final
        )

    # 5: answers

    def _handle(self, arrival: Arrival) -> None:
        sitting = self._by_item.get(arrival.query.item_id)
        if sitting is None or sitting.outstanding is not arrival.query:
            if not isinstance(arrival.result, GscdError):
                arrival.result.body.close()
            return
        sitting.outstanding = None
        if arrival.query.item_id == sitting.item.item_id:
            self._count_answer(sitting.batch)
        try:
            if isinstance(arrival.result, GscdError):
                self._refused(sitting, arrival.result)
            elif self.halted():
                arrival.result.body.close()
                self._return(sitting)
            else:
                self._service_back("source")
                sitting.responses.append(arrival.result)
                if arrival.result.row_count >= ROWS_PER_RESPONSE:
                    self._next_item(sitting)
                else:
                    self._publish(sitting)
        except LeaseLost:
            self._lose(sitting)
        except BudgetUnavailable as error:
            self._return(sitting)
            self._service_away("budget", error)

    def _count_answer(self, batch: UnderWay) -> None:
        batch.first_answers -= 1
        if batch.first_answers == 0:
            seconds = self.clock.monotonic() - batch.sent_at
            status = "retried" if batch.retries else "ok"
            self.ledger.note_batch(self.worker_id, batch.token, batch.site, batch.queries, seconds, status)
            emit(
                "worker.batch",
                worker_id=self.worker_id,
                token=batch.token,
                site=batch.site,
                batch_size=batch.queries,
                duration=round(seconds, 3),
                retries=batch.retries,
                status=status,
            )

    def _next_item(self, sitting: Sitting) -> None:
        """A full response: ask for the day's next rows in the same sitting."""
        item = self.ledger.add_next_item(sitting.batch.token, sitting.items[-1])
        sitting.items.append(item.item_id)
        self._by_item[item.item_id] = sitting
        sitting.outstanding = self._query(item)
        sitting.waited = 0.0
        self._ask(sitting)

    def _ask(self, sitting: Sitting) -> None:
        """Send a day's next query when the budget allows; after a long denial the day goes back."""
        query = sitting.outstanding
        assert query is not None
        if self.halted():
            self._return(sitting)
            return
        answer = self.budget.check_rate(query.site, self.source.credential, 1)
        if isinstance(answer, Denial):
            sitting.waited += answer.wait
            if sitting.waited > MID_DAY_PATIENCE:
                self._return(sitting)
            else:
                self._delayed.append((self.clock.monotonic() + answer.wait + random.uniform(0, 0.05), sitting))
            return
        sitting.sent_ms = self.clock.wall_ms() + round(answer.delays[0] * 1000)
        self._note_sends(sitting.batch.token, [query.item_id], query.site, [sitting.sent_ms])
        self.source.fetch_query_batch([query], answer.delays, self._deliver)

    def _send_delayed(self) -> None:
        now = self.clock.monotonic()
        due = [sitting for at, sitting in self._delayed if at <= now]
        self._delayed = [(at, sitting) for at, sitting in self._delayed if at > now]
        for sitting in due:
            if sitting.outstanding is None:
                continue
            try:
                self._ask(sitting)
            except LeaseLost:
                self._lose(sitting)
            except BudgetUnavailable as error:
                self._return(sitting)
                self._service_away("budget", error)

    # 6: submit

    def _publish(self, sitting: Sitting) -> None:
        item, token = sitting.item, sitting.batch.token
        received_ms = sitting.responses[0].received_ms
        publication = Publication(
            item.day,
            item.generation,
            token,
            self.reports[item.day.report].dimensions,
            plan.state_of(item.day.date, pacific_today(self.clock)),
            dt.datetime.fromtimestamp(received_ms / 1000, dt.UTC),
            may_overlap=item.refetches >= MAX_REFETCHES,
            allow_loss=item.allow_loss,
        )
        began = self.clock.monotonic()
        try:
            receipt = self.sink.publish(publication, (response.body.rows() for response in sitting.responses))
        except Overlap as error:
            emit("day.overlap", **_where(item), token=token, doubles=error.doubles, refetches=item.refetches)
            self._return(sitting, failure=error, overlap=True)
        except SourceError as error:
            self._refused(sitting, error)
        except (SinkUnavailable, ConfigError) as error:
            self._return(sitting)
            self._service_away("sink", error)
        else:
            self._service_back("sink")
            self.ledger.submit_results(token, receipt)
            self.published += 1
            self._tell_published(sitting, receipt, self.clock.monotonic() - began)
            self._forget(sitting)

    def _tell_published(self, sitting: Sitting, receipt: Receipt, seconds: float) -> None:
        emit(
            "day.published",
            **_where(sitting.item),
            token=receipt.token,
            worker_id=self.worker_id,
            rows=receipt.row_count,
            requests=len(sitting.items),
            duration=round(seconds, 3),
            state=receipt.state.value,
            overlap=receipt.overlap,
            truncated=receipt.truncated,
        )
        if receipt.kept:
            emit("day.kept", **_where(sitting.item), rows=receipt.row_count)

    # 7: back to work

    def _refused(self, sitting: Sitting, error: GscdError) -> None:
        """What a refusal or failure means for the day, its site and everyone's pace."""
        kind = error.kind if isinstance(error, SourceError) else Refusal.TRANSIENT
        sitting.batch.retries += 1
        item = sitting.item
        match kind:
            case Refusal.ABANDONED:
                self._return(sitting)
            case Refusal.RATE:
                pace = self.budget.slow_down(item.day.site, self.source.credential, sitting.sent_ms)
                emit("rate_limit.exceeded", **_where(item), reason=str(error), pace_qpm=pace.qpm)
                self._return(sitting, delay=_retry_after(error))
            case Refusal.LOAD:
                until_ms = self.ledger.load_refused(
                    item.day.site, str(error), LOAD_PARK, next_pacific_midnight_ms(self.clock)
                )
                self._parked(sitting, error, until_ms)
            case Refusal.SITE:
                self._park(sitting, error, SITE_PARK)
            case Refusal.CREDENTIAL:
                self.ledger.note_outage("source", str(error))
                self._park(sitting, error, CREDENTIAL_PARK)
            case Refusal.REQUEST:
                emit("item.quarantined", **_where(item), reason=str(error))
                self._return(sitting, failure=error, permanent=True)
            case Refusal.TRANSIENT:
                delay = max(_retry_after(error), backoff(item.failures))
                emit("item.requeued", **_where(item), reason=str(error), delay=round(delay, 1), failures=item.failures)
                self._return(sitting, failure=error, delay=delay)

    def _park(self, sitting: Sitting, error: GscdError, seconds: int) -> None:
        until_ms = self.clock.wall_ms() + seconds * 1000
        self.ledger.park_site(sitting.item.day.site, str(error), until_ms)
        self._parked(sitting, error, until_ms)

    def _parked(self, sitting: Sitting, error: GscdError, until_ms: int) -> None:
        emit("site.parked", site=sitting.item.day.site, reason=str(error), until_ms=until_ms)
        self._return(sitting)

    def _return(
        self,
        sitting: Sitting,
        *,
        failure: GscdError | None = None,
        delay: float = 0.0,
        permanent: bool = False,
        overlap: bool = False,
    ) -> None:
        self.ledger.requeue_batch(
            sitting.batch.token, sitting.items, failure=failure, delay=delay, permanent=permanent, overlap=overlap
        )
        self._forget(sitting)

    def _lose(self, sitting: Sitting) -> None:
        item = sitting.item
        emit("lease.lost", token=sitting.batch.token, site=item.day.site, worker_id=self.worker_id)
        self.ledger.requeue_batch(sitting.batch.token, sitting.items)
        self._forget(sitting)

    def _forget(self, sitting: Sitting) -> None:
        sitting.close()
        for item_id in sitting.items:
            self._by_item.pop(item_id, None)
        batch = sitting.batch
        batch.sittings.pop(sitting.item.item_id, None)
        if not batch.sittings:
            self._under_way.pop(batch.token, None)

    def _renew(self) -> None:
        """A lease is renewed while its holder makes progress through its loop, so that a hung one is seen."""
        now = self.clock.monotonic()
        for batch in list(self._under_way.values()):
            if now - batch.renewed_at < self.limits.lease_seconds / 3:
                continue
            batch.renewed_at = now
            ids = [item_id for sitting in batch.sittings.values() for item_id in sitting.items]
            try:
                self.ledger.start_items(batch.token, ids, (), self.limits.lease_seconds)
            except LeaseLost:
                for sitting in list(batch.sittings.values()):
                    self._lose(sitting)

    # services

    def _service_away(self, service: str, error: GscdError) -> None:
        """Postgres or Redis is away: fetching stops, batches go back without an attempt, it is tried again."""
        self.give_back()
        if self.halted():
            return  # the halt cut the connection, not the service
        self.ledger.note_outage(service, str(error))
        if self._up.get(service, True):
            emit(f"{service}.away", reason=str(error), worker_id=self.worker_id)
        self._up[service] = False
        self._wait_to_claim(SERVICE_RETRY)

    def _service_back(self, service: str) -> None:
        """Also clears what a worker noted that died since."""
        was_up = self._up.get(service)
        if was_up:
            return
        self._up[service] = True
        self.ledger.clear_outage(service)
        if was_up is False:
            emit(f"{service}.back", worker_id=self.worker_id)

    def _wait_to_claim(self, seconds: float) -> None:
        self._next_claim = self.clock.monotonic() + seconds * random.uniform(1.0, 1.1)


def backoff(failures: int) -> float:
    """Seconds until the next attempt: exponential, full jitter (Brooker, "Exponential Backoff And Jitter", 2015)."""
    first, most = BACKOFF
    return random.uniform(0.0, min(most, first * 2.0 ** min(failures, 16)))


def _retry_after(error: GscdError) -> float:
    return (error.retry_after or 0.0) if isinstance(error, SourceError) else 0.0


def _where(item: Item) -> dict[str, str]:
    day = item.day
    return {"site": day.site, "date": str(day.date), "report": day.report, "search_type": day.search_type}
