"""The pipeline of one worker, from claim to published day.

Up to two batches are under way at a time, so that the next one is fetched while the last one is written, and a third
while there is nothing to write. Answers come from the source's threads through one queue; everything else happens in
the worker's main thread.
"""

from __future__ import annotations

import datetime as dt
import queue
import random
from collections.abc import Callable, Sequence
from typing import Final

from gsc_daemon import failpoint, plan
from gsc_daemon.clock import Clock, pacific_today
from gsc_daemon.errors import (
    BudgetUnavailable,
    ConfigError,
    GscdError,
    LeaseLost,
    LedgerUnavailable,
    Overlap,
    SinkUnavailable,
    SourceError,
)
from gsc_daemon.events import emit
from gsc_daemon.model import (
    EMPTY_ASKS,
    ROWS_PER_RESPONSE,
    Batch,
    Denial,
    Item,
    NoBatch,
    Publication,
    Query,
    Report,
    Send,
)
from gsc_daemon.pipeline.back_to_work import BackToWork, Return
from gsc_daemon.pipeline.frontier import Frontier
from gsc_daemon.pipeline.services import Services
from gsc_daemon.pipeline.sitting import Arrival, Limits, Sitting, UnderWay, tell_published
from gsc_daemon.ports import Budget, Ledger, Response, Sink, Sources

BATCHES_UNDER_WAY: Final = 2  # one is fetched while the other is written
MOST_UNDER_WAY: Final = 3  # while there is nothing to write: then the answers come too slowly
IDLE_POLL: Final = (0.05, 0.5)  # seconds between claims that give nothing, growing
SERVICE_RETRY: Final = 10.0  # seconds until a service that was away is asked again
MID_DAY_PATIENCE: Final = 60.0  # seconds a day may wait for its next request before it starts again
LATE: Final = 0.5  # seconds by which sendings may shift against their grant; the budget allows 1% for travel
UNKNOWN_REPORT: Final = 10.0  # seconds in which a reload may bring a report that a day is of
MAX_REFETCHES: Final = 2  # of a day whose responses overlapped


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
        sources: Sources,
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
        self.ledger, self.budget, self.sources, self.sink = ledger, budget, sources, sink
        self.clock, self.worker_id, self.run_id = clock, worker_id, run_id
        self.limits, self.reports, self.halted, self.arrivals = limits, reports, halted, arrivals
        self.published = 0
        self.services = Services(ledger)
        self._frontier = Frontier(ledger, budget, sources, clock)
        self.back_to_work = BackToWork(ledger, budget, sources, clock)
        self._under_way: dict[int, UnderWay] = {}
        self._by_item: dict[int, Sitting] = {}
        self._owed: list[int] = []  # tokens that the ledger could not take back yet
        self._next_claim = 0.0
        self._idle_polls = 0

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

        Raises `LedgerUnavailable`, after which `let_go` is due; every other trouble is dealt with here.
        """
        self._pay_back()
        claim = claim and self._has_room()
        if claim and self.clock.monotonic() >= self._next_claim and not self.halted():
            self._claim()
        self._renew()
        patience = min(timeout, self._next_claim - self.clock.monotonic()) if claim else timeout
        try:
            arrival = self.arrivals.get(timeout=max(0.0, patience))
        except queue.Empty:
            return
        if arrival is not None:
            self._handle(arrival)

    def give_back(self) -> None:
        """Abandon what is in flight and return every lease without an attempt. Raises `LedgerUnavailable`."""
        self.let_go()
        self._pay_back()

    def let_go(self) -> None:
        """Abandon what is in flight; the ledger, which does not answer now, gets the leases back when it does."""
        self.sources.abandon()
        self._owed += self._under_way
        for sitting in self._by_item.values():
            sitting.close()
        self._under_way.clear()
        self._by_item.clear()

    def _pay_back(self) -> None:
        while self._owed:
            self.ledger.requeue_batch(self._owed[-1])
            self._owed.pop()

    # 3: claim

    def _has_room(self) -> bool:
        under_way = len(self._under_way)
        return under_way < BATCHES_UNDER_WAY or (under_way < MOST_UNDER_WAY and self.arrivals.empty())

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
            enough = len(self._under_way) >= BATCHES_UNDER_WAY  # and soon there may be room for one that is due
            self._wait_to_claim(first if enough else min(most, first * 2 ** min(self._idle_polls, 8)))
            self._idle_polls += not enough
            return
        self._idle_polls = 0
        try:
            items = self._adopt(taken)
            if items:
                self._begin(taken, items)
        except LedgerUnavailable:
            self._owed.append(taken.token)
            raise
        except (SinkUnavailable, ConfigError, BudgetUnavailable) as error:
            self._owed.append(taken.token)
            self._service_away("budget" if isinstance(error, BudgetUnavailable) else "sink", error)
        except LeaseLost:
            emit("lease.lost", token=taken.token, site=taken.site)

    def _adopt(self, batch: Batch) -> list[Item]:
        """Finish the days that Postgres already holds; gives the items that must be fetched."""
        held = self.sink.receipts([item.day for item in batch.items], to_write=True)
        self.services.back("sink")
        rest = []
        for item in batch.items:
            if item.day.report not in self.reports:
                self._set_aside(batch, item)
                continue
            receipt = held.get(item.day)
            if receipt is None or receipt.generation < item.generation:
                rest.append(item)
                continue
            self.ledger.submit_results(batch.token, receipt, adopted=True)
            day = Sitting(item, UnderWay(batch.token, batch.site, 0.0, 0.0, 0, 0), [item.item_id])
            emit("day.adopted", **day.where, token=batch.token, worker_id=self.worker_id, rows=receipt.row_count)
        return rest

    def _set_aside(self, batch: Batch, item: Item) -> None:
        """Its report is not in the settings that this worker began with.

        They may have been changed a moment ago, and so the day waits once for a reload before a person is called.
        """
        day, permanent = item.day, item.failures > 0
        error = ConfigError(
            f"the report {day.report} is not in the settings any more, or not yet in those of the daemon",
            hint="Put it back or `gscd reload`, then `gscd ledger requeue`; or take its days back: `gscd cancel`",
        )
        delay = 0.0 if permanent else UNKNOWN_REPORT
        self.ledger.requeue_batch(batch.token, [item.item_id], failure=error, delay=delay, permanent=permanent)
        where = Sitting(item, UnderWay(batch.token, batch.site, 0.0, 0.0, 0, 0), [item.item_id]).where
        if permanent:
            emit("item.quarantined", **where, reason=str(error))
        else:
            emit("item.requeued", **where, reason=str(error), delay=delay, failures=item.failures)

    # 4: check the rate, and send

    def _begin(self, batch: Batch, items: Sequence[Item]) -> None:
        if not self.back_to_work.can_ask(batch.site):
            self.ledger.requeue_batch(batch.token)
            return
        self._frontier.refresh(item.day for item in items)
        now = self.clock.monotonic()
        answer = self.budget.check_rate(batch.site, self.sources.credential_of(batch.site), len(items))
        self.services.back("budget")
        if isinstance(answer, Denial) or self.halted():
            self.ledger.requeue_batch(batch.token)
            self._wait_to_claim(answer.wait if isinstance(answer, Denial) else 0.0)
            return
        under_way = UnderWay(batch.token, batch.site, now + min(answer.delays), now, len(items), len(items))
        for item in items:
            under_way.sittings[item.item_id] = Sitting(item, under_way, [item.item_id], outstanding=self._query(item))
        self._under_way[batch.token] = under_way
        self._by_item.update(under_way.sittings)
        try:
            self._send(list(under_way.sittings.values()), answer.delays, granted_at=now)
        except LeaseLost:
            self._lose(under_way, *under_way.sittings.values())

    def _send(self, sittings: Sequence[Sitting], delays: Sequence[float], *, granted_at: float) -> None:
        """Note the sendings in the ledger, from which an emptied Redis is filled, then send. Raises `LeaseLost`.

        A ledger that was locked for so long that the times granted are over is no reason to burst: the days go back.
        """
        now_ms = self.clock.wall_ms()
        queries = []
        for sitting, delay in zip(sittings, delays, strict=True):
            assert sitting.outstanding is not None
            sitting.sent_ms = now_ms + round(delay * 1000)
            queries.append(sitting.outstanding)
        batch = sittings[0].batch
        credential = self.sources.credential_of(batch.site)
        sends = [Send(sitting.sent_ms, batch.site, credential, 1) for sitting in sittings]
        self.ledger.start_items(batch.token, [query.item_id for query in queries], sends, self.limits.lease_seconds)
        if self.clock.monotonic() - granted_at > LATE:
            for sitting in sittings:
                self._return(sitting)
            return
        self.sources.of(batch.site).fetch_query_batch(queries, delays, self._deliver)

    def _query(self, item: Item) -> Query:
        day = item.day
        told = self._frontier.told(day)
        final = told is not None and day.date <= told  # else fresh data too, which are the same where they are final
        report = self.reports[day.report]
        return Query(
            item.item_id,
            day.site,
            day.date,
            day.search_type,
            report.dimensions,
            item.start_row,
            ROWS_PER_RESPONSE,
            final,
            report.filters,
            aggregation=report.aggregation,
        )

    def _deliver(self, query: Query, result: Response | GscdError) -> None:
        failpoint.hit("source.deliver.before")
        self.arrivals.put(Arrival(query, result, self.clock.monotonic()))
        failpoint.hit("source.deliver.after")

    # 5: answers

    def _handle(self, arrival: Arrival) -> None:
        sitting = self._by_item.get(arrival.query.item_id)
        if sitting is None or sitting.outstanding is not arrival.query:
            arrival.drop()
            return
        sitting.outstanding = None
        if arrival.query.item_id == sitting.item.item_id:
            self._count_answer(sitting.batch, arrival.at)
        try:
            if isinstance(arrival.result, GscdError):
                self._return(sitting, self.back_to_work.refused(sitting, arrival.result))
            elif self.halted():
                arrival.drop()
                self._return(sitting)
            else:
                sitting.responses.append(arrival.result)
                if arrival.result.row_count >= ROWS_PER_RESPONSE:
                    self._next_item(sitting)
                else:
                    self._publish(sitting)
        except LeaseLost:
            self._lose(sitting.batch, sitting)
        except BudgetUnavailable as error:
            self._return(sitting)
            self._service_away("budget", error)

    def _count_answer(self, batch: UnderWay, at: float) -> None:
        batch.unanswered -= 1
        batch.had_at = max(batch.had_at, at)
        if batch.unanswered:
            return
        seconds = batch.had_at - batch.sent_at
        status = "retried" if batch.retries else "ok"
        self.ledger.note_batch(self.worker_id, batch.token, batch.site, batch.queries, seconds, status)
        emit(
            "worker.batch",
            token=batch.token,
            site=batch.site,
            batch_size=batch.queries,
            duration=round(seconds, 3),
            retries=batch.retries,
            status=status,
        )

    def _next_item(self, sitting: Sitting) -> None:
        """A full response: ask for the day's next rows in the same sitting, or give the day back."""
        item = self.ledger.add_next_item(sitting.batch.token, sitting.items[-1])
        sitting.items.append(item.item_id)
        self._by_item[item.item_id] = sitting
        now = self.clock.monotonic()
        credential = self.sources.credential_of(item.day.site)
        answer = self.budget.check_rate(item.day.site, credential, 1, patience=MID_DAY_PATIENCE)
        if isinstance(answer, Denial) or self.halted():
            self._return(sitting)
            return
        sitting.outstanding = self._query(item)
        self._send([sitting], answer.delays, granted_at=now)

    # 6: submit

    def _publish(self, sitting: Sitting) -> None:
        began = self.clock.monotonic()
        try:
            receipt = self.sink.publish(
                self._publication(sitting), (response.body.rows() for response in sitting.responses)
            )
        except Overlap as error:
            item = sitting.item
            emit(
                "day.overlap",
                **sitting.where,
                token=sitting.batch.token,
                doubles=error.doubles,
                refetches=item.refetches,
            )
            self._return(sitting, Return(failure=error, overlap=True))
        except SourceError as error:  # a body that cannot be decoded
            self._return(sitting, self.back_to_work.refused(sitting, error))
        except (SinkUnavailable, ConfigError) as error:
            self._return(sitting)
            self._service_away("sink", error)
        else:
            self.services.back("sink")
            self.ledger.submit_results(sitting.batch.token, receipt)
            self.published += 1
            tell_published(sitting, receipt, self.clock.monotonic() - began)
            self._forget(sitting)

    def _publication(self, sitting: Sitting) -> Publication:
        item = sitting.item
        received_s = sitting.responses[0].received_ms / 1000
        return Publication(
            item.day,
            item.generation,
            sitting.batch.token,
            self.reports[item.day.report].dimensions,
            plan.state_of(item.day.date, pacific_today(self.clock), self._frontier.told(item.day)),
            dt.datetime.fromtimestamp(received_s, dt.UTC),
            may_overlap=item.refetches >= MAX_REFETCHES,
            allow_loss=item.allow_loss,
            last_ask=item.empty_asks >= EMPTY_ASKS,
        )

    # 7: back to work

    def _return(self, sitting: Sitting, how: Return = Return()) -> None:  # noqa: B008 - frozen
        self.ledger.requeue_batch(
            sitting.batch.token,
            sitting.items,
            failure=how.failure,
            delay=how.delay,
            permanent=how.permanent,
            overlap=how.overlap,
        )
        self._forget(sitting)

    def _lose(self, batch: UnderWay, *sittings: Sitting) -> None:
        """Some of it is no longer ours: what still is goes back, and nothing of it is waited for."""
        emit("lease.lost", token=batch.token, site=batch.site)
        for sitting in sittings:
            self._return(sitting)

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
            try:
                self.ledger.start_items(batch.token, batch.items, (), self.limits.lease_seconds)
            except LeaseLost:
                self._lose(batch, *batch.sittings.values())

    # services

    def _service_away(self, service: str, error: GscdError) -> None:
        """Postgres or Redis is away: fetching stops, batches go back without an attempt, it is tried again."""
        self.give_back()
        if self.halted():
            return  # the halt cut the connection, not the service
        self.services.away(service, error)
        self._wait_to_claim(failpoint.patience(SERVICE_RETRY))

    def _wait_to_claim(self, seconds: float) -> None:
        self._next_claim = self.clock.monotonic() + seconds * random.uniform(1.0, 1.1)
