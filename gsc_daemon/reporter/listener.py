"""The reporter's listener: /metrics, a plain page and /healthz, for this machine alone.

It serves texts that the reporter made last, from threads of its own: whoever asks waits for no ledger, no Redis.
"""

from __future__ import annotations

import html
import socket
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Final
from urllib.parse import urlsplit

from gsc_daemon.reporter.metrics import CONTENT_TYPE
from gsc_daemon.settings.values import is_loopback
from gsc_daemon.status import Status

STALE: Final = 60.0  # seconds without a look after which the reporter is not healthy
CLIENT_PATIENCE: Final = 5.0  # seconds for a client to say what it wants


# The page loads nothing and is shown in no other page.
HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, slots=True)
class Texts:
    """What is served, and when it was made (monotonic seconds)."""

    metrics: str
    page: str
    made_at: float


class Listener:
    """Binds at once; raises OSError if the address cannot be had. Serves in a thread that ends with the process."""

    def __init__(self, address: tuple[str, int], monotonic: Callable[[], float] = time.monotonic) -> None:
        self.texts: Texts | None = None
        self.monotonic = monotonic
        listener = self

        class Handler(_Handler):
            serves = listener

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
            daemon_threads = True

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Whoever asked has gone; nobody is told."""

        self._server = Server(address, Handler)
        self.port: int = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, name="listener", daemon=True).start()

    def close(self) -> None:
        """Stop listening; the port is free again."""
        self._server.shutdown()
        self._server.server_close()

    def answer(self, target: str) -> tuple[HTTPStatus, str, str]:
        """Status, content type and text."""
        texts, path = self.texts, target.partition("?")[0]
        if path == "/healthz":
            well = texts is not None and self.monotonic() - texts.made_at < STALE
            return (HTTPStatus.OK, "text/plain", "ok\n") if well else _unwell("the reporter has not looked lately\n")
        if path not in ("/", "/metrics"):
            return HTTPStatus.NOT_FOUND, "text/plain", "here are /, /metrics and /healthz\n"
        if texts is None:
            return _unwell("the reporter has just started\n")
        if path == "/metrics":
            return HTTPStatus.OK, CONTENT_TYPE, texts.metrics
        return HTTPStatus.OK, "text/html; charset=utf-8", texts.page


class _Handler(BaseHTTPRequestHandler):
    serves: Listener
    timeout = CLIENT_PATIENCE
    server_version = "gscd"
    sys_version = ""

    def do_GET(self) -> None:
        if is_ours(self.headers.get_all("Host", [])):
            self._send(*self.serves.answer(self.path))
        else:
            self._send(HTTPStatus.MISDIRECTED_REQUEST, "text/plain", "ask for 127.0.0.1, [::1] or localhost\n")

    def _refuse(self) -> None:
        """Nothing can be changed here; what comes with the request is not read, so the connection ends."""
        self.close_connection = True
        self._send(HTTPStatus.METHOD_NOT_ALLOWED, "text/plain", "only GET and HEAD\n")

    do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_CONNECT = do_TRACE = _refuse  # noqa: N815

    def _send(self, status: HTTPStatus, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        for name, value in HEADERS.items():
            self.send_header(name, value)
        if status is HTTPStatus.METHOD_NOT_ALLOWED:
            self.send_header("Allow", "GET, HEAD")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        """Requests are not logged."""


def is_ours(hosts: Sequence[str]) -> bool:
    """Whether a request is for this machine by its own names.

    A foreign page may have its name answered with our address (DNS rebinding); its browser then says that name here.
    None at all is an old or simple client, which is no browser.
    """
    if not hosts:
        return True
    try:
        host = urlsplit(f"//{hosts[0]}").hostname or ""
    except ValueError:
        return False
    return len(hosts) == 1 and is_loopback(host)


def _unwell(text: str) -> tuple[HTTPStatus, str, str]:
    return HTTPStatus.SERVICE_UNAVAILABLE, "text/plain", text


def plain_page(status: Status) -> str:
    """The verdict and what else is amiss, renewed every 5 s."""
    findings = "\n".join(f"<li>{html.escape(str(finding))}" for finding in status.also)
    queue = status.queue
    figures = (
        f"{status.published:,} of {status.wanted:,} days published; {queue.ready:,} items ready, {queue.waiting:,} "
        f"waiting, {queue.leased:,} leased in {queue.batches:,} batches, {queue.quarantined:,} quarantined; "
        f"{status.rate.qpm[0]:,.0f} of {status.rate.budget:,} queries a minute"
    )
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8"><meta http-equiv="refresh" content="5">\n'
        f"<title>gscd</title>\n<h1>{html.escape(str(status.verdict))}</h1>\n<ul>\n{findings}\n</ul>\n<p>{figures}</p>\n"
        '<p><a href="/metrics">metrics</a></p>\n'
    )
