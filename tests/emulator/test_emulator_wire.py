"""HTTP: compressed bodies that every decoder takes, keep-alive, framing, latency that blocks nobody, statistics."""

from __future__ import annotations

import gzip
import http.client
import json
import random
import socket
import subprocess
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing

import pytest
from emulator_client import ALL_FOUR, SITE, Client, Start
from hypothesis import given, settings
from hypothesis import strategies as st

from gsc_daemon.emulator import deflate
from gsc_daemon.emulator.answers import latency_s
from gsc_daemon.emulator.config import EmulatorConfig

BODY = json.dumps({"startDate": "2026-11-10", "endDate": "2026-11-10", "dimensions": ALL_FOUR, "rowLimit": 2345})
PATH = "/webmasters/v3/sites/sc-domain%3Aexample.com/searchAnalytics/query"


@pytest.fixture
def connection(served: Client) -> Iterator[http.client.HTTPConnection]:
    with closing(http.client.HTTPConnection("127.0.0.1", served.emulator.port, timeout=30)) as connection:
        yield connection


def headers(client: Client, **more: str) -> dict[str, str]:
    return {"Authorization": str(client.session.headers["Authorization"]), **more}


@settings(max_examples=200, deadline=None)
@given(texts=st.lists(st.tuples(st.sampled_from("csz"), st.binary(max_size=300) | st.integers(0, 200_000)), max_size=8))
def test_pieces_in_any_order_are_one_gzip_stream(texts: list[tuple[str, bytes | int]]) -> None:
    make = {"c": deflate.compress, "s": deflate.stored, "z": deflate.compress_once}
    datas = [data if isinstance(data, bytes) else random.Random(data).randbytes(data) for _, data in texts]
    pieces = [make[how](data) for (how, _), data in zip(texts, datas, strict=True)]
    assert gzip.decompress(b"".join(deflate.gzip(pieces))) == b"".join(datas)  # checks CRC and length
    assert deflate.inflate(pieces) == b"".join(datas)


def test_a_body_is_compressed_on_request_with_the_right_crc(
    served: Client, connection: http.client.HTTPConnection
) -> None:
    connection.request("POST", PATH, BODY, headers(served))
    plain = connection.getresponse()
    text = plain.read()
    assert plain.getheader("Content-Encoding") is None
    connection.request("POST", PATH, BODY, headers(served, **{"Accept-Encoding": "br, gzip;q=0.8"}))
    zipped = connection.getresponse()
    body = zipped.read()
    assert zipped.getheader("Content-Encoding") == "gzip"
    assert int(str(zipped.getheader("Content-Length"))) == len(body) < len(text) / 3
    assert gzip.decompress(body) == text
    assert int.from_bytes(body[-8:-4], "little") == zlib.crc32(text)
    assert subprocess.run(["gzip", "-t"], input=body, capture_output=True, check=False).returncode == 0
    assert len(json.loads(text)["rows"]) == 2345


def test_one_connection_serves_many_calls(served: Client, connection: http.client.HTTPConnection) -> None:
    before = served.emulator.stats()["all_connections"]
    for _ in range(5):
        connection.request("POST", PATH, BODY, headers(served))
        connection.getresponse().read()
    assert served.emulator.stats()["all_connections"] == before + 2  # ours, and that of the question itself


def test_bodies_can_come_in_chunks(start: Start) -> None:
    client = start()
    whole = client.ask(dimensions=ALL_FOUR)
    client.emulator.configure(chunked=True)
    chunked = client.ask(dimensions=ALL_FOUR)
    assert (chunked.headers["Transfer-Encoding"], chunked.headers.get("Content-Length")) == ("chunked", None)
    assert chunked.json() == whole.json()


def test_idle_connections_are_closed_when_told(start: Start) -> None:
    client = start(keep_alive_s=0.05)
    with closing(http.client.HTTPConnection("127.0.0.1", client.emulator.port, timeout=10)) as connection:
        connection.request("POST", PATH, BODY, headers(client))
        connection.getresponse().read()
        assert connection.sock.recv(1) == b""


def raw(client: Client, request: bytes) -> bytes:
    """Everything that comes back until the connection is closed."""
    with socket.create_connection(("127.0.0.1", client.emulator.port), timeout=10) as sock:
        sock.sendall(request)
        return b"".join(iter(lambda: sock.recv(65536), b""))


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"nonsense\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"GET /" + b"x" * 70_000,
    ],
)
def test_what_is_no_http_is_refused_and_the_connection_closed(served: Client, request_bytes: bytes) -> None:
    assert raw(served, request_bytes).startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize("head", [b"GET / HTTP/1.0\r\n", b"GET / HTTP/1.1\r\nConnection: close\r\n"])
def test_a_client_that_wants_one_answer_gets_one(served: Client, head: bytes) -> None:
    assert raw(served, head + b"\r\n").startswith(b"HTTP/1.1 404 Not Found\r\n")


def test_a_request_may_come_byte_by_byte_and_two_at_once(served: Client) -> None:
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /x HTTP/1.1\r\nConnection: close\r\n\r\n"
    with socket.create_connection(("127.0.0.1", served.emulator.port), timeout=10) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for n in range(len(request)):
            sock.sendall(request[n : n + 1])
        answer = b"".join(iter(lambda: sock.recv(65536), b""))
    assert answer.count(b"HTTP/1.1 404 Not Found") == 2


def test_latency_is_lognormal_and_grows_with_the_rows() -> None:
    config = EmulatorConfig(latency_median_s=2.0, latency_p99_s=6.0)
    rng = random.Random(1)
    full = sorted(latency_s(config, 25_000, rng) for _ in range(10_000))
    assert full[5000] == pytest.approx(2.0, rel=0.05)
    assert full[9900] == pytest.approx(6.0, rel=0.1)
    empty = sorted(latency_s(config, 0, rng) for _ in range(10_000))
    assert empty[5000] == pytest.approx(0.5, rel=0.05)
    assert latency_s(EmulatorConfig(), 25_000, rng) == 0


def test_delayed_answers_wait_side_by_side_and_are_seen_in_flight(start: Start) -> None:
    client = start(latency_median_s=600.0, latency_p99_s=600.0)
    request = f"POST {PATH} HTTP/1.1\r\nContent-Length: {len(BODY)}\r\nAuthorization: "
    request += f"{client.session.headers['Authorization']}\r\n\r\n{BODY}"
    sockets = [socket.create_connection(("127.0.0.1", client.emulator.port)) for _ in range(400)]
    try:
        for sock in sockets:
            sock.sendall(request.encode())
        deadline = time.monotonic() + 20
        while client.emulator.stats()["in_flight"] < 400:
            assert time.monotonic() < deadline
        client.emulator.configure(latency_median_s=0.0, latency_p99_s=0.0)
        assert client.ask().status_code == 200  # the others hold nobody up
    finally:
        for sock in sockets:
            sock.close()
    while client.emulator.stats()["in_flight"]:
        assert time.monotonic() < deadline
    assert client.emulator.stats()["most_in_flight"] >= 400


def test_clients_at_once_get_the_answers_to_their_own_questions(served: Client) -> None:
    def ask(number: int) -> bool:
        limit = 10 + number
        body = BODY.replace("2345", str(limit))
        with closing(http.client.HTTPConnection("127.0.0.1", served.emulator.port, timeout=30)) as connection:
            connection.request("POST", PATH, body, headers(served, **{"Accept-Encoding": "gzip"}))
            rows = json.loads(gzip.decompress(connection.getresponse().read()))["rows"]
        return len(rows) == limit

    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(ask, range(80)))


def test_statistics_tell_what_was_asked_when_and_what_became_of_it(start: Start) -> None:
    client = start(site_qpm=3)
    before = time.time()
    client.ask(dimensions=ALL_FOUR)
    client.ask(dimensions=ALL_FOUR)
    client.ask(dimensions=ALL_FOUR, startRow=1000, type="image")
    client.ask(dimensions=ALL_FOUR)
    stats = client.emulator.stats()
    fetch = {"site": SITE, "search_type": "web", "dates": "2026-11-10", "shape": ",".join(ALL_FOUR), "state": "final"}
    assert stats["fetches"] == [
        {**fetch, "search_type": "image", "start_row": 1000, "asked": 1, "served": 1},
        {**fetch, "start_row": 0, "asked": 3, "served": 2},
    ]
    assert stats["answers"] == {"token": 1, "rows": 3, "qps": 1}
    seen = stats["seen"]["query"]
    assert seen["count"] == 4
    assert before <= seen["first"] <= seen["last"] <= time.time()
    requests = client.emulator.requests()
    assert [(one["kind"], one["status"], one["answer"]) for one in requests] == [
        *(("token", 200, "token"), ("query", 200, "rows"), ("query", 200, "rows"), ("query", 200, "rows")),
        ("query", 403, "qps"),
    ]
    assert requests[-1]["fetch"] == {**fetch, "start_row": 0}
    assert [one["at"] for one in requests] == sorted(one["at"] for one in requests)
