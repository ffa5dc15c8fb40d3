"""Emulator, HTTP/1.1: connections, framing, compression, and the ways in which an answer is spoilt on its way."""

from __future__ import annotations

import asyncio
import socket
import struct
import sys
import time
import traceback
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

from gsc_daemon.emulator.api import Api
from gsc_daemon.emulator.batch import answer
from gsc_daemon.emulator.call import Call
from gsc_daemon.emulator.control import PREFIX, control
from gsc_daemon.emulator.deflate import gzip, inflate
from gsc_daemon.emulator.replies import ApiError, Reply, html_error

_MOST_HEADER: Final = 65_536
_CHUNK: Final = 65_536
_TRICKLES: Final = 20  # steps of a trickled body


class BadRequest(Exception):
    """What came is not HTTP."""


def _parse(buffer: bytearray) -> tuple[Call, int] | None:
    """The first request in the buffer and its length, or None until it is all there. Raises `BadRequest`."""
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > _MOST_HEADER:
            raise BadRequest
        return None
    first, *lines = bytes(buffer[:end]).decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise BadRequest
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    headers[":version"] = words[2]
    length = headers.get("content-length", "0")
    if not length.isdigit() or "transfer-encoding" in headers:
        raise BadRequest
    stop = end + 4 + int(length)
    if len(buffer) < stop:
        return None
    return Call(words[0], words[1], headers, bytes(buffer[end + 4 : stop]), time.monotonic()), stop


class Connection(asyncio.Protocol):
    """One client's connection; its requests are answered one after the other."""

    def __init__(self, api: Api) -> None:
        self._api = api
        self._buffer = bytearray()
        self._task: asyncio.Task[None] | None = None
        self._idle: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._api.stats.connections += 1
        self._api.stats.all_connections += 1

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - asyncio's signature
        """It has left; an answer that it waits for is not given."""
        self._api.stats.connections -= 1
        if self._task is not None:
            self._task.cancel()
        if self._idle is not None:
            self._idle.cancel()

    def data_received(self, data: bytes) -> None:
        """Bytes of a request."""
        self._buffer += data
        if self._task is None:
            self._next()

    def _next(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
        try:
            found = _parse(self._buffer)
        except BadRequest:
            self._write(None, html_error(400, "Bad Request"))
            self._transport.close()
            return
        loop = asyncio.get_running_loop()
        if found is not None:
            call, length = found
            del self._buffer[:length]
            self._task = loop.create_task(self._serve(call))
        elif self._api.config.keep_alive_s is not None:
            self._idle = loop.call_later(self._api.config.keep_alive_s, self._transport.close)

    async def _serve(self, call: Call) -> None:
        inside = call.path.startswith(PREFIX)
        if not inside:
            self._api.stats.began()
        try:
            reply = await self._answer(call, inside)
            if reply.wait:
                await asyncio.sleep(reply.wait)
            await self._send(call, reply)
        finally:
            if not inside:
                self._api.stats.ended()
        self._task = None
        if call.headers.get("connection", "").lower() == "close" or call.headers[":version"] == "HTTP/1.0":
            self._transport.close()
        elif not self._transport.is_closing():
            self._next()

    async def _answer(self, call: Call, inside: bool) -> Reply:
        try:
            return await (control(self._api, call) if inside else answer(self._api, call))
        except ApiError as error:
            return error.reply()
        except Exception:  # noqa: BLE001 - a fault of the emulator is told to whoever runs it, and to the client
            traceback.print_exc(file=sys.stderr)
            return html_error(500, "The emulator itself failed; its log says how")

    async def _send(self, call: Call, reply: Reply) -> None:
        if reply.manner == "hang":
            await asyncio.sleep(reply.seconds)
        if reply.manner in ("hang", "reset"):
            self._reset()
            return
        head, body = self._message(call, reply)
        if reply.manner == "cut":
            self._transport.write(head + body[: len(body) // 2])
            self._transport.close()
            return
        if reply.manner == "trickle":
            await self._trickle(head + body, reply.seconds)
        else:
            self._transport.write(head + body if len(body) < _CHUNK else b"".join((head, body)))
        if not self._transport.is_closing():
            self._api.stats.served(reply.fetches)

    def _write(self, call: Call | None, reply: Reply) -> None:
        self._transport.write(b"".join(self._message(call, reply)))

    def _message(self, call: Call | None, reply: Reply) -> tuple[bytes, bytes]:
        """Header and framed body."""
        zipped = call is not None and call.takes_gzip
        body = b"".join(gzip(reply.pieces)) if zipped else inflate(reply.pieces)
        if reply.manner == "truncate":
            body = body[: len(body) // 2]
        lines = [
            f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}",
            f"Content-Type: {reply.content_type}",
            f"Date: {formatdate(usegmt=True)}",
            "Server: ESF",
            "Vary: Origin, X-Origin, Referer",
            *(f"{name}: {value}" for name, value in reply.headers.items()),
            *(("Content-Encoding: gzip",) if zipped else ()),
        ]
        if self._api.config.chunked and call is not None and call.headers[":version"] == "HTTP/1.1":
            lines.append("Transfer-Encoding: chunked")
            parts = (body[start : start + _CHUNK] for start in range(0, len(body), _CHUNK))
            body = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
        else:
            lines.append(f"Content-Length: {len(body)}")
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"), body

    async def _trickle(self, message: bytes, seconds: float) -> None:
        step = max(1, len(message) // _TRICKLES)
        for start in range(0, len(message), step):
            self._transport.write(message[start : start + step])
            await asyncio.sleep(seconds / _TRICKLES)

    def _reset(self) -> None:
        """Close with a reset instead of an end."""
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()
