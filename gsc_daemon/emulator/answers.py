"""Emulator, answers: the body of a valid query: chunks compressed once where that will do, else rows computed anew."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
import random
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import lru_cache
from itertools import count
from typing import Final

from gsc_daemon.emulator.config import EmulatorConfig, SiteSpec
from gsc_daemon.emulator.deflate import Piece, compress_once, stored
from gsc_daemon.emulator.pool import part_piece
from gsc_daemon.emulator.render import Figures, Style, envelope, rows_text, separator
from gsc_daemon.emulator.replies import Reply
from gsc_daemon.emulator.report import all_rows, hours_of, is_canonical, is_quick, usable_dates
from gsc_daemon.emulator.request import PAGES_ONLY, ROW_LIMIT, Query
from gsc_daemon.emulator.truth import Day, Truth

_NORMAL_P99: Final = 2.3263
_EMPTY_SHARE: Final = 0.25  # how long an answer without rows takes, as a share of a full one's time; invented
_stored = lru_cache(maxsize=64)(stored)


def latency_s(config: EmulatorConfig, rows: int, rng: random.Random) -> float:
    """Seconds until an answer of that many rows begins: lognormal, longer with more rows. Its shape is invented."""
    if not config.latency_median_s:
        return 0.0
    spread = math.log(max(1.0, config.latency_p99_s / config.latency_median_s)) / _NORMAL_P99
    size = _EMPTY_SHARE + (1 - _EMPTY_SHARE) * rows / ROW_LIMIT
    return rng.lognormvariate(math.log(config.latency_median_s * size), spread)


def days_of(truth: Truth, site: SiteSpec, query: Query, today: dt.date) -> list[Day]:
    """The days of the query's range that hold anything which it may see."""
    fresh = query.state != "final"
    found = (truth.day(site, query.search_type, date, today, fresh=fresh) for date in usable_dates(query, today))
    return [day for day in found if day is not None and day.rows]


class Answers:
    """Makes answers out of the truth. What takes long is computed in a thread, while others are answered."""

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._shuffles = count()
        self._threads = ThreadPoolExecutor(1, "answers")
        self._sorted_rows = lru_cache(maxsize=4)(self._compute)

    async def reply(self, site: SiteSpec, query: Query, today: dt.date, *, pretty: bool) -> Reply:
        """The answer, without its latency."""
        config = self._truth.config
        style = Style(pretty, config.decimal, query.search_type not in PAGES_ONLY)
        if query.start_row and config.overlap_rows:
            query = replace(query, start_row=max(0, query.start_row - config.overlap_rows))
        if is_canonical(query) and not config.reshuffle_ties:
            rows, pieces = self._ready_made(site, query, today, style)
        elif is_quick(query) and not config.reshuffle_ties:
            rows, pieces = self._computed(site, query, today, style)
        else:
            loop = asyncio.get_running_loop()
            rows, pieces = await loop.run_in_executor(self._threads, self._computed, site, query, today, style)
        return self._around(query, today, style, pieces, rows)

    def nothing(self, query: Query, today: dt.date, *, pretty: bool) -> Reply:
        """The answer as if there were no rows."""
        return self._around(query, today, Style(pretty), [], 0)

    def _around(self, query: Query, today: dt.date, style: Style, pieces: list[Piece], rows: int) -> Reply:
        """The rows between what stands before and after them."""
        aggregation = "byPage" if query.by_page else "byProperty"
        head, tail = envelope(aggregation, self._metadata(query, today), bool(pieces), style)
        return Reply(200, [_stored(head.encode()), *pieces, _stored(tail.encode())], kind="rows", rows=rows)

    def _metadata(self, query: Query, today: dt.date) -> tuple[str, str] | None:
        """From when on data is not complete, where the documents say that it is told."""
        first = self._truth.newest_final(today) + dt.timedelta(days=1)
        if query.last < first:
            return None
        camel = self._truth.config.metadata == "camel"
        if query.state == "all" and "date" in query.dimensions:
            return "firstIncompleteDate" if camel else "first_incomplete_date", f"{first}"
        if query.state == "hourlyAll" and "hour" in query.dimensions:
            return "firstIncompleteHour" if camel else "first_incomplete_hour", hours_of(first)[0]
        return None

    def _ready_made(self, site: SiteSpec, query: Query, today: dt.date, style: Style) -> tuple[int, list[Piece]]:
        pieces: list[Piece] = []
        between = _stored(separator(style).encode())
        rows = 0
        for day in days_of(self._truth, site, query, today):
            last = min(query.start_row + query.row_limit, self._truth.config.cap)
            for chunk, start, stop in day.parts(query.start_row, last):
                if pieces:
                    pieces.append(between)
                whole = stop - start == len(chunk)
                pieces.append(chunk.piece(style) if whole else part_piece(chunk, start, stop, style))
                rows += stop - start
        return rows, pieces

    def _computed(self, site: SiteSpec, query: Query, today: dt.date, style: Style) -> tuple[int, list[Piece]]:
        rows = self._sorted_rows(site, replace(query, start_row=0, row_limit=ROW_LIMIT), today, self._truth.version)
        if self._truth.config.reshuffle_ties:
            rows = self._reshuffled(rows, query)
        part = rows[query.start_row : query.start_row + query.row_limit]
        return len(part), [compress_once(rows_text(part, style).encode())] if part else []

    def _compute(self, site: SiteSpec, query: Query, today: dt.date, version: int) -> list[Figures]:  # noqa: ARG002
        return self.rows(site, query, today)

    def rows(self, site: SiteSpec, query: Query, today: dt.date, *, cap: int | None = None) -> list[Figures]:
        """All rows that paging can reach, sorted; ``cap`` is in place of the one that is set."""
        config = self._truth.config
        days = days_of(self._truth, site, query, today)
        return all_rows(days, query, today, cap=config.cap if cap is None else cap, sort_by_date=config.sort_by_date)

    def _reshuffled(self, rows: list[Figures], query: Query) -> list[Figures]:
        rng = random.Random(f"{self._truth.config.seed} {next(self._shuffles)}")
        if self._truth.config.sort_by_date and "date" in query.dimensions:
            place = query.dimensions.index("date")
            return sorted(rows, key=lambda row: (row.keys[place], -row.clicks, rng.random()))
        return sorted(rows, key=lambda row: (-row.clicks, rng.random()))
