"""Emulator, answers: the rows of a valid query, by way of ready-made chunks or computed exactly."""

from __future__ import annotations

import datetime as dt
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from operator import itemgetter
from typing import Final

from gsc_daemon.clock import pacific
from gsc_daemon.emulator.pool import Chunk, Slot
from gsc_daemon.emulator.render import Figures
from gsc_daemon.emulator.request import CANONICAL, PAGES_ONLY, Filter, Query
from gsc_daemon.emulator.truth import HOURLY_DAYS, Day

APPEARANCES: Final = ("TRANSLATED_RESULT", "VIDEO", "PRODUCT_SNIPPETS", "REVIEW_SNIPPET")  # of one row in four
Sums = Mapping[tuple[str, ...], tuple[int, int, int]]
_KEPT_DIMENSIONS: Final = frozenset({"country", "device", "searchAppearance"})  # so few values that sums are kept
_APPEARANCE_SHARE: Final = 16


def hours_of(date: dt.date) -> list[str]:
    """The hours of a Pacific date as the API spells them: 23, 24 or 25."""
    start = dt.datetime.combine(date, dt.time(), pacific()).timestamp()
    end = dt.datetime.combine(date + dt.timedelta(days=1), dt.time(), pacific()).timestamp()
    count = round((end - start) / 3600)
    return [dt.datetime.fromtimestamp(start + 3600 * n, pacific()).isoformat(timespec="seconds") for n in range(count)]


def appearance(mark: int) -> str:
    """The search appearance of a key, or ""."""
    number = mark % _APPEARANCE_SHARE
    return APPEARANCES[number] if number < len(APPEARANCES) else ""


def by_property(clicks: int, impressions: int, position_sum: int) -> tuple[int, int, int]:
    """A row's figures counted once for the property: two of its URLs in one result are one impression there."""
    once = impressions - (impressions - clicks) // 8
    return clicks, once, position_sum * once // impressions


def _test(item: Filter) -> Callable[[str], bool]:
    """What a value must pass. Equality minds case for queries and URLs only, containment never."""
    wanted, operator = item.expression, item.operator
    if operator.endswith("Regex"):
        pattern = re.compile(wanted)
        return lambda value: bool(pattern.search(value)) == (operator == "includingRegex")
    if operator in ("contains", "notContains"):
        part = wanted.lower()
        return lambda value: (part in value.lower()) == (operator == "contains")
    if item.dimension not in ("query", "page"):
        folded = wanted.lower()
        return lambda value: (value.lower() == folded) == (operator == "equals")
    return lambda value: (value == wanted) == (operator == "equals")


def _value(dimension: str, hours: list[str]) -> Callable[[Slot, int], str]:
    if dimension == "hour":
        return lambda slot, number: hours[(slot.marks[number] >> 8 & 0xFF) * len(hours) >> 8]
    if dimension == "searchAppearance":
        return lambda slot, number: appearance(slot.marks[number])
    position = CANONICAL.index(dimension)
    return lambda slot, number: slot.keys[number][position]


def _keys(dimensions: tuple[str, ...], hours: list[str]) -> Callable[[Slot, int], tuple[str, ...]]:
    """Makes a row's key out of its slot and number."""
    if len(dimensions) > 1 and set(dimensions) <= set(CANONICAL):
        pick = itemgetter(*(CANONICAL.index(dimension) for dimension in dimensions))
        return lambda slot, number: pick(slot.keys[number])  # two or more: a tuple
    values = [_value(dimension, hours) for dimension in dimensions]
    return lambda slot, number: tuple([value(slot, number) for value in values])


def _rows(chunk: Chunk, stop: int, with_hidden: bool) -> Iterator[tuple[int, int, int, int]]:
    yield from chunk.rows(0, stop)
    if with_hidden:
        order = chunk.order
        yield from ((order[row], c, i, s) for row, c, i, s in chunk.hidden if row < stop)


def _sum_chunk(chunk: Chunk, stop: int, query: Query, hours: list[str]) -> Sums:
    """Sums by key over the first rows of a chunk."""
    used = {*query.dimensions, *(item.dimension for item in query.filters)}
    tests = [(_value(item.dimension, hours), _test(item)) for item in query.filters]
    make_key = _keys(query.dimensions, hours)
    slot, by_page, appearing = chunk.slot, query.by_page, "searchAppearance" in query.dimensions
    sums: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for number, clicks, impressions, position_sum in _rows(chunk, stop, "query" not in used):
        if tests and not all(test(value(slot, number)) for value, test in tests):
            continue
        key = make_key(slot, number)
        if appearing and not key[0]:
            continue
        if not by_page:
            clicks, impressions, position_sum = by_property(clicks, impressions, position_sum)
        old = sums.get(key)
        if old is not None:
            clicks, impressions, position_sum = clicks + old[0], impressions + old[1], position_sum + old[2]
        sums[key] = (clicks, impressions, position_sum)
    return sums


@lru_cache(maxsize=8192)
def _kept_sums(chunk: Chunk, stop: int, dimensions: tuple[str, ...], by_page: bool) -> Sums:
    any_day = dt.date.min
    return _sum_chunk(chunk, stop, Query(any_day, any_day, dimensions, by_page=by_page), [])


def _chunk_sums(chunk: Chunk, stop: int, query: Query, hours: list[str]) -> Sums:
    if query.filters or not set(query.dimensions) <= _KEPT_DIMENSIONS:
        return _sum_chunk(chunk, stop, query, hours)
    return _kept_sums(chunk, stop, query.dimensions, query.by_page)


def _most_clicked(total: dict[tuple[str, ...], list[int]], keep: int) -> dict[tuple[str, ...], list[int]]:
    return dict(sorted(total.items(), key=lambda item: -item[1][0])[:keep])


def _summed(days: list[Day], query: Query, today: dt.date, *, cap: int, by_date: bool) -> list[Figures]:
    """Rows summed by key, in the order in which keys are met; of many days no more than the cap could let through."""
    total: dict[tuple[str, ...], list[int]] = {}
    timed = bool({"date", "hour"} & set(query.dimensions))
    place = query.dimensions.index("date") if "date" in query.dimensions else -1
    undated = replace(query, dimensions=tuple(name for name in query.dimensions if name != "date"))
    for group in [[day] for day in days] if timed else [days]:
        date = group[0].date if group else today
        hours = hours_of(date) if "hour" in query.dimensions else []
        if date == today:
            hours = hours[: len(hours) // 2]  # the rest of today has not happened yet
        times = Counter((chunk, stop) for day in group for chunk, _, stop in day.parts(0, day.rows))
        for (chunk, stop), count in times.items():
            for key, (clicks, impressions, position_sum) in _chunk_sums(chunk, stop, undated, hours).items():
                figures = total.setdefault(key if place < 0 else (*key[:place], f"{date}", *key[place:]), [0, 0, 0])
                figures[0] += clicks * count
                figures[1] += impressions * count
                figures[2] += position_sum * count
        if timed and len(total) > 4 * cap:
            if by_date:
                break
            total = _most_clicked(total, cap)
    return [Figures(key, *figures) for key, figures in total.items()]


def is_canonical(query: Query) -> bool:
    """Whether the answer is the day's rows as they stand in its chunks."""
    searched = query.search_type not in PAGES_ONLY
    return query.first == query.last and query.dimensions == CANONICAL and not query.filters and searched


def is_quick(query: Query) -> bool:
    """Whether the answer comes from sums that are kept."""
    return not query.filters and set(query.dimensions) <= _KEPT_DIMENSIONS | {"date"}


def usable_dates(query: Query, today: dt.date) -> Iterator[dt.date]:
    """Dates of the range that can have data: hours are kept for ten days only."""
    first = query.first
    if "hour" in query.dimensions:
        first = max(first, today - dt.timedelta(days=HOURLY_DAYS - 1))
    last = min(query.last, today)
    for number in range((last - first).days + 1):
        yield first + dt.timedelta(days=number)


def all_rows(days: list[Day], query: Query, today: dt.date, *, cap: int, sort_by_date: bool) -> list[Figures]:
    """Every row that paging can reach: by clicks descending, equal clicks in a fixed order, cut off at the cap."""
    by_date = sort_by_date and "date" in query.dimensions
    if is_canonical(query):
        rows = [
            Figures(chunk.slot.keys[number], clicks, impressions, position_sum)
            for day in days
            for chunk, start, stop in day.parts(0, day.rows)
            for number, clicks, impressions, position_sum in chunk.rows(start, stop)
        ]
    else:
        rows = _summed(days, query, today, cap=cap, by_date=by_date)
    rows.sort(key=lambda row: -row.clicks)
    if by_date:
        position = query.dimensions.index("date")
        rows.sort(key=lambda row: row.keys[position])
    return rows[:cap]
