"""Demo, the yardstick: one request after another, and each day written before the next one is asked for.

It takes the daemon's own budget, source and sink, so that nothing but the overlap is measured.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import queue
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from gsc_daemon import plan
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.demo.stage import Stage
from gsc_daemon.errors import GscdError
from gsc_daemon.model import BUILT_IN_REPORTS, ROWS_PER_RESPONSE, Day, Denial, Publication, Query, Report, Row
from gsc_daemon.ports import Budget, Response, Sink, Source
from gsc_daemon.wiring import make_budget, make_sink, make_source, open_ledger

SCHEMA = "sequential"


def sequential_seconds(stage: Stage, dates: Sequence[dt.date]) -> float:
    """Seconds that these dates take, with all reports that the daemon fetches, into a schema of their own."""
    settings = dataclasses.replace(stage.settings, sink=msgspec.structs.replace(stage.settings.sink, schema=SCHEMA))
    ledger = open_ledger(settings)
    budget, source, sink = make_budget(settings, ledger), make_source(settings), make_sink(settings)
    try:
        sink.migrate()
        sink.own(str(uuid.uuid4()))
        source.list_sites()  # the token and the first connection are not what is measured
        began = time.monotonic()
        for token, (date, report) in enumerate(((date, report) for date in dates for report in BUILT_IN_REPORTS), 1):
            _one_day(budget, source, sink, Day(stage.site, report.name, "web", date), report, token)
        return time.monotonic() - began
    finally:
        sink.close()
        source.close()
        budget.close()
        ledger.close()


def _one_day(budget: Budget, source: Source, sink: Sink, day: Day, report: Report, token: int) -> None:
    responses = list(_fetch(budget, source, day, report))
    publication = Publication(
        day,
        generation=1,
        token=token,
        dimensions=report.dimensions,
        state=plan.state_of(day.date, pacific_today(SystemClock())),
        fetched_at=dt.datetime.now(dt.UTC),
    )
    sink.publish(publication, _decoded(responses))
    for response in responses:
        response.body.close()


def _decoded(responses: Iterable[Response]) -> Iterator[Sequence[Row]]:
    return (response.body.rows() for response in responses)


def _fetch(budget: Budget, source: Source, day: Day, report: Report) -> Iterator[Response]:
    """The day's responses, each asked for when the one before is there."""
    start_row = 0
    while True:
        query = Query(start_row, day.site, day.date, day.search_type, report.dimensions, start_row)
        response = _ask(budget, source, query)
        yield response
        if response.row_count < ROWS_PER_RESPONSE:
            return
        start_row += ROWS_PER_RESPONSE


def _ask(budget: Budget, source: Source, query: Query) -> Response:
    """One answer. Raises what the source failed with."""
    while isinstance(answer := budget.check_rate(query.site, source.credential, 1), Denial):
        time.sleep(answer.wait)
    arrived: queue.SimpleQueue[Response | GscdError] = queue.SimpleQueue()
    source.fetch_query_batch([query], answer.delays, lambda _query, result: arrived.put(result))
    result = arrived.get()
    if isinstance(result, GscdError):
        raise result
    return result
