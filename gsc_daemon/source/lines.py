"""Step 5, fetch, connections: `requests` on a keep-alive pool, whose exchanges can be ended from another thread."""

from __future__ import annotations

import contextlib
import errno
import socket
import ssl
import threading
from collections.abc import Iterable, Iterator, Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Final, TypeVar
from urllib.parse import urlsplit

import requests
import requests.adapters
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from gsc_daemon import __version__, failpoint
from gsc_daemon.settings.values import is_loopback
from gsc_daemon.source.body import NotWhole, inflate
from gsc_daemon.source.flights import Flight

CONNECT_SECONDS: Final = 10.0
SPARE_SECONDS: Final = 5.0  # the tower ends what is late; a socket's own timeout is for a tower that cannot
PIECE: Final = 64 * 1024
SMALL_BODY_MAX: Final = 16 * 1024 * 1024
# Google compresses only for who says gzip here too: developers.google.com/webmaster-tools/v1/how-tos/performance
AGENT: Final = f"gscd/{__version__} (gzip)"
_METADATA_HOSTS: Final = ("metadata.google.internal", "169.254.169.254")

E = TypeVar("E", bound=BaseException)

_flying = threading.local()  # .flight: what this thread is doing


class NoAnswer(Exception):
    """The exchange failed on its way.

    Args:
        hint: what to do about it, or "".
    """

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


class _Watched(HTTPConnection):
    """A connection that tells the flight of its thread which socket it uses."""

    def _new_conn(self) -> socket.socket:
        sock = super()._new_conn()
        try:
            _flying.flight.hold(sock)
        except BaseException:
            sock.close()
            raise
        return sock

    def request(self, *args: Any, **options: Any) -> None:
        if self.sock is not None:
            _flying.flight.hold(self.sock)
        super().request(*args, **options)


class _WatchedTls(_Watched, HTTPSConnection):
    pass


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Watched


class _TlsPool(HTTPSConnectionPool):
    ConnectionCls = _WatchedTls


_POOLS: Final = {"http": _Pool, "https": _TlsPool}


class _Adapter(requests.adapters.HTTPAdapter):
    """`requests`' own, on watched connections."""

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, *args: Any, **options: Any) -> Any:
        manager = super().proxy_manager_for(*args, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class Incoming:
    """An answer whose body is still to come."""

    def __init__(self, response: requests.Response) -> None:
        self._response = response
        self.status: int = response.status_code
        self.headers: Mapping[str, str] = response.headers

    @property
    def gzipped(self) -> bool:
        """Raises `NotWhole` for an encoding that nobody asked for."""
        encoding = self.headers.get("Content-Encoding", "").strip().lower()
        if encoding not in ("", "identity", "gzip", "x-gzip"):
            raise NotWhole("it is in an encoding that nobody asked for")
        return encoding.endswith("gzip")

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes, not decoded. Raises `NotWhole` for chunks that are none."""
        try:
            yield from self._response.raw.stream(PIECE, decode_content=False)
        except ValueError as error:  # urllib3 hands on what a negative length of a chunk leads to
            raise NotWhole("its framing is not HTTP's") from error

    def read(self) -> bytes:
        """A small body, decoded; b"" for one that cannot be."""
        try:
            return small(inflate(self.pieces()) if self.gzipped else self.pieces())
        except NotWhole:
            return b""


def small(pieces: Iterable[bytes]) -> bytes:
    """All of them; b"" once they are more than small."""
    data = bytearray()
    for piece in pieces:
        data += piece
        if len(data) > SMALL_BODY_MAX:
            return b""
    return bytes(data)


class Lines:
    """All connections of one process.

    Args:
        connections: how many are kept open for the next exchange. seconds: what an exchange may take.
    """

    def __init__(self, connections: int, seconds: float) -> None:
        self._timeout = (min(CONNECT_SECONDS, seconds), seconds + SPARE_SECONDS)
        self._outside = _session(connections, trust_env=True)
        self._inside = _session(connections, trust_env=False)

    @contextlib.contextmanager
    def exchange(
        self, flight: Flight, method: str, url: str, headers: Mapping[str, str], body: bytes | None
    ) -> Iterator[Incoming]:
        """Send a request for this flight, from its thread; the body of the answer is read inside of the ``with``.

        Raises `NoAnswer`, `Cut`.
        """
        flight.check()
        _flying.flight = flight
        try:
            failpoint.hit("source.exchange.before", requests.ConnectionError)
            with self._session(url).request(
                method, url, data=body, headers=headers, stream=True, allow_redirects=False, timeout=self._timeout
            ) as response:
                failpoint.hit("source.exchange.after", requests.ConnectionError)
                yield Incoming(response)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            flight.check()
            raise no_answer(error, urlsplit(url).hostname or "") from error
        finally:
            flight.let_go()

    def _session(self, url: str) -> requests.Session:
        """No proxy stands between us and this machine or its metadata server."""
        host = urlsplit(url).hostname or ""
        return self._inside if is_loopback(host) or host in _METADATA_HOSTS else self._outside

    def close(self) -> None:
        """Close what is kept open."""
        self._outside.close()
        self._inside.close()


def _session(connections: int, *, trust_env: bool) -> requests.Session:
    session = requests.Session()
    session.trust_env = trust_env
    session.auth = _as_it_is  # else a ~/.netrc could put a password in the token's place
    session.headers.update({"User-Agent": AGENT, "Accept-Encoding": "gzip"})
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    for scheme in _POOLS:
        session.mount(f"{scheme}://", _Adapter(pool_connections=4, pool_maxsize=connections))
    return session


def _as_it_is(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def no_answer(error: BaseException, host: str) -> NoAnswer:
    """What went wrong on the way, without the addresses and objects that `requests` puts into its texts."""
    causes = list(_causes(error))
    if distrust := _first(causes, ssl.SSLCertVerificationError):
        return NoAnswer(
            f"{host} has a certificate that is not trusted here: {distrust.verify_message}",
            "Behind a proxy that opens TLS, name its CA file in REQUESTS_CA_BUNDLE",
        )
    if _first(causes, requests.exceptions.ProxyError):
        return NoAnswer("the proxy gives no way", "Check HTTPS_PROXY")
    if _first(causes, socket.gaierror):
        return NoAnswer(f"the name {host} is not found", "Check the network and its name server")
    if _first(causes, TimeoutError):
        return NoAnswer(f"{host} does not answer")
    system = next((cause for cause in causes if isinstance(cause, OSError) and cause.errno and cause.strerror), None)
    if system is None:
        return NoAnswer(f"{host} closed the connection before its answer was whole ({type(causes[-1]).__name__})")
    if system.errno == errno.ENOSPC:
        return NoAnswer("there is no room for a temporary file", "Free space where TMPDIR points, or in /tmp")
    return NoAnswer(f"{host}: {system.strerror}")


def _first(causes: list[BaseException], kind: type[E]) -> E | None:
    return next((cause for cause in causes if isinstance(cause, kind)), None)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error and all that it came from, the way the libraries nest them."""
    seen: set[int] = set()
    waiting = [error]
    while waiting:
        cause = waiting.pop(0)
        if not isinstance(cause, BaseException) or id(cause) in seen:
            continue
        seen.add(id(cause))
        yield cause
        waiting += [cause.__cause__, getattr(cause, "reason", None), *cause.args, cause.__context__]
