"""Step 5, fetch, bodies: kept gzipped until the sink asks, checked to be whole, their rows counted.

A body is decoded twice: once when it arrives, to know that it is whole and how many rows it has (nothing of that is
kept), and once when it is published. A full one takes about a megabyte until then instead of twenty.
"""

from __future__ import annotations

import contextlib
import json
import mmap
import re
import tempfile
import threading
import zlib
from collections.abc import Iterable, Iterator
from typing import IO, Final

import msgspec

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Query, Row

SPILL_BYTES: Final = 4 * 1024 * 1024  # compressed; what is larger lies in an unlinked file
PIECE: Final = 32 * 1024
MOST_BYTES: Final = 256 * 1024 * 1024  # decoded; 25,000 rows of the longest URLs have about 200 MB
# Brackets, braces and commas, which bound how many objects a decoder makes. A row has ten; 25,000 with sixty more in
# their texts each are below it.
MOST_MARKS: Final = 2_000_000
AT_ONCE: Final = 1024 * 1024  # inflated; a kilobyte may hold a megabyte
_MARKS: Final = (b"{", b"[", b",")
# JSON's escapes of halves of surrogate pairs, and UTF-8 made of them; both are in some answers of the API.
_HALVES: Final = re.compile(rb"(?<!\\)((?:\\\\)*)\\u[dD][89a-fA-F][0-9a-fA-F]{2}|\xed[\xa0-\xbf][\x80-\xbf]")
MOST_WITH_HALVES: Final = 64 * 1024 * 1024  # only Python's own decoder takes them, and it takes several times as much
_ERROR_MAX: Final = 1024 * 1024  # of an answer that holds an error; what is cut is no error of Google's
_GZIP: Final = 16 + zlib.MAX_WBITS


# What msgspec says of bytes that are no JSON; the second: text that is no UTF-8, the last: too deep.
UNREADABLE: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
TOO_MUCH: Final = "it is more than an answer may be"


class NotWhole(ValueError):
    """The body is no complete answer with rows: cut, altered, or something else altogether."""


class _Anything(msgspec.Struct, gc=False):
    """An object whose members nobody looks at."""


class _Counted(msgspec.Struct):
    rows: list[_Anything] = []
    error: msgspec.Raw = msgspec.Raw(b"null")


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
        self._size = self._came = 0

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        """What was not finished is given up."""
        if self._file is not None:
            self._file.close()

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises OSError when the folder of temporary files is full, `NotWhole` when there is no end."""
        self._came += len(piece)
        if self._came > MOST_BYTES:
            raise NotWhole(TOO_MUCH)
        self._add(piece if self._deflate is None else self._deflate.compress(piece))

    def finish(self, query: Query) -> GzipBody:
        """The whole body, the answer to this query; the store is not to be used any more."""
        if self._deflate is not None:
            self._add(self._deflate.flush())
            self._deflate = None  # a quarter of a megabyte
        if self._file is None:
            return GzipBody(self._memory, query)
        self._file.flush()
        file, self._file = self._file, None
        return GzipBody(file, query)

    def _add(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > MOST_BYTES:
            raise NotWhole(TOO_MUCH)
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

    def __init__(self, kept: bytearray | IO[bytes], query: Query) -> None:
        self._kept: bytearray | IO[bytes] | None = kept
        self._query = query
        self._bounded = False  # seen not to make a decoder take too much

    @property
    def spilled(self) -> bool:
        """Whether it lies in a file."""
        return not isinstance(self._kept, bytearray | None)

    def rows(self) -> list[Row]:
        """Decode now; nothing decoded is kept. Raises `SourceError` for rows that are none of the API's."""
        try:
            with self._text() as text:
                return _decode(text)
        except NotWhole as error:
            raise unreadable(self._query, error) from error

    def count(self) -> int:
        """Check that it is a whole answer, and give its number of rows.

        Raises `NotWhole`; `Refused` if Google says in it that it refuses after all.
        """
        with self._text() as text:
            rows = _count(text)
        self._bounded = True
        return rows

    def read(self) -> bytes:
        """All of a small body. Raises `NotWhole`."""
        with self._text() as text:
            return bytes(text)

    def close(self) -> None:
        """Free it; a second time does nothing."""
        if self._kept is not None and not isinstance(self._kept, bytearray):
            self._kept.close()
        self._kept = None

    @contextlib.contextmanager
    def _text(self) -> Iterator[memoryview]:
        """The inflated JSON, one body at a time in a process. Raises `NotWhole`."""
        if self._kept is None:
            raise ValueError("the body is closed")
        with contextlib.ExitStack() as stack:
            stack.enter_context(_decoding)
            data: bytearray | mmap.mmap
            if isinstance(self._kept, bytearray):
                data = self._kept
            else:
                data = stack.enter_context(mmap.mmap(self._kept.fileno(), 0, access=mmap.ACCESS_READ))
            room = stack.enter_context(_Room(int.from_bytes(data[-4:], "little")))  # RFC 1952: ISIZE ends a member
            marks = 0
            for piece in inflate(data[at : at + PIECE] for at in range(0, len(data), PIECE)):
                marks += 0 if self._bounded else sum(map(piece.count, _MARKS))
                if marks > MOST_MARKS:
                    raise NotWhole(TOO_MUCH)
                room.write(piece)
            yield stack.enter_context(room.view())


class _Room:
    """Memory that goes back to the system at once; malloc would keep some megabytes of it for every thread.

    Args:
        size: bytes that it will probably take.
    """

    def __init__(self, size: int) -> None:
        self._pages = _pages(min(size, MOST_BYTES))
        self._used = 0

    def __enter__(self) -> _Room:
        return self

    def __exit__(self, *_: object) -> None:
        self._pages.close()

    def write(self, piece: bytes) -> None:
        """Add a piece. Raises `NotWhole` when it becomes too much."""
        end = self._used + len(piece)
        if end > MOST_BYTES:
            raise NotWhole(TOO_MUCH)
        if end > len(self._pages):
            larger = _pages(2 * end)
            larger[: self._used] = self._pages[: self._used]
            self._pages.close()
            self._pages = larger
        self._pages[self._used : end] = piece
        self._used = end

    def view(self) -> memoryview:
        """What was written; to be released before the room is left."""
        return memoryview(self._pages)[: self._used]


def _pages(size: int) -> mmap.mmap:
    return mmap.mmap(-1, max(size, mmap.PAGESIZE), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)


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


def inflate(pieces: Iterable[bytes | bytearray]) -> Iterator[bytes]:
    """Inflate gzip members, each checked by its CRC and length, into pieces of at most a megabyte.

    Raises `NotWhole`, at the latest at the end.
    """
    engine = zlib.decompressobj(_GZIP)
    try:
        for piece in pieces:
            rest: bytes | bytearray = piece
            while rest:
                if engine.eof:
                    engine = zlib.decompressobj(_GZIP)
                yield engine.decompress(rest, AT_ONCE)
                rest = engine.unused_data if engine.eof else engine.unconsumed_tail
        if not engine.eof:
            yield engine.flush()  # what was held back by the megabyte; some hundred bytes at most
    except zlib.error as error:
        raise NotWhole("it is no gzip, or was altered on its way") from error
    if not engine.eof:
        raise NotWhole("it is cut off")


def _count(text: memoryview) -> int:
    try:
        return _counted(text, text)
    except msgspec.ValidationError as error:
        raise NotWhole("it is no answer with rows") from error
    except UNREADABLE as error:
        if _HALVES.search(text) is None:
            raise NotWhole("it is no JSON") from error
    return _count_mended(text)


def _count_mended(text: memoryview) -> int:
    """Of an answer with halves of surrogate pairs: how many rows there are does not depend on them."""
    if len(text) > MOST_WITH_HALVES:
        raise NotWhole(TOO_MUCH)
    try:
        return _counted(_HALVES.sub(rb"\1?", bytes(text)), text)
    except msgspec.ValidationError as error:
        raise NotWhole("it is no answer with rows") from error
    except UNREADABLE as error:
        raise NotWhole("it is no JSON") from error


def _counted(text: memoryview | bytes, whole: memoryview) -> int:
    counted = _count_decoder.decode(text)
    rows, fault = len(counted.rows), bytes(counted.error)
    del counted  # it holds on to the text
    if fault != b"null":
        raise Refused(bytes(whole[:_ERROR_MAX]))
    return rows


def _decode(text: memoryview) -> list[Row]:
    try:
        return _row_decoder.decode(text).rows
    except msgspec.ValidationError as error:
        raise NotWhole("its rows are not those of the API") from error
    except UNREADABLE:
        return _convert(text)


def _convert(text: memoryview) -> list[Row]:
    """JSON with halves of surrogate pairs in it, which msgspec refuses; what can be done about them, the sink decides.

    Raises `NotWhole` for what is no JSON at all, or no answer.
    """
    if len(text) > MOST_WITH_HALVES:
        raise NotWhole(TOO_MUCH)
    try:
        return msgspec.convert(json.loads(bytes(text), parse_constant=_no_constant), _Decoded).rows
    except msgspec.ValidationError as error:
        raise NotWhole("its rows are not those of the API") from error
    except (ValueError, RecursionError) as error:
        raise NotWhole("it is no JSON") from error


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
