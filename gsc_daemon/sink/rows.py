"""Step 6, the sink: the API's rows as COPY's binary format has them, each key once.

What a key is hashed from, the values with their lengths before them, is just what COPY wants of them, so a row is put
together once and nothing else is kept of it: postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import contextlib
import gc
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import ROWS_PER_DAY, Row
from gsc_daemon.sink.digest import hash_of, length_prefixed, storable

# A field is its length and its bytes: two bigints, then two double precisions, the last of which may be null (-1).
_FIGURES: Final = struct.Struct(">iqiqidid").pack
_WITHOUT_POSITION: Final = struct.Struct(">iqiqidi").pack
_KEY_LENGTH: Final = struct.pack(">i", 16)
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = struct.pack(">h", -1)
_CHUNK: Final = 2_000  # rows a piece


@dataclass(slots=True)
class PackedDay:
    """All rows of a day, one sitting.

    Args:
        rows: key hash → the fields key, dimensions, clicks, impressions, ctr, position.
        doubles: rows dropped, since their key was there already. replaced: characters made U+FFFD.
        served: rows that the API gave, doubles included.
    """

    rows: dict[bytes, bytes]
    doubles: int = 0
    replaced: int = 0
    served: int = 0
    clicks: int = 0
    impressions: int = 0

    @property
    def truncated(self) -> bool:
        return self.served >= ROWS_PER_DAY

    def copy_data(self, width: int, constants: bytes = b"", constant_fields: int = 0) -> Iterator[bytes]:
        """What COPY reads, in pieces, by key, so that the index is filled from one end and writes half as much.

        Args:
            width: number of dimensions. constants: fields that end every row, ``constant_fields`` in number.
        """
        count = struct.pack(">h", 1 + width + 4 + constant_fields)
        between = constants + count
        keys = sorted(self.rows)
        yield _SIGNATURE
        for start in range(0, len(keys), _CHUNK):
            rows = map(self.rows.__getitem__, keys[start : start + _CHUNK])
            yield count + between.join(rows) + constants
        yield _END


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
            except (OverflowError, ValueError, struct.error) as error:
                raise SourceError(
                    Refusal.TRANSIENT, f"a row's clicks or impressions are no number that can be kept: {error}"
                ) from error
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
        values = _values(day, keys)
        key = hash_of(values)
        if key in rows:
            continue
        row_clicks, row_impressions = round(row.clicks), round(row.impressions)
        clicks += row_clicks
        impressions += row_impressions
        if row.position is None:
            figures = _WITHOUT_POSITION(8, row_clicks, 8, row_impressions, 8, row.ctr, -1)
        else:
            figures = _FIGURES(8, row_clicks, 8, row_impressions, 8, row.ctr, 8, row.position)
        rows[key] = b"%b%b%b%b" % (_KEY_LENGTH, key, values, figures)
    day.clicks += clicks
    day.impressions += impressions
    day.doubles = day.served - len(rows)


def _values(day: PackedDay, keys: Sequence[str]) -> bytes:
    try:
        if "\0" not in "".join(keys):
            return length_prefixed(keys)
    except UnicodeEncodeError:  # half of a surrogate pair
        pass
    return length_prefixed(_replace(day, keys))


def _replace(day: PackedDay, keys: Sequence[str]) -> list[str]:
    stored = [storable(value) for value in keys]
    day.replaced += sum(
        was != now for before, after in zip(keys, stored, strict=True) for was, now in zip(before, after, strict=True)
    )
    return stored
