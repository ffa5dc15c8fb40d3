"""Step 6, the sink: the API's rows as COPY's binary format has them, each key once.

What a key is hashed from, the values with their lengths before them, is just what COPY wants of them, so a row is put
together once and nothing else is kept of it: postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

from __future__ import annotations

import contextlib
import gc
import operator
import struct
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, compress, repeat
from typing import Final

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import ROWS_PER_DAY, Row
from gsc_daemon.sink.digest import all_length_prefixed, hashes_of, storable

# A field is its length and its bytes: two bigints, then two double precisions, the last of which may be null (-1).
_FIGURES: Final = struct.Struct(">iqiqidid").pack
_WITHOUT_POSITION: Final = struct.Struct(">iqiqidi").pack
_KEY_LENGTH: Final = struct.pack(">i", 16)
_SIGNATURE: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
_END: Final = struct.pack(">h", -1)
_CHUNK: Final = 2_000  # rows a piece
_SLICE: Final = 1_000  # rows packed together


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
    for start in range(0, len(response), _SLICE):
        _pack_slice(day, response[start : start + _SLICE], width)
    day.doubles = day.served - len(day.rows)


def _pack_slice(day: PackedDay, response: Sequence[Row], width: int) -> None:
    """Column by column, since a loop over the rows in Python takes a third longer."""
    keys = [row.keys for row in response]
    for length in set(map(len, keys)) - {width}:
        raise SourceError(Refusal.TRANSIENT, f"a row has {length} keys, not {width}")
    values = _values(day, keys) if width else [b""] * len(keys)
    hashes = hashes_of(values)
    clicks = [round(row.clicks) for row in response]
    impressions = [round(row.impressions) for row in response]
    figures = _figures(response, clicks, impressions)
    packed = list(map(b"".join, zip(repeat(_KEY_LENGTH), hashes, values, figures, strict=False)))
    # The first of a key stays; each of these is an object of its own, so that identity tells whether it did.
    kept = list(map(operator.is_, map(day.rows.setdefault, hashes, packed), packed))
    day.clicks += sum(compress(clicks, kept))
    day.impressions += sum(compress(impressions, kept))


def _figures(response: Sequence[Row], clicks: Iterable[int], impressions: Iterable[int]) -> Iterable[bytes]:
    eight = repeat(8)
    ctrs = [row.ctr for row in response]
    positions = [row.position for row in response]
    if None not in positions:
        return map(_FIGURES, eight, clicks, eight, impressions, eight, ctrs, eight, positions)
    return [
        _WITHOUT_POSITION(8, *one, 8, ctr, -1) if position is None else _FIGURES(8, *one, 8, ctr, 8, position)
        for one, ctr, position in zip(zip(clicks, eight, impressions, strict=False), ctrs, positions, strict=True)
    ]


def _values(day: PackedDay, keys: Sequence[Sequence[str]]) -> list[bytes]:
    try:
        if "\0" not in "".join(chain.from_iterable(keys)):
            return all_length_prefixed(keys)
    except UnicodeEncodeError:  # half of a surrogate pair
        pass
    return all_length_prefixed([_replace(day, values) for values in keys])


def _replace(day: PackedDay, keys: Sequence[str]) -> list[str]:
    stored = [storable(value) for value in keys]
    day.replaced += sum(
        was != now for before, after in zip(keys, stored, strict=True) for was, now in zip(before, after, strict=True)
    )
    return stored
