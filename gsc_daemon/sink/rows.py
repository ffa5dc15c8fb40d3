"""Step 6, the sink: the API's rows, packed for COPY: each key once, figures as they are stored."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import ROWS_PER_DAY, Row
from gsc_daemon.sink.digest import key_hash, storable

Packed = tuple[Any, ...]  # key, one text for each dimension, clicks, impressions, ctr, position


@dataclass(slots=True)
class PackedDay:
    """All rows of a day, one sitting.

    Args:
        rows: by key hash. doubles: rows dropped, since their key was there already. replaced: characters made U+FFFD.
        served: rows that the API gave, doubles included.
    """

    rows: dict[bytes, Packed]
    doubles: int = 0
    replaced: int = 0
    served: int = 0
    clicks: int = 0
    impressions: int = 0

    @property
    def truncated(self) -> bool:
        return self.served >= ROWS_PER_DAY

    def sorted(self) -> Iterator[Packed]:
        """In the order of the primary key, so that its index is filled from one end and writes half as much."""
        return map(self.rows.__getitem__, sorted(self.rows))


def pack(responses: Iterable[Sequence[Row]], width: int) -> PackedDay:
    """Take the responses one at a time; nothing of a response is kept but the texts of its rows.

    Clicks and impressions are doubles in the API and whole numbers in fact; any other is rounded.
    Raises `SourceError` for a row that does not have ``width`` keys.
    """
    day = PackedDay({})
    with _no_collector():
        for response in responses:
            day.served += len(response)
            try:
                _pack_response(day, response, width)
            except (OverflowError, ValueError) as error:
                raise SourceError(Refusal.TRANSIENT, f"a row's clicks or impressions are no number: {error}") from error
            del response  # before the next one is decoded
    return day


@contextlib.contextmanager
def _no_collector() -> Iterator[None]:
    """Decoded rows hold no cycles, and looking for some takes as long again as decoding them."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _pack_response(day: PackedDay, response: Sequence[Row], width: int) -> None:
    rows = day.rows
    clicks = impressions = 0
    for row in response:
        keys = row.keys
        if len(keys) != width:
            raise SourceError(Refusal.TRANSIENT, f"a row has {len(keys)} keys, not {width}")
        try:
            key = key_hash(keys)
            possible = "\0" not in "".join(keys)
        except UnicodeEncodeError:
            possible = False
        if not possible:
            keys = _replace(day, keys)
            key = key_hash(keys)
        if key in rows:
            continue
        row_clicks, row_impressions = round(row.clicks), round(row.impressions)
        clicks += row_clicks
        impressions += row_impressions
        rows[key] = (key, *keys, row_clicks, row_impressions, row.ctr, row.position)
    day.clicks += clicks
    day.impressions += impressions
    day.doubles = day.served - len(rows)


def _replace(day: PackedDay, keys: Sequence[str]) -> list[str]:
    stored = [storable(value) for value in keys]
    day.replaced += sum(
        was != now for before, after in zip(keys, stored, strict=True) for was, now in zip(before, after, strict=True)
    )
    return stored
