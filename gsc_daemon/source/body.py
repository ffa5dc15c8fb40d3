"""Step 5, fetch, bodies: kept gzipped until the sink asks, checked to be whole, their rows counted.

A body is decoded twice: once when it arrives, to know that it is whole and how many rows it has (nothing of that is
kept), and once when it is published. A full one takes about a megabyte until then instead of twenty.
"""

from __future__ import annotations

import json
import mmap
import tempfile
import threading
import zlib
from typing import IO, Final, TypeVar

import msgspec

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Query, Row

T = TypeVar("T")

SPILL_BYTES: Final = 4 * 1024 * 1024  # compressed; what is larger lies in an unlinked file
MOST_BYTES: Final = 512 * 1024 * 1024  # decoded; 25,000 rows of the longest URLs have about 200 MB
_GZIP: Final = 16 + zlib.MAX_WBITS
_GZIP_MAGIC: Final = b"\x1f\x8b"


class NotWhole(ValueError):
    """The body is no complete answer with rows: cut, altered, or something else altogether."""


class _Anything(msgspec.Struct, gc=False):
    """An object whose members nobody looks at."""


class _Counted(msgspec.Struct):
    rows: list[_Anything] = []
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class _Decoded(msgspec.Struct):
    rows: list[Row] = []


_count_decoder: Final = msgspec.json.Decoder(_Counted)
_row_decoder: Final = msgspec.json.Decoder(_Decoded)
_decoding: Final = threading.Lock()  # one body at a time is inflated in a process


class Store:
    """Takes a gzipped body piece by piece, in memory until it is large.

    Args:
        gzipped: whether the pieces are; they are compressed here if not.
    """

    def __init__(self, *, gzipped: bool) -> None:
        self._deflate = None if gzipped else zlib.compressobj(1, zlib.DEFLATED, _GZIP)
        self._memory = bytearray()
        self._file: IO[bytes] | None = None
        self._size = 0

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        """What was not finished is given up."""
        if self._file is not None:
            self._file.close()

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises OSError when the folder of temporary files is full, `NotWhole` when there is no end."""
        self._add(piece if self._deflate is None else self._deflate.compress(piece))

    def finish(self, query: Query) -> GzipBody:
        """The whole body, the answer to this query; the store is not to be used any more."""
        if self._deflate is not None:
            self._add(self._deflate.flush())
        if self._file is None:
            return GzipBody(bytes(self._memory), query)
        self._file.flush()
        file, self._file = self._file, None
        return GzipBody(file, query)

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_BYTES:
            raise NotWhole("more than it may be")
        if self._file is not None:
            self._file.write(data)
            return
        self._memory += data
        if len(self._memory) > SPILL_BYTES:
            self._file = tempfile.TemporaryFile(prefix="gscd-")  # noqa: SIM115 - closed with the body
            self._file.write(self._memory)
            self._memory.clear()


class GzipBody:
    """The body of one response, as it came. Implements `ports.Body`.

    Args:
        query: what it answers; errors name its site and date.
    """

    def __init__(self, kept: bytes | IO[bytes], query: Query) -> None:
        self._kept: bytes | IO[bytes] | None = kept
        self._query = query

    @property
    def spilled(self) -> bool:
        """Whether it lies in a file."""
        return not isinstance(self._kept, bytes | None)

    def rows(self) -> list[Row]:
        """Decode now; nothing decoded is kept. Raises `SourceError` for rows that are none of the API's."""
        try:
            with _decoding:
                return _decode(self.inflate())
        except NotWhole as error:
            raise unreadable(self._query, error) from error

    def count(self) -> int:
        """Check that it is a whole answer, and give its number of rows.

        Raises `NotWhole`; `Refused` if Google says in it that it refuses after all.
        """
        with _decoding:
            return _count(self.inflate())

    def inflate(self) -> bytes:
        """The JSON. Raises `NotWhole` if the gzip stream is cut or altered."""
        if self._kept is None:
            raise ValueError("the body is closed")
        if isinstance(self._kept, bytes):
            return gunzip(self._kept)
        with mmap.mmap(self._kept.fileno(), 0, access=mmap.ACCESS_READ) as view:
            return gunzip(view)

    def close(self) -> None:
        """Free it; a second time does nothing."""
        if self._kept is not None and not isinstance(self._kept, bytes):
            self._kept.close()
        self._kept = None


def unreadable(query: Query, error: NotWhole) -> SourceError:
    """The answer cannot be used; it may well be whole the next time."""
    return SourceError(
        Refusal.TRANSIENT, f"the answer cannot be used: {error}", status=200, site=query.site, date=query.date
    )


class Refused(Exception):
    """An answer with status 200 that holds an error.

    Args:
        body: Google's error body.
    """

    def __init__(self, body: bytes) -> None:
        super().__init__("the answer holds an error")
        self.body = body


def gunzip(data: bytes | mmap.mmap) -> bytes:
    """Inflate one or more gzip members, each checked by its CRC and length. Raises `NotWhole`."""
    parts, rest, room = [], memoryview(data), MOST_BYTES
    try:
        while True:
            engine = zlib.decompressobj(_GZIP)
            parts.append(engine.decompress(rest, room))
            if not engine.eof:
                raise NotWhole("more than it may be" if engine.unconsumed_tail else "it is cut off")
            room -= len(parts[-1])
            if not engine.unused_data:
                return parts[0] if len(parts) == 1 else b"".join(parts)
            if room <= 0 or not engine.unused_data.startswith(_GZIP_MAGIC):
                raise NotWhole("something follows its end")
            rest = rest[len(rest) - len(engine.unused_data) :]
    except zlib.error as error:
        raise NotWhole("it is no gzip, or was altered on its way") from error
    finally:
        rest.release()


def _count(text: bytes) -> int:
    try:
        counted = _count_decoder.decode(text)
    except msgspec.ValidationError as error:
        raise NotWhole("it is no answer with rows") from error
    except msgspec.DecodeError:
        counted = _convert(text, _Counted)
    if counted.error is not msgspec.UNSET:
        raise Refused(text)
    return len(counted.rows)


def _decode(text: bytes) -> list[Row]:
    try:
        return _row_decoder.decode(text).rows
    except msgspec.ValidationError as error:
        raise NotWhole("its rows are not those of the API") from error
    except msgspec.DecodeError:
        return _convert(text, _Decoded).rows


def _convert(text: bytes, shape: type[T]) -> T:
    """JSON with halves of surrogate pairs in it, which msgspec refuses; what can be done about them, the sink decides.

    Raises `NotWhole` for what is no JSON at all, or no answer.
    """
    try:
        return msgspec.convert(json.loads(text, parse_constant=_no_constant), shape)
    except msgspec.ValidationError as error:
        raise NotWhole("it is no answer with rows") from error
    except (ValueError, RecursionError) as error:
        raise NotWhole("it is no JSON") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
