"""Reconcile, the spot check: random URLs are asked of the API again, through the budget, and compared with Postgres."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import queue
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gsc_daemon import plan
from gsc_daemon.clock import Clock, pacific_today
from gsc_daemon.errors import GscdError, Refusal, SourceError, TryAgain
from gsc_daemon.model import QUERY_PAGE, Day, DayState, Denial, Filter, Query, Receipt, Row, Send
from gsc_daemon.ports import Budget, Ledger, Response, Sink, Sources

AT_ONCE: Final = 10  # queries of one site that are under way together
TRIES: Final = 3  # for what passes: too fast, a network that fails
RETRY_SECONDS: Final = 2.0
_LOST: Final = re.compile("[\x00\ud800-\udfff]")  # Postgres holds U+FFFD for each of these

Sample = tuple[Day, str]  # a day of query_page and one of its URLs
Rows = Mapping[tuple[str, ...], Row]


@dataclass(frozen=True, slots=True)
class Checked:
    """One URL of one day, as Postgres and the API have it.

    Args:
        provisional: what Postgres holds is not final, so a difference is no fault. truncated: Google cut the day off,
            so it may have rows here that the day's responses did not hold.
        differing: rows that only Postgres holds, or that have other figures. lacking: rows that only the API gives.
        failure: why it could not be asked.
    """

    day: Day
    page: str
    rows: int = 0
    differing: int = 0
    lacking: int = 0
    provisional: bool = False
    truncated: bool = False
    failure: str = ""

    @property
    def wrong(self) -> bool:
        """Whether Postgres does not hold what it should."""
        return not self.provisional and bool(self.differing or (self.lacking and not self.truncated))

    def __str__(self) -> str:
        if self.failure:
            return f"{self.day} {self.page}: not asked: {self.failure}"
        said = f"{self.differing} of {self.rows} rows differ" if self.differing else f"{self.rows} rows"
        return f"{self.day} {self.page}: {said}" + (f", {self.lacking} more are Google's alone" if self.lacking else "")


@dataclass(frozen=True, slots=True)
class Asker:
    """What it takes to ask the API as the daemon does.

    Args:
        halted: looked at before every sending; while it is true nothing is sent.
    """

    ledger: Ledger
    budget: Budget
    sources: Sources
    clock: Clock
    halted: Callable[[], bool]
    sleep: Callable[[float], None] = time.sleep

    def ask(self, samples: Sequence[Sample]) -> list[Response | GscdError]:
        """The answers to these URLs, all of one site, in their order. Raises `TryAgain`, `BudgetUnavailable`."""
        answers: dict[int, Response | GscdError] = {}
        queries = [self._query(number, day, page) for number, (day, page) in enumerate(samples)]
        for attempt in range(TRIES):
            if attempt:
                self.sleep(RETRY_SECONDS * 2**attempt)
            answers |= self._send(queries)
            queries = [query for query in queries if self._passes(answers[query.item_id])]
            if not queries:
                break
        return [answers[number] for number in range(len(samples))]

    def _query(self, number: int, day: Day, page: str) -> Query:
        told = self.ledger.newest_final(day.site).get(day.search_type)
        final = told is not None and day.date <= told
        filters = (Filter("page", page),)
        return Query(
            number, day.site, day.date, day.search_type, QUERY_PAGE.dimensions, final_only=final, filters=filters
        )

    def _send(self, queries: Sequence[Query]) -> dict[int, Response | GscdError]:
        site = queries[0].site
        source = self.sources.of(site)
        credential = source.credential
        while isinstance(answer := self.budget.check_rate(site, credential, len(queries)), Denial):
            self._stand_still()
            self.sleep(answer.wait)
        self._stand_still()
        now_ms = self.clock.wall_ms()
        sent_ms = [now_ms + round(delay * 1000) for delay in answer.delays]
        # Noted like the daemon's own queries, so that an emptied Redis counts them too; no item is concerned.
        self.ledger.start_items(0, (), [Send(at_ms, site, credential, 1) for at_ms in sent_ms], 0.0)
        arrived: queue.SimpleQueue[tuple[Query, Response | GscdError]] = queue.SimpleQueue()
        source.fetch_query_batch(queries, answer.delays, lambda query, result: arrived.put((query, result)))
        answers = {}
        for _ in queries:
            query, result = arrived.get()
            answers[query.item_id] = result
            if isinstance(result, SourceError) and result.kind is Refusal.RATE:
                self.budget.slow_down(site, credential, sent_ms[queries.index(query)])
        return answers

    def _stand_still(self) -> None:
        if self.halted():
            raise TryAgain("halted, so nothing is asked of Google", hint="`gscd resume` ends the halt")

    @staticmethod
    def _passes(result: Response | GscdError) -> bool:
        """Whether it is worth asking again."""
        return isinstance(result, SourceError) and result.kind in (Refusal.RATE, Refusal.TRANSIENT)


def spot_check(
    asker: Asker, sink: Sink, site: str | None, first: dt.date | None, last: dt.date | None, count: int
) -> Iterator[Checked]:
    """Ask the API for random URLs of the days that Postgres holds. Raises as `Asker.ask` and `Sink`.

    Args:
        site, first, last: which days, Pacific and inclusive; None for any. count: how many URLs at most.
    """
    # Days that Google no longer gives cannot be asked for, and so neither can they be wrong.
    oldest = plan.oldest_kept(pacific_today(asker.clock))
    samples = sorted(sink.sample_pages(site, max(first, oldest) if first else oldest, last, count))
    for _, of_site in itertools.groupby(samples, key=lambda sample: sample[0].site):
        for chunk in _batched(of_site):
            receipts = sink.receipts([day for day, _ in chunk])
            for (day, page), answer in zip(chunk, asker.ask(chunk), strict=True):
                yield _compared(day, page, answer, receipts.get(day), sink)


def _batched(samples: Iterable[Sample]) -> Iterator[tuple[Sample, ...]]:
    rest = iter(samples)
    while chunk := tuple(itertools.islice(rest, AT_ONCE)):
        yield chunk


def _compared(day: Day, page: str, answer: Response | GscdError, receipt: Receipt | None, sink: Sink) -> Checked:
    if isinstance(answer, GscdError):
        return Checked(day, page, failure=str(answer))
    try:
        theirs = _by_key(answer.body.rows())
    except GscdError as error:
        return Checked(day, page, failure=str(error))
    finally:
        answer.body.close()
    ours = _by_key(sink.page_rows(day, page))
    differing = sum(key not in theirs or not same(row, theirs[key]) for key, row in ours.items())
    return Checked(
        day,
        page,
        rows=len(ours),
        differing=differing,
        lacking=len(theirs.keys() - ours.keys()),
        provisional=receipt is not None and receipt.state is DayState.PROVISIONAL,
        truncated=receipt is not None and receipt.truncated,
    )


def _by_key(rows: Iterable[Row]) -> Rows:
    """Rows by their key as Postgres can hold it."""
    return {tuple(_LOST.sub("\ufffd", value) for value in row.keys): row for row in rows}


def same(ours: Row, theirs: Row) -> bool:
    """Whether two rows of one key have the same figures; clicks and impressions are whole."""
    if (ours.clicks, ours.impressions) != (theirs.clicks, theirs.impressions):
        return False
    if ours.position is None or theirs.position is None:
        return ours.position is theirs.position
    return math.isclose(ours.ctr, theirs.ctr, rel_tol=1e-9) and math.isclose(
        ours.position, theirs.position, rel_tol=1e-9
    )
