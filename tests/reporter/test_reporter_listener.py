"""The listener serves this machine alone: not a web page that has its own name lead here, and nothing but reading."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator

import pytest

from gsc_daemon.reporter.listener import Listener, Texts


@pytest.fixture
def listener() -> Iterator[Listener]:
    made = Listener(("127.0.0.1", 0), monotonic=lambda: 0.0)
    made.texts = Texts("gscd_up 1\n", "<p>page", 0.0)
    yield made
    made.close()


def ask(listener: Listener, method: str = "GET", path: str = "/metrics", **headers: str) -> http.client.HTTPResponse:
    connection = http.client.HTTPConnection("127.0.0.1", listener.port, timeout=20)
    connection.putrequest(method, path, skip_host=True)
    for name, value in headers.items():
        connection.putheader(name, value)
    connection.endheaders()
    response = connection.getresponse()
    response.read()
    connection.close()
    return response


@pytest.mark.parametrize("host", ["127.0.0.1:{port}", "127.0.0.1", "localhost:{port}", "[::1]:{port}", "LOCALHOST"])
def test_by_its_own_names_it_answers(listener: Listener, host: str) -> None:
    assert ask(listener, Host=host.format(port=listener.port)).status == 200


@pytest.mark.parametrize("path", ["/", "/metrics", "/healthz", "/nothing"])
@pytest.mark.parametrize(
    "host",
    [
        "evil.example:{port}",
        "evil.example",
        "127.0.0.1.evil.example",
        "localhost.evil.example",
        "evil.example@127.0.0.1.x",
        "[::1",
        "10.0.0.1",
        "",
        "[",
    ],
)
def test_by_a_foreign_name_it_tells_nothing(listener: Listener, host: str, path: str) -> None:
    assert ask(listener, path=path, Host=host.format(port=listener.port)).status == 421


def test_two_names_are_no_name(listener: Listener) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as line:
        line.sendall(b"GET /metrics HTTP/1.0\r\nHost: 127.0.0.1\r\nHost: evil.example\r\n\r\n")
        assert line.makefile("rb").readline().split()[1] == b"421"


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_but_reading_is_allowed(listener: Listener, method: str) -> None:
    response = ask(listener, method, Host="127.0.0.1")
    assert (response.status, response.getheader("Allow")) == (405, "GET, HEAD")


def test_the_page_loads_nothing_and_is_shown_in_no_other(listener: Listener) -> None:
    policy = ask(listener, path="/", Host="127.0.0.1").getheader("Content-Security-Policy")
    assert policy == "default-src 'none'; frame-ancestors 'none'"


@pytest.mark.parametrize("head", [b"X-A: 1\r\n" * 1000, b"X-A: " + b"1" * 100_000])
def test_a_head_without_measure_is_refused(listener: Listener, head: bytes) -> None:
    with socket.create_connection(("127.0.0.1", listener.port), timeout=20) as line:
        line.sendall(b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n" + head + b"\r\n\r\n")
        assert line.makefile("rb").readline().split()[1] == b"431"
