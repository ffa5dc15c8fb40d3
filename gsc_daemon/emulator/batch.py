"""Emulator, /batch: several calls in one multipart body, each answered, charged and refused for itself."""

from __future__ import annotations

import random
import re
from http import HTTPStatus
from typing import Final

from gsc_daemon.emulator.api import Api
from gsc_daemon.emulator.call import Call
from gsc_daemon.emulator.deflate import Piece, stored
from gsc_daemon.emulator.faults import instead, spoil
from gsc_daemon.emulator.replies import Reply, invalid

_PATHS: Final = ("/batch", "/batch/webmasters/v3")
MOST_PARTS: Final = 1000
_BOUNDARY: Final = re.compile(r'boundary="?([^";]+)"?', re.IGNORECASE)
_rng = random.Random(0)


def _headers(lines: list[str]) -> dict[str, str]:
    return {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _part(data: bytes, outer: Call) -> tuple[str, Call]:
    """Content-ID and call of one part. Raises `ApiError`."""
    outside, _, http = data.lstrip(b"\r\n").replace(b"\r\n", b"\n").partition(b"\n\n")
    head, _, body = http.lstrip(b"\n").partition(b"\n\n")
    lines = head.decode("latin-1").split("\n")
    words = lines[0].split(" ")
    if len(words) < 2:
        raise invalid("Failed to parse batch request: a part holds no HTTP request.")
    headers = {"authorization": outer.headers.get("authorization", ""), "host": outer.headers.get("host", "")}
    headers.update(_headers(lines[1:]))
    target = words[1]
    if "://" in target:
        target = "/" + target.split("://", 1)[1].partition("/")[2]
    call = Call(words[0].upper(), target, headers, body.rstrip(b"\n"), outer.arrived)
    return _headers(outside.decode("latin-1").split("\n")).get("content-id", ""), call


def split(outer: Call) -> list[tuple[str, Call]]:
    """The parts of a batch. Raises `ApiError` for what is no batch, or too large a one."""
    boundary = _BOUNDARY.search(outer.headers.get("content-type", ""))
    if boundary is None:
        raise invalid("Failed to parse batch request: no boundary.")
    marked = b"--" + boundary.group(1).encode("latin-1")
    chunks = (b"\n" + outer.body).split(b"\n" + marked)[1:]
    parts = [chunk for chunk in chunks if not chunk.startswith(b"--")]
    if len(parts) > MOST_PARTS:
        raise invalid(f"The batch request holds {len(parts)} calls; the limit is {MOST_PARTS}.")
    return [_part(part, outer) for part in parts]


def _wrapped(boundary: str, content_id: str, reply: Reply) -> list[Piece]:
    length = sum(piece.length for piece in reply.pieces)
    answered = f"Content-ID: <response-{content_id.strip('<>')}>\r\n" if content_id else ""
    headers = "".join(f"{name}: {value}\r\n" for name, value in reply.headers.items())
    text = (
        f"--{boundary}\r\nContent-Type: application/http\r\n{answered}\r\n"
        f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}\r\nContent-Type: {reply.content_type}\r\n{headers}"
        f"Content-Length: {length}\r\n\r\n"
    )
    return [stored(text.encode()), *reply.pieces, stored(b"\r\n")]


async def answer(api: Api, call: Call) -> Reply:
    """The answer to any request of a client."""
    if call.path in _PATHS and call.method == "POST" and api.config.batch:
        return await _answer_batch(api, call)
    return await api.single(call)


async def _answer_batch(api: Api, outer: Call) -> Reply:
    """One answer around the answers of all parts, which come in any order.

    It begins when the slowest part would; a connection that breaks for one part breaks for all.
    """
    at, fault = api.stats.saw("batch"), api.fault("batch")
    reply = instead(fault, "")
    if reply is not None:
        return api.note(at, "batch", reply, fault)
    answered = [(content_id, await api.single(call)) for content_id, call in split(outer)]
    _rng.shuffle(answered)
    boundary = f"batch_{_rng.getrandbits(64):016x}"
    pieces = [piece for content_id, part in answered for piece in _wrapped(boundary, content_id, part)]
    reply = Reply(200, [*pieces, stored(f"--{boundary}--\r\n".encode())], f"multipart/mixed; boundary={boundary}")
    for _, part in answered:
        reply.wait = max(reply.wait, part.wait)
        reply.fetches += part.fetches
        if part.manner and not reply.manner:
            reply.manner, reply.seconds = part.manner, part.seconds
    return api.note(at, "batch", spoil(reply, fault), fault)
