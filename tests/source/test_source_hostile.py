"""An API that means harm: no answer of it may take more memory or time than is allowed, or take our token elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import json
import subprocess
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from scripted_google import Answer, Asked, Line, ScriptedGoogle, framed, raw, reply, rows
from source_scene import Inbox, MakeSource, fetch, make_query

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.source import SearchConsole
from gsc_daemon.source.body import MOST_BYTES

MEGABYTE = 1024 * 1024
MOST_MB = 2 * MOST_BYTES // MEGABYTE  # an answer inflated, and room to spare
DEEP = b"[" * 1_000_000


def bomb(start: bytes, again: bytes, megabytes: int = 1024) -> bytes:
    """What inflates to the start and then so many megabytes of the same."""
    engine = zlib.compressobj(9, zlib.DEFLATED, 31)
    block = (again * (MEGABYTE // len(again) + 1))[:MEGABYTE]
    return b"".join([engine.compress(start), *(engine.compress(block) for _ in range(megabytes)), engine.flush()])


def packed(data: bytes, status: int = 200, **headers: str) -> Answer:
    """An answer that is gzipped already."""
    head = {"Content-Type": "application/json", "Content-Encoding": "gzip", "Content-Length": str(len(data))}
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    text = "".join(f"{name}: {value}\r\n" for name, value in head.items())
    return raw(f"HTTP/1.1 {status} Status\r\n{text}\r\n".encode() + data)


def without_end(start: bytes, again: bytes) -> Answer:
    """Sends until the other side has had enough, or two gigabytes are sent."""

    def answer(line: Line) -> None:
        block = again * (MEGABYTE // len(again))
        with contextlib.suppress(OSError):
            line.send(start)
            for _ in range(2048):
                if line.stop.is_set():
                    return
                line.send(block)

    return answer


def multipart(data: bytes) -> Answer:
    return packed(data, Content_Type="multipart/mixed; boundary=b")


PART = b"--b\r\nContent-Type: application/http\r\nContent-ID: <response-item-0>\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\n"
BOMBS: dict[str, tuple[str, Callable[[], Answer], str]] = {
    "a gigabyte, gzipped": ("parallel", lambda: packed(bomb(b"", b"\0")), "more than an answer may be"),
    "a gigabyte as it is": ("parallel", lambda: without_end(HEAD + b"\r\n", b"[1,"), "more than an answer may be"),
    "rows without end": ("parallel", lambda: packed(bomb(b'{"rows":[', b"{},")), "more than an answer may be"),
    "keys without end": (
        "parallel",
        lambda: packed(bomb(b'{"rows":[{"keys":[', b'"ab",')),
        "more than an answer may be",
    ),
    "an error of many lists": ("parallel", lambda: packed(bomb(b'{"error":[', b"[],")), "more than an answer may be"),
    "a refusal of a gigabyte": ("parallel", lambda: packed(bomb(b'{"error":"', b"a"), 403), "HTTP 403"),
    "deep": ("parallel", lambda: raw(framed(DEEP)), "no answer with rows"),
    "a deep error": ("parallel", lambda: raw(framed(b'{"error":' + DEEP)), "no JSON"),
    "a deep refusal": ("parallel", lambda: reply(403, b'{"error":' + DEEP, close=True), "HTTP 403"),
    "a part of a gigabyte": ("multipart", lambda: multipart(bomb(PART, b"a")), "more than an answer may be"),
    "a delimiter without end": ("multipart", lambda: multipart(bomb(b"--b", b"a")), "no batch answer"),
    "a head without end": ("multipart", lambda: multipart(bomb(b"--b\r\n", b"a")), "no batch answer"),
    "parts without end": ("multipart", lambda: multipart(bomb(b"", b"\r\n" + PART, 64)), "more parts"),
}


@pytest.mark.skipif(sys.platform != "linux", reason="measures memory by /proc")
@pytest.mark.parametrize("name", BOMBS)
def test_no_answer_takes_more_memory_than_one_may(google: ScriptedGoogle, key_file: Path, name: str) -> None:
    transport, make, words = BOMBS[name]
    honest = reply(200, rows(["a", "b"]))
    if transport == "multipart":
        honest = multipart(gzip.compress(PART + json.dumps(rows(["a", "b"])).encode() + b"\r\n--b--\r\n"))
    hostile = make()
    google.answer = lambda asked: honest if len(google.asked) == 1 else hostile
    program = [sys.executable, str(Path(__file__).with_name("hostile_child.py")), str(key_file), google.url, transport]
    ended = subprocess.run(program, capture_output=True, text=True, timeout=100, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    told = json.loads(ended.stdout)
    assert told["said"][0] == "1 rows"
    assert words in told["said"][1]
    assert told["rose"] < MOST_MB


def test_more_rows_than_were_asked_for_are_refused(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.answer = lambda asked: reply(200, rows(*[["a", str(n)] for n in range(3)]))
    fetch(source, inbox, [make_query(1, row_limit=2), make_query(2, row_limit=3)])
    inbox.take(2)
    refused: Any = inbox.got[1]
    assert "3 rows, where 2 were asked for" in str(refused)
    whole: Any = inbox.got[2]
    assert whole.row_count == 3


# Redirects


@pytest.fixture
def elsewhere(rsa_key: rsa.RSAPrivateKey) -> Iterator[ScriptedGoogle]:
    server = ScriptedGoogle(rsa_key)
    yield server
    server.close()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("where", ["{elsewhere}/webmasters/v3/sites", "/again", "//{host}/", "file:///etc/passwd"])
def test_no_redirect_is_followed(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, elsewhere: ScriptedGoogle, status: int, where: str
) -> None:
    target = where.format(elsewhere=elsewhere.url, host=elsewhere.url.removeprefix("http://"))
    google.answer = lambda asked: reply(status, b"", Location=target)
    fetch(source, inbox, [make_query()])
    assert inbox.error().kind is Refusal.TRANSIENT
    with pytest.raises(SourceError):
        source.list_sites()
    assert (len(google.asked), elsewhere.connections) == (2, 0)


def test_the_signed_request_for_a_token_is_not_taken_elsewhere(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, elsewhere: ScriptedGoogle
) -> None:
    google.token_answer = lambda asked: reply(307, b"", Location=f"{elsewhere.url}/token")
    fetch(source, inbox, [make_query()])
    assert inbox.error().status == 307
    assert elsewhere.connections == 0


# Headers


@pytest.mark.parametrize(
    "head",
    [
        pytest.param(HEAD + b"X-A: 1\r\n" * 100_000, id="a hundred thousand headers"),
        pytest.param(HEAD + b"X-A: " + b"1" * (10 * MEGABYTE), id="a header of ten megabytes"),
        pytest.param(b"HTTP/1.1 200 " + b"O" * (10 * MEGABYTE), id="a status of ten megabytes"),
        pytest.param(HEAD + b"Content-Length: 99999999999999999999999999\r\n\r\n{}", id="a length beyond measure"),
        pytest.param(HEAD + b"Content-Length: -1\r\n\r\n{", id="a negative length"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n-5\r\n{}\r\n0\r\n\r\n", id="a negative chunk"),
        pytest.param(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1" * MEGABYTE, id="a chunk size of a megabyte"),
        pytest.param(HEAD + b"Content-Encoding: gzip, gzip\r\n\r\n", id="gzip in gzip"),
        pytest.param(b"\0" * MEGABYTE, id="no HTTP at all"),
    ],
)
def test_heads_that_are_none_are_told_as_a_failure_that_may_pass(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, head: bytes
) -> None:
    def answer(line: Line) -> None:
        with contextlib.suppress(OSError):  # it leaves before it has read all of that
            line.send(head)
            line.close()

    google.answer = lambda asked: answer
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.TRANSIENT
    assert len(str(error)) < 500
    assert "mistake in gscd" not in error.hint


@pytest.mark.parametrize("again", [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 102 Processing\r\n\r\n"])
def test_answers_that_only_announce_others_end_at_the_deadline(
    google: ScriptedGoogle, make_source: MakeSource, inbox: Inbox, again: bytes
) -> None:
    def answer(line: Line) -> None:
        with contextlib.suppress(OSError):
            while not line.stop.wait(0.01):
                line.send(again)

    google.answer = lambda asked: answer
    fetch(make_source(deadline=1.0), inbox, [make_query()])
    assert inbox.error().kind is Refusal.TRANSIENT


def odd_headers(asked: Asked) -> Answer:
    part = (
        b"--b\r\nContent-Type: application/http\r\nContent-ID: <response-item-0>\r\n\r\n"
        b"HTTP/1.1 429 No\r\nRetry-After: \xff\xe9\r\n\r\n{}\r\n--b--\r\n"
    )
    return multipart(gzip.compress(part))


@pytest.mark.parametrize(
    ("transport", "answer"),
    [
        ("parallel", lambda asked: raw(b"HTTP/1.1 429 No\r\nRetry-After: \xff\xe9\r\nContent-Length: 2\r\n\r\n{}")),
        ("parallel", lambda asked: reply(429, {}, Retry_After="9" * 5000)),
        ("parallel", lambda asked: reply(429, {}, Retry_After="Mon, 01 Jan 99999999999999999999 00:00:00 GMT")),
        ("multipart", odd_headers),
    ],
)
def test_odd_headers_are_no_mistake_of_ours(
    google: ScriptedGoogle, make_source: MakeSource, inbox: Inbox, transport: str, answer: Callable[[Asked], Answer]
) -> None:
    google.answer = answer
    fetch(make_source(transport=transport), inbox, [make_query()])
    assert "429" in str(inbox.error())


def test_a_code_beyond_measure_in_an_error_is_none(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.answer = lambda asked: reply(200, {"error": {"code": 10**400, "message": "no"}})
    fetch(source, inbox, [make_query()])
    assert inbox.error().status == 0
