"""HTTP multipart batches: taken apart whatever the pieces, each part settled on its own."""

from __future__ import annotations

import gzip
import itertools
import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scripted_google import UNAUTHORIZED, Answer, Asked, ScriptedGoogle, hang, raw, reply, reset, rows
from source_scene import Inbox, MakeSource, fetch, make_query

from gsc_daemon.errors import Refusal
from gsc_daemon.source import SearchConsole, multipart
from gsc_daemon.source.body import NotWhole

CONTENT_TYPE = "multipart/mixed; boundary=batch_abc"
ENDING = "\r\n--batch_abc--\r\n"


def part(index: int, status: int, body: bytes, head: str = "") -> bytes:
    return (
        f"--batch_abc\r\nContent-Type: application/http\r\nContent-ID: <response-item-{index}>\r\n\r\n"
        f"HTTP/1.1 {status} Words\r\nContent-Type: application/json\r\n{head}\r\n"
    ).encode() + body


def answer_of(*parts: bytes, ending: str = ENDING) -> bytes:
    return b"\r\n".join(parts) + ending.encode()


def outer(body: bytes, *, compress: bool = True, **headers: str) -> Answer:
    return reply(200, body, compress=compress, Content_Type=CONTENT_TYPE, **headers)


def starts(asked: Asked) -> list[int]:
    """The start rows of a batch's requests, in order."""
    return [int(number) for number in re.findall(rb'"startRow":(\d+)', asked.body)]


@pytest.fixture
def source(make_source: MakeSource) -> SearchConsole:
    return make_source(transport="multipart")


Settle = Callable[[int], bytes]


def batch_server(google: ScriptedGoogle, settle: Settle) -> None:
    """Answers every batch in reverse order; ``settle`` gives the part for an index."""

    def answer(asked: Asked) -> Answer:
        count = len(starts(asked))
        return outer(answer_of(*[settle(index) for index in reversed(range(count))]))

    google.answer = answer


def test_a_batch_is_one_request_and_answers_come_in_any_order(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    batch_server(google, lambda index: part(index, 200, json.dumps(rows([f"q{index}", "p"])).encode()))
    fetch(source, inbox, [make_query(n, start_row=n) for n in range(5)])
    inbox.take(5)
    assert len(google.asked) == 1
    asked = google.asked[0]
    assert (asked.method, asked.path) == ("POST", "/batch")
    assert starts(asked) == [0, 1, 2, 3, 4]
    for n in range(5):
        response: Any = inbox.got[n]
        assert response.row_count == 1
        assert response.body.rows()[0].keys == [f"q{n}", "p"]


def test_each_part_has_its_own_fate(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    quota = {"error": {"code": 403, "message": "QPS quota exceeded", "errors": [{"reason": "quotaExceeded"}]}}
    parts = {
        0: part(0, 200, b'{"responseAggregationType": "byPage"}'),
        1: part(1, 403, json.dumps(quota).encode(), "Retry-After: 9\r\n"),
        2: part(2, 503, b"<html>"),
        3: part(7, 200, b"{}"),
        4: part(4, 200, b'{"rows": [{"keys"'),
    }
    batch_server(google, parts.__getitem__)
    fetch(source, inbox, [make_query(n) for n in range(5)])
    inbox.take(5)
    got: dict[int, Any] = inbox.got
    assert got[0].row_count == 0
    assert (got[1].kind, got[1].retry_after) == (Refusal.RATE, 9.0)
    assert got[2].kind is Refusal.TRANSIENT
    assert "part of the batch is missing" in str(got[3])
    assert got[4].kind is Refusal.TRANSIENT


def test_only_parts_refused_for_their_token_are_sent_again(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    def answer(asked: Asked) -> Answer:
        first = len(google.asked) == 1
        parts = [
            part(index, 401, json.dumps(UNAUTHORIZED).encode()) if first and row % 2 else part(index, 200, b"{}")
            for index, row in enumerate(starts(asked))
        ]
        return outer(answer_of(*parts))

    google.answer = answer
    fetch(source, inbox, [make_query(n, start_row=n) for n in range(4)])
    assert [result.row_count for result in inbox.take(4)] == [0] * 4
    assert [starts(asked) for asked in google.asked] == [[0, 1, 2, 3], [1, 3]]
    assert len(google.token_calls) == 2


CUT = gzip.compress(answer_of(part(0, 200, b"{}")))[:-4]


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(404, b"<html>"), Refusal.CREDENTIAL),
        (reply(503, b"<html>"), Refusal.TRANSIENT),
        (reply(403, {"error": {"errors": [{"reason": "quotaExceeded"}]}}), Refusal.RATE),
        (reply(400, {"error": {"code": 400, "message": "too many parts"}}), Refusal.REQUEST),
        (reset, Refusal.TRANSIENT),
        (reply(200, {}), Refusal.TRANSIENT),
        (outer(answer_of(part(0, 200, b"{}"), ending="")), Refusal.TRANSIENT),
        (outer(answer_of(part(0, 200, b"{}"), ending="\r\n--batch_abc\r\n")), Refusal.TRANSIENT),
        (outer(b"--batch_abc\r\n\r\nno HTTP\r\n\r\n" + ENDING.encode()), Refusal.TRANSIENT),
        (outer(CUT, compress=False, Content_Encoding="gzip"), Refusal.TRANSIENT),
    ],
)
def test_a_failure_of_the_whole_is_a_failure_of_every_part(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, answer: Answer, kind: Refusal
) -> None:
    google.answer = lambda asked: answer
    fetch(source, inbox, [make_query(n) for n in range(3)])
    assert {error.kind for error in inbox.take(3)} == {kind}


def test_a_batch_is_abandoned_whole(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.answer = lambda asked: hang
    fetch(source, inbox, [make_query(n) for n in range(3)])
    google.wait_for(lambda: len(google.asked) == 1)
    source.abandon()
    assert {error.kind for error in inbox.take(3)} == {Refusal.ABANDONED}


def test_queries_travel_together_only_when_their_times_are_close(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    batch_server(google, lambda index: part(index, 200, b"{}"))
    fetch(source, inbox, [make_query(n, start_row=n) for n in range(5)], [0.0, 0.45, 0.2, 0.1, 0.3])
    inbox.take(5)
    assert [starts(asked) for asked in google.asked] == [[0, 3, 2], [4, 1]]


def test_a_batch_in_plain_and_in_chunks(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    body = answer_of(part(0, 200, json.dumps(rows(["a", "b"])).encode()))
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, body[n : n + 1]) for n in range(len(body))) + b"0\r\n\r\n"
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {CONTENT_TYPE}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    google.answer = lambda asked: raw(head + chunks, close=False)
    fetch(source, inbox, [make_query()])
    assert inbox.one().body.rows()[0].keys == ["a", "b"]


# The splitter alone

BODIES = [b"{}", b"", b"line\r\nline\r\n--batch_ab\r\n--batch", b"x" * 200, b"\r\n\r\n"]
WHOLE = b"a preamble\r\n" + answer_of(*[part(n, 200 + n, body) for n, body in enumerate(BODIES)]) + b"an epilogue"


def taken_apart(pieces: list[bytes]) -> list[tuple[int | None, int, bytes]]:
    splitter = multipart.Splitter(CONTENT_TYPE)
    found: list[tuple[int | None, int, bytes]] = []
    current: tuple[multipart.Part, bytearray] | None = None
    for piece in pieces:
        for event in splitter.feed(piece):
            if isinstance(event, multipart.Part):
                current = event, bytearray()
            elif current is None:
                continue
            elif isinstance(event, bytes):
                current[1].extend(event)
            else:
                found.append((current[0].index, current[0].status, bytes(current[1])))
                current = None
    assert splitter.complete
    return found


@given(st.lists(st.integers(0, len(WHOLE)), max_size=12))
def test_parts_are_the_same_however_they_are_cut(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(WHOLE)]
    pieces = [WHOLE[start:end] for start, end in itertools.pairwise(edges)]
    assert taken_apart(pieces) == [(n, 200 + n, body) for n, body in enumerate(BODIES)]


def test_byte_by_byte() -> None:
    assert len(taken_apart([WHOLE[n : n + 1] for n in range(len(WHOLE))])) == len(BODIES)


@pytest.mark.parametrize("content_type", ["", "application/json", "multipart/mixed", "text/html; boundary=x"])
def test_what_is_no_multipart_answer(content_type: str) -> None:
    with pytest.raises(NotWhole):
        multipart.Splitter(content_type)


def test_a_head_without_end_is_no_answer() -> None:
    splitter = multipart.Splitter(CONTENT_TYPE)
    with pytest.raises(NotWhole):
        list(splitter.feed(b"--batch_abc\r\n" + b"x" * 100_000))
