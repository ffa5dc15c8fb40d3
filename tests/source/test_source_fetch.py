"""fetch_query_batch: what is sent, when, and what arrives."""

from __future__ import annotations

import gzip
import json
import tempfile
import threading
from pathlib import Path

import pytest
from scripted_google import Answer, Asked, Line, ScriptedGoogle, framed, hang, raw, reply, reset, rows, trickle
from source_scene import SITE, Inbox, MakeSource, fetch, make_query

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Filter, Query
from gsc_daemon.source import SearchConsole, body
from gsc_daemon.source.console import _Answers
from gsc_daemon.source.flights import Ending
from gsc_daemon.source.transports import Answer as Arrived


def test_a_query_is_sent_as_the_api_wants_it(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    query = make_query(
        site="https://www.example.com/a b/",
        search_type="googleNews",
        dimensions=("page", "country"),
        start_row=25_000,
        final_only=False,
        filters=(Filter("country", "usa"), Filter("page", "/x", "contains")),
    )
    fetch(source, inbox, [query])
    inbox.one()
    asked = google.asked[0]
    assert asked.method == "POST"
    assert asked.path.partition("?")[0] == (
        "/webmasters/v3/sites/https%3A%2F%2Fwww.example.com%2Fa%20b%2F/searchAnalytics/query"
    )
    assert asked.headers["accept-encoding"] == "gzip"
    assert "gzip" in asked.headers["user-agent"]
    assert asked.json() == {
        "startDate": "2026-08-01",
        "endDate": "2026-08-01",
        "dimensions": ["page", "country"],
        "type": "googleNews",
        "rowLimit": 25_000,
        "startRow": 25_000,
        "dataState": "all",
        "dimensionFilterGroups": [
            {
                "groupType": "and",
                "filters": [
                    {"dimension": "country", "operator": "equals", "expression": "usa"},
                    {"dimension": "page", "operator": "contains", "expression": "/x"},
                ],
            }
        ],
    }


def test_the_rows_arrive(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.answer = lambda asked: reply(200, rows(["a", "b"], ["c", "d"]))
    query = make_query()
    fetch(source, inbox, [query])
    response = inbox.one()
    assert response.query is query
    assert response.row_count == 2
    assert [row.keys for row in response.body.rows()] == [["a", "b"], ["c", "d"]]
    assert [(row.clicks, row.impressions, row.ctr, row.position) for row in response.body.rows()] == [
        (1.0, 4.0, 0.25, 2.5)
    ] * 2
    assert response.seconds > 0


@pytest.mark.parametrize("body", [{"responseAggregationType": "byProperty"}, {}, {"rows": []}])
def test_missing_rows_mean_none(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, body: object) -> None:
    google.answer = lambda asked: reply(200, body)
    fetch(source, inbox, [make_query()])
    response = inbox.one()
    assert response.row_count == 0
    assert response.body.rows() == []


def test_totals_have_no_keys_and_discover_no_position(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    google.answer = lambda asked: reply(200, {"rows": [{"clicks": 1e3, "impressions": 2000, "ctr": 0.5}]})
    fetch(source, inbox, [make_query(dimensions=())])
    (row,) = inbox.one().body.rows()
    assert (row.keys, row.clicks, row.impressions, row.position) == ([], 1000.0, 2000.0, None)


def test_characters_that_postgres_cannot_hold_arrive_as_they_are(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    text = json.dumps(rows(["half \ud83d here", "nul \x00"], ["ends in \udc4d", "pair \U0001f44d"]))
    assert "\\ud83d here" in text
    google.answer = lambda asked: reply(200, text.encode())
    fetch(source, inbox, [make_query()])
    response = inbox.one()
    assert response.row_count == 2
    assert [row.keys for row in response.body.rows()] == [
        ["half \ud83d here", "nul \x00"],
        ["ends in \udc4d", "pair \U0001f44d"],
    ]


def _chunked(data: bytes, *, whole: bool = True) -> bytes:
    half = len(data) // 2
    chunks = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in (data[:half], data[half:]))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    return head + (chunks + b"0\r\n\r\n" if whole else chunks[: half + 10])


ROWS = json.dumps(rows(*[[f"query {n}", f"page {n}"] for n in range(500)])).encode()
ZIPPED = gzip.compress(ROWS)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reply(200, ROWS), id="gzip"),
        pytest.param(reply(200, ROWS, compress=False), id="identity"),
        pytest.param(reply(200, ROWS, close=True), id="gzip, closing"),
        pytest.param(raw(_chunked(ZIPPED), close=False), id="chunked"),
        pytest.param(
            raw(framed(gzip.compress(ROWS[:999]) + gzip.compress(ROWS[999:]), Content_Encoding="gzip")),
            id="members",
        ),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n" + ZIPPED), id="until it closes"),
    ],
)
def test_every_honest_framing_is_read(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, answer: Answer
) -> None:
    google.answer = lambda asked: answer
    fetch(source, inbox, [make_query()])
    response = inbox.one()
    assert response.row_count == 500
    assert response.body.rows()[499].keys == ["query 499", "page 499"]


ALTERED = ZIPPED[:-8] + bytes([ZIPPED[-8] ^ 1]) + ZIPPED[-7:]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(reset, id="reset"),
        pytest.param(raw(b""), id="closed without a byte"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nContent-Le"), id="closed in the head"),
        pytest.param(raw(framed(ZIPPED[:400], len(ZIPPED), Content_Encoding="gzip")), id="shorter than announced"),
        pytest.param(raw(framed(ZIPPED[:400], Content_Encoding="gzip"), close=False), id="gzip cut, framing whole"),
        pytest.param(raw(framed(ZIPPED, 400, Content_Encoding="gzip")), id="longer than announced"),
        pytest.param(raw(framed(ALTERED, Content_Encoding="gzip"), close=False), id="altered on its way"),
        pytest.param(raw(framed(ZIPPED + b"more", Content_Encoding="gzip"), close=False), id="more than the gzip"),
        pytest.param(raw(_chunked(ZIPPED, whole=False)), id="chunks cut off"),
        pytest.param(reply(200, ROWS[:-30], compress=False), id="JSON cut off"),
        pytest.param(raw(framed(b"", Content_Encoding="gzip"), close=False), id="an empty body"),
        pytest.param(reply(200, b"<!DOCTYPE html><title>Sign in to the hotel</title>"), id="another's page"),
        pytest.param(reply(200, b"[1, 2]"), id="JSON of another kind"),
        pytest.param(reply(200, b'{"rows": [1]}'), id="rows of another kind"),
        pytest.param(reply(200, ROWS, compress=False, Content_Encoding="br"), id="an encoding nobody asked for"),
        pytest.param(raw(b"SSH-2.0-OpenSSH\r\n"), id="no HTTP"),
    ],
)
def test_what_is_not_a_whole_answer_is_tried_again(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, answer: Answer
) -> None:
    answers = [answer, reply(200, rows(["a", "b"]))]
    google.answer = lambda asked: answers.pop(0)
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.TRANSIENT
    assert (error.site, error.date) == (SITE, make_query().date)
    fetch(source, inbox, [make_query(2)])
    assert inbox.one().row_count == 1


def test_rows_that_only_look_like_rows_are_refused_when_they_are_read(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    google.answer = lambda asked: reply(200, {"rows": [{"keys": ["a"]}]})
    fetch(source, inbox, [make_query()])
    with pytest.raises(SourceError) as caught:
        inbox.one().body.rows()
    assert caught.value.kind is Refusal.TRANSIENT
    assert caught.value.site == SITE


def test_an_error_in_an_answer_that_says_200_is_a_refusal_and_no_empty_day(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    error = {"code": 403, "message": "Search Analytics QPS quota exceeded.", "errors": [{"reason": "quotaExceeded"}]}
    google.answer = lambda asked: reply(200, {"error": error})
    fetch(source, inbox, [make_query()])
    assert inbox.error().kind is Refusal.RATE


def test_nobody_listening_is_told_without_the_innards_of_the_library(
    google: ScriptedGoogle, key_file: Path, source: SearchConsole, inbox: Inbox
) -> None:
    google.close()
    fetch(source, inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.TRANSIENT
    assert "Connection refused" in str(error)
    assert "object at" not in str(error)
    assert "Pool" not in str(error)


def test_all_queries_of_a_batch_are_in_flight_together(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    together = threading.Barrier(10)

    def answer(asked: Asked) -> Answer:
        together.wait(20)
        return reply(200, {})

    google.answer = answer
    fetch(source, inbox, [make_query(n) for n in range(10)])
    assert all(result.row_count == 0 for result in inbox.take(10))


def test_it_returns_before_anything_is_answered(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    returned = threading.Event()

    def answer(asked: Asked) -> Answer:
        assert returned.wait(20)
        return reply(200, {})

    google.answer = answer
    fetch(source, inbox, [make_query()])
    returned.set()
    assert inbox.one().row_count == 0


def test_queries_are_sent_in_the_order_of_their_delays(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    fetch(source, inbox, [make_query(0)])  # gets the token
    inbox.one()
    fetch(source, inbox, [make_query(n, start_row=n) for n in (1, 2, 3, 4)], [0.3, 0.1, 0.4, 0.2])
    inbox.take(4)
    assert [asked.json()["startRow"] for asked in google.asked[1:]] == [2, 4, 1, 3]


def test_connections_are_kept_for_the_next_query(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    for n in range(5):
        fetch(source, inbox, [make_query(n)])
        inbox.one()
    assert len({asked.connection for asked in google.asked}) == 1


def test_a_connection_that_was_closed_meanwhile_is_replaced(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    closed = threading.Event()

    def answer_and_leave(line: Line) -> None:
        reply(200, {}, close=False)(line)
        line.close()
        closed.set()

    google.answer = lambda asked: answer_and_leave
    for n in range(3):
        closed.clear()
        fetch(source, inbox, [make_query(n)])
        assert inbox.one().row_count == 0
        assert closed.wait(20)
    assert len({asked.connection for asked in google.asked}) == 3


def test_no_proxy_stands_before_this_machine(
    google: ScriptedGoogle, make_source: MakeSource, inbox: Inbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    fetch(make_source(), inbox, [make_query()])
    assert inbox.one().row_count == 0


def test_a_large_body_lies_in_a_file_without_a_name(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(body, "SPILL_BYTES", 1000)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "spill"))
    (tmp_path / "spill").mkdir()
    google.answer = lambda asked: reply(200, ROWS)
    fetch(source, inbox, [make_query()])
    response = inbox.one()
    assert response.body.spilled
    assert list((tmp_path / "spill").iterdir()) == []
    assert response.row_count == 500
    assert len(response.body.rows()) == 500
    response.body.close()
    with pytest.raises(ValueError, match="closed"):
        response.body.rows()


@pytest.mark.parametrize("answer", [reply(200, ROWS), raw(framed(b"{}" + b" " * 4000))])
def test_an_answer_without_measure_is_refused(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, monkeypatch: pytest.MonkeyPatch, answer: Answer
) -> None:
    monkeypatch.setattr(body, "MOST_BYTES", 2000)
    google.answer = lambda asked: answer
    fetch(source, inbox, [make_query()])
    assert "more than an answer may be" in str(inbox.error())


# Deadlines

CUT_BY_THE_DEADLINE = [
    pytest.param(hang, id="silence"),
    pytest.param(trickle(b"HTTP/1.1 200 OK\r\nX-Long: "), id="a trickling head"),
    pytest.param(trickle(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), id="a trickling body"),
    pytest.param(trickle(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), id="a trickling chunk size"),
]


@pytest.mark.parametrize("answer", CUT_BY_THE_DEADLINE)
def test_an_answer_must_be_whole_within_the_deadline(
    google: ScriptedGoogle, make_source: MakeSource, inbox: Inbox, answer: Answer
) -> None:
    left = threading.Event()

    def slow(line: Line) -> None:
        try:
            answer(line)
        finally:
            left.set()

    google.answer = lambda asked: slow
    fetch(make_source(deadline=0.3), inbox, [make_query()])
    error = inbox.error()
    assert error.kind is Refusal.TRANSIENT
    assert "in time" in str(error)
    assert left.wait(20), "the connection was not closed"


# Abandoning


@pytest.mark.parametrize("answer", CUT_BY_THE_DEADLINE)
def test_abandon_delivers_before_it_returns_and_closes_the_connections(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox, answer: Answer
) -> None:
    left = threading.Semaphore(0)

    def slow(line: Line) -> None:
        try:
            answer(line)
        finally:
            left.release()

    google.answer = lambda asked: slow
    fetch(source, inbox, [make_query(n) for n in range(4)])
    google.wait_for(lambda: len(google.asked) == 4)
    source.abandon()
    assert not inbox.empty
    assert {error.kind for error in inbox.take(4)} == {Refusal.ABANDONED}
    for _ in range(4):
        assert left.acquire(timeout=20), "a connection was not closed"
    google.answer = lambda asked: reply(200, rows(["a", "b"]))
    fetch(source, inbox, [make_query(9)])
    assert inbox.one().row_count == 1
    assert inbox.empty


def test_what_was_not_due_yet_is_never_sent_after_an_abandon(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    fetch(source, inbox, [make_query(1, start_row=1)], [0.4])
    source.abandon()
    assert inbox.error().kind is Refusal.ABANDONED
    fetch(source, inbox, [make_query(2, start_row=2)], [0.6])
    inbox.one()
    assert [asked.json()["startRow"] for asked in google.asked] == [2]


def test_abandon_ends_a_wait_for_a_token(google: ScriptedGoogle, source: SearchConsole, inbox: Inbox) -> None:
    google.token_answer = lambda asked: hang
    fetch(source, inbox, [make_query(1), make_query(2)])
    google.wait_for(lambda: len(google.token_calls) == 1)
    source.abandon()
    assert {error.kind for error in inbox.take(2)} == {Refusal.ABANDONED}
    google.token_answer = None
    fetch(source, inbox, [make_query(3)])
    assert inbox.one().row_count == 0


def test_an_answer_that_comes_after_an_abandon_is_dropped(
    google: ScriptedGoogle, source: SearchConsole, inbox: Inbox
) -> None:
    gone = threading.Event()

    def late(line: Line) -> None:
        gone.wait(20)
        line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    google.answer = lambda asked: late
    fetch(source, inbox, [make_query(1)])
    google.wait_for(lambda: len(google.asked) == 1)
    source.abandon()
    gone.set()
    assert inbox.error().kind is Refusal.ABANDONED
    google.answer = lambda asked: reply(200, {})
    fetch(source, inbox, [make_query(2)])
    inbox.one()
    assert inbox.empty


def test_whoever_is_first_delivers_and_a_late_body_is_freed(inbox: Inbox) -> None:
    first, second = make_query(1), make_query(2)
    answers = _Answers([first, second], inbox.deliver)

    def arrived(query: Query) -> tuple[Arrived, body.GzipBody]:
        kept = body.GzipBody(bytearray(ZIPPED), query)
        return Arrived(query, kept, 500, 0, 0.1), kept

    answers.give(first, arrived(first)[0])
    answers.end(Ending.ABANDONED)
    late, kept = arrived(second)
    answers.give(second, late)
    answers.give(first, arrived(first)[0])
    inbox.take(2)
    assert inbox.empty
    assert isinstance(inbox.got[2], SourceError)
    with pytest.raises(ValueError, match="closed"):
        kept.rows()


def test_abandon_with_nothing_in_flight_does_nothing(source: SearchConsole) -> None:
    source.abandon()
    source.abandon()


# sites.list


def test_the_list_of_properties(google: ScriptedGoogle, source: SearchConsole) -> None:
    entries = [
        {"siteUrl": SITE, "permissionLevel": "siteOwner"},
        {"siteUrl": "https://x.example/", "permissionLevel": "siteUnverifiedUser"},
    ]
    google.answer = lambda asked: reply(200, {"siteEntry": entries})
    found = source.list_sites()
    assert [(entry.site, entry.readable) for entry in found] == [(SITE, True), ("https://x.example/", False)]
    assert google.asked[0].method == "GET"
    assert google.asked[0].path.partition("?")[0] == "/webmasters/v3/sites"


def test_no_properties_at_all(google: ScriptedGoogle, source: SearchConsole) -> None:
    google.answer = lambda asked: reply(200, {})
    assert list(source.list_sites()) == []


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (reply(503, b"<html>"), Refusal.TRANSIENT),
        (reset, Refusal.TRANSIENT),
        (reply(200, b"<html>"), Refusal.TRANSIENT),
        (reply(403, {"error": {"errors": [{"reason": "quotaExceeded"}]}}), Refusal.RATE),
    ],
)
def test_a_list_that_cannot_be_had(
    google: ScriptedGoogle, source: SearchConsole, answer: Answer, kind: Refusal
) -> None:
    google.answer = lambda asked: answer
    with pytest.raises(SourceError) as caught:
        source.list_sites()
    assert caught.value.kind is kind


def test_a_halt_ends_the_wait_for_the_list(google: ScriptedGoogle, source: SearchConsole) -> None:
    google.answer = lambda asked: hang
    caught: list[SourceError] = []

    def ask() -> None:
        try:
            source.list_sites()
        except SourceError as error:
            caught.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    google.wait_for(lambda: len(google.asked) == 1)
    source.abandon()
    asking.join(20)
    assert [error.kind for error in caught] == [Refusal.ABANDONED]
