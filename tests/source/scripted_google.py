"""A Google of the tests: raw sockets, so that resets, cuts, trickles and silence are real; tokens really verified."""

from __future__ import annotations

import base64
import collections
import contextlib
import gzip
import json
import os
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

SCOPE = "https://www.googleapis.com/auth/webmasters.readonly"
EMAIL = "reader@project.iam.gserviceaccount.com"


@dataclass
class Asked:
    """One request as it came."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    connection: int

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Line:
    """The server's end of one connection, for answers that are written by hand."""

    sock: socket.socket
    stop: threading.Event

    def send(self, data: bytes) -> None:
        self.sock.sendall(data)

    def close(self) -> None:
        """Really: a socket with a file made of it stays open when it is closed."""
        os.close(self.sock.detach())

    def reset(self) -> None:
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def until_closed(self) -> None:
        """Until the client has ended the connection (or the test is over)."""
        self.sock.settimeout(0.05)
        while not self.stop.is_set():
            try:
                if not self.sock.recv(65536):
                    return
            except TimeoutError:
                continue
            except OSError:
                return


Answer = Callable[[Line], None]


def reply(status: int, body: Any, *, compress: bool = True, close: bool = False, **headers: str) -> Answer:
    """A whole and honest answer; dicts become JSON."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()

    def answer(line: Line) -> None:
        sent = gzip.compress(data, 1) if compress else data
        head = {"Content-Type": "application/json; charset=UTF-8", "Content-Length": str(len(sent))}
        head |= {name.replace("_", "-"): value for name, value in headers.items()}
        if compress:
            head["Content-Encoding"] = "gzip"
        if close:
            head["Connection"] = "close"
        text = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        line.send(f"HTTP/1.1 {status} Status\r\n{text}\r\n".encode() + sent)
        if close:
            line.close()

    return answer


def raw(data: bytes, *, close: bool = True) -> Answer:
    """Exactly these bytes."""

    def answer(line: Line) -> None:
        line.send(data)
        if close:
            line.close()

    return answer


def framed(body: bytes, length: int | None = None, **headers: str) -> bytes:
    """A 200 whose Content-Length need not be true."""
    head = {"Content-Type": "application/json", "Content-Length": str(len(body) if length is None else length)}
    head |= {name.replace("_", "-"): value for name, value in headers.items()}
    return ("HTTP/1.1 200 OK\r\n" + "".join(f"{n}: {v}\r\n" for n, v in head.items()) + "\r\n").encode() + body


def reset(line: Line) -> None:
    """The connection is torn without a byte."""
    line.reset()


def hang(line: Line) -> None:
    """No answer, ever."""
    line.until_closed()


def trickle(start: bytes) -> Answer:
    """The start at once, then a byte now and then without end."""

    def answer(line: Line) -> None:
        line.send(start)
        with contextlib.suppress(OSError):
            while not line.stop.wait(0.01):
                line.send(b"a")

    return answer


def rows(*keys: list[str], clicks: float = 1.0) -> dict[str, Any]:
    """The JSON of an answer with a row for each list of keys."""
    return {
        "rows": [{"keys": key, "clicks": clicks, "impressions": 4.0, "ctr": 0.25, "position": 2.5} for key in keys],
        "responseAggregationType": "byPage",
    }


@dataclass
class ScriptedGoogle:
    """Serves one client after another, each in a thread; `answer` decides what a call to the API gets."""

    key: rsa.RSAPrivateKey
    answer: Callable[[Asked], Answer] = field(default=lambda asked: reply(200, {}))
    token_answer: Callable[[Asked], Answer] | None = None
    asked: list[Asked] = field(default_factory=list)
    token_calls: list[dict[str, str]] = field(default_factory=list)
    connections: int = 0
    refresh_tokens: set[str] = field(default_factory=set)
    revoked: set[str] = field(default_factory=set)
    given: list[str] = field(default_factory=list)
    lifetime: int = 3600
    tls: ssl.SSLContext | None = None
    greet: bool = True  # else TLS is never answered

    def __post_init__(self) -> None:
        self.stop = threading.Event()
        self.silent = 0  # connections that wait for TLS in vain
        self.changed = threading.Condition()
        self._open: list[socket.socket] = []
        self._threads: list[threading.Thread] = []
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        scheme = "https" if self.tls else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._start(self._accept)

    def close(self) -> None:
        if self.stop.is_set():
            return
        self.stop.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for sock in self._open:
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5)
        for sock in self._open:
            sock.close()

    def wait_for(self, condition: Callable[[], bool]) -> None:
        """Until it holds; looked at whenever a request comes, and now and then."""
        deadline = time.monotonic() + 20
        with self.changed:
            while not condition():
                assert time.monotonic() < deadline, "it never came to pass"
                self.changed.wait(0.02)

    def _start(self, target: Callable[..., None], *args: Any) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while not self.stop.is_set():
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            self._open.append(sock)
            self.connections += 1
            self._start(self._serve, sock, self.connections)

    def _serve(self, sock: socket.socket, number: int) -> None:
        if self.tls is not None:
            if not self.greet:
                self.silent += 1
                Line(sock, self.stop).until_closed()
                self.silent -= 1
                return
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                return
            self._open.append(sock)
        with contextlib.suppress(OSError, ValueError), sock.makefile("rb") as stream:
            while (asked := _read(stream, number)) is not None:
                answer = self._route(asked)
                with self.changed:
                    self.changed.notify_all()
                answer(Line(sock, self.stop))
                sock.getpeername()  # raises once the answer has closed it

    def _route(self, asked: Asked) -> Answer:
        if asked.path == "/token":
            self.token_calls.append({name: values[0] for name, values in parse_qs(asked.body.decode()).items()})
            return (self.token_answer or self._token)(asked)
        self.asked.append(asked)
        token = asked.headers.get("authorization", "").removeprefix("Bearer ")
        if token not in self.given or token in self.revoked:
            return reply(401, UNAUTHORIZED)
        return self.answer(asked)

    def _token(self, asked: Asked) -> Answer:
        call = self.token_calls[-1]
        if call["grant_type"] == "refresh_token":
            granted = call["refresh_token"] in self.refresh_tokens and call.get("scope") == SCOPE
        else:
            granted = self._signed_well(call["assertion"])
        if not granted:
            return reply(400, {"error": "invalid_grant", "error_description": "Bad Request"}, compress=False)
        token = f"ya29.token-{len(self.given)}"
        self.given.append(token)
        return reply(200, {"access_token": token, "expires_in": self.lifetime, "token_type": "Bearer"}, compress=False)

    def _signed_well(self, assertion: str) -> bool:
        head, claims, signature = assertion.split(".")
        self.key.public_key().verify(
            _unbase64(signature), f"{head}.{claims}".encode(), padding.PKCS1v15(), hashes.SHA256()
        )
        says = json.loads(_unbase64(claims))
        now = time.time()
        return (
            json.loads(_unbase64(head))["alg"] == "RS256"
            and says["iss"] == EMAIL
            and says["aud"] == "https://oauth2.googleapis.com/token"
            and says["scope"] == SCOPE
            and says["iat"] - 60 <= now < says["exp"] <= now + 3660
        )

    def service_account(self) -> dict[str, str]:
        """What a key file holds."""
        pem = self.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        return {
            "type": "service_account",
            "project_id": "project",
            "private_key_id": "1",
            "private_key": pem.decode(),
            "client_email": EMAIL,
            "client_id": "1",
            "token_uri": f"{self.url}/token",
        }


UNAUTHORIZED = {
    "error": {
        "code": 401,
        "message": "Request had invalid authentication credentials.",
        "errors": [{"message": "Invalid Credentials", "domain": "global", "reason": "authError"}],
        "status": "UNAUTHENTICATED",
    }
}


def _unbase64(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _read(stream: Any, number: int) -> Asked | None:
    line = stream.readline().decode()
    if not line:
        return None
    method, path, _ = line.split(" ", 2)
    headers: dict[str, str] = collections.defaultdict(str)
    while (line := stream.readline().decode().rstrip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    body = stream.read(int(headers["content-length"] or 0))
    return Asked(method, path, dict(headers), body, number)
