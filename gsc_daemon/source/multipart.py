"""Step 5, fetch, HTTP multipart batches: many requests in one, and their answers taken apart as they come. Pure.

developers.google.com/webmaster-tools/v1/how-tos/batch: parts of type application/http, each with a Content-ID that the
answer repeats behind ``response-``, in any order.
"""

from __future__ import annotations

import email
import email.message
import enum
import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from gsc_daemon.source.body import NotWhole

MOST_PARTS: Final = 1000  # developers.google.com/webmaster-tools/v1/how-tos/batch
_HEAD_MAX: Final = 64 * 1024
_BLANK: Final = b"\r\n\r\n"


def encode(requests: Sequence[tuple[str, bytes]]) -> tuple[str, bytes]:
    """Content type and body of a batch; the answer to the nth request (path, JSON body) has the index n."""
    boundary = f"batch_{secrets.token_hex(16)}"
    lines: list[bytes] = []
    for index, (path, body) in enumerate(requests):
        head = (
            f"--{boundary}\r\nContent-Type: application/http\r\nContent-ID: <item-{index}>\r\n\r\n"
            f"POST {path} HTTP/1.1\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        lines += [head.encode("ascii"), body, b"\r\n"]
    lines.append(f"--{boundary}--\r\n".encode("ascii"))
    return f"multipart/mixed; boundary={boundary}", b"".join(lines)


@dataclass(frozen=True, slots=True)
class Part:
    """The beginning of one answer.

    Args:
        index: of the request that it answers, or None if it does not say so.
    """

    index: int | None
    status: int
    headers: Mapping[str, str]


class Mark(enum.Enum):
    """What else comes out of a `Splitter`."""

    PART_ENDS = "the part is whole"


class Splitter:
    """Takes a multipart answer in pieces of any size; gives for each part a `Part`, its body, `Mark.PART_ENDS`.

    Bytes and marks before the first `Part` mean nothing. ``complete`` once the last delimiter was there.
    """

    def __init__(self, content_type: str) -> None:
        if not content_type.isascii():
            raise NotWhole("it is no multipart answer")
        message = email.message.Message()
        message["Content-Type"] = content_type
        boundary = message.get_boundary()
        if message.get_content_maintype() != "multipart" or not boundary or not boundary.isascii():
            raise NotWhole("it is no multipart answer")
        self._delimiter = b"\r\n--" + boundary.encode("ascii")
        self._buffer = bytearray(b"\r\n")  # the first delimiter may stand at the very beginning
        self._in_head = False
        self.complete = False

    def feed(self, data: bytes) -> Iterator[Part | bytes | Mark]:
        """What the next piece brings. Raises `NotWhole` for what is no batch answer."""
        self._buffer += data
        while (event := self._next()) is not None:
            yield event

    def _next(self) -> Part | bytes | Mark | None:
        """The next event; None when it takes more data."""
        if self.complete:
            return None
        if self._in_head:
            return self._head()
        at = self._buffer.find(self._delimiter)
        if at == 0:
            return self._delimiter_line()
        count = at if at > 0 else len(self._buffer) - len(self._delimiter) + 1
        return self._take(count) if count > 0 else None

    def _delimiter_line(self) -> Mark | None:
        after = len(self._delimiter)
        if self._buffer[after : after + 2] == b"--":
            self.complete = True
            return Mark.PART_ENDS
        end = self._buffer.find(b"\r\n", after)
        if not self._near(end):
            return None
        self._take(end)
        self._in_head = True
        return Mark.PART_ENDS

    def _near(self, end: int) -> bool:
        """Whether the end of a head is there; False as long as it may come. Raises `NotWhole`."""
        if (len(self._buffer) if end < 0 else end) > _HEAD_MAX:
            raise NotWhole("it is no batch answer")
        return end >= 0

    def _take(self, count: int) -> bytes:
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _head(self) -> Part | None:
        """Both heads of a part, the multipart's and the answer's own; None if they are not there yet."""
        middle = self._buffer.find(_BLANK)
        end = self._buffer.find(_BLANK, middle + len(_BLANK)) if middle >= 0 else -1
        if not self._near(end):
            return None
        outer = email.message_from_bytes(self._take(middle).lstrip())
        self._take(len(_BLANK))
        status_line, _, inner = self._take(end - middle - len(_BLANK)).partition(b"\r\n")
        self._take(len(_BLANK))
        status = re.match(rb"HTTP/\d(?:\.\d)? (\d{3})", status_line)
        if status is None:
            raise NotWhole("it is no batch answer")
        index = re.fullmatch(r"<?response-item-([0-9]{1,4})>?", str(outer["Content-ID"] or "").strip())
        headers = {name: str(value) for name, value in email.message_from_bytes(inner).items()}
        self._in_head = False
        return Part(int(index[1]) if index else None, int(status[1]), headers)
