"""Beside the way of the data: a throw-away Redis (or Valkey), or an empty database of a server that is given."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

from redis import Redis as Client
from redis import RedisError
from redis.backoff import NoBackoff
from redis.retry import Retry

from gsc_daemon.errors import Unavailable, UsageError
from gsc_daemon.servers.private import PrivateServer
from gsc_daemon.servers.programs import find_redis

GIVEN_VARIABLE: Final = "GSCD_TEST_REDIS_URL"
OWNER_KEY: Final = "gscd-test-owner"


class Redis:
    """A Redis server; see `redis`.

    Attributes:
        version: such as ``Redis 7.0.15`` or ``Valkey 9.1.2 (Redis-compatible)``.
        url: as ``rate_limit.storage`` and `limits` read it.
    """

    def __init__(self, url: str, private: PrivateServer | None) -> None:
        self.url = url
        self._private = private
        self.version = self._ask_version()

    def flush(self) -> None:
        """Remove every key of our own database. Raises `Unavailable`."""
        with _client(self.url) as client:
            keys = [key for key in client.scan_iter(count=1000) if key != OWNER_KEY.encode()]
            if keys:
                client.unlink(*keys)

    def start(self) -> None:
        """Start it again at the same address, empty."""
        _start(self._own())

    def stop(self) -> None:
        """Shut down; it keeps nothing."""
        self._own().stop()

    def kill(self) -> None:
        """SIGKILL."""
        self._own().kill()

    def freeze(self) -> None:
        """It accepts connections and answers nothing, until `thaw`."""
        self._own().freeze()

    def thaw(self) -> None:
        self._own().thaw()

    @property
    def log(self) -> Path:
        """The server's log file."""
        return self._own().log

    def _own(self) -> PrivateServer:
        if self._private is None:
            raise UsageError(f"the server of {GIVEN_VARIABLE} is not ours to start, stop or freeze")
        return self._private

    def _ask_version(self) -> str:
        with _client(self.url) as client:
            info: dict[str, Any] = client.info("server")
        if "valkey_version" in info:
            return f"Valkey {info['valkey_version']} (Redis-compatible)"
        return f"Redis {info['redis_version']}"


@contextlib.contextmanager
def redis(*, private: bool = False) -> Iterator[Redis]:
    """A Redis for the length of the ``with`` block.

    Args:
        private: never take the server that `GIVEN_VARIABLE` names.

    Raises `Unavailable` with what to install.
    """
    given = os.environ.get(GIVEN_VARIABLE, "")
    if given and not private:
        url = _take_database(given)
        server = Redis(url, None)
        try:
            yield server
        finally:
            server.flush()
            with _client(url) as client:
                client.delete(OWNER_KEY)
        return
    process = PrivateServer(find_redis(), stop_signal="TERM", guard_signal="KILL")
    try:
        _start(process)
        yield Redis(f"redis+unix://{_socket(process)}", process)
    finally:
        process.close()


def _start(process: PrivateServer) -> None:
    options = {
        "--port": "0",
        "--unixsocket": str(_socket(process)),
        "--unixsocketperm": "700",
        "--dir": str(process.folder),
        "--save": "",
        "--appendonly": "no",
        "--maxmemory-policy": "noeviction",
        "--daemonize": "no",
    }
    words = [word for pair in options.items() for word in pair]
    process.start([process.program, *words], lambda _pid: _answers(_socket(process)))


def _socket(process: PrivateServer) -> Path:
    return process.folder / "redis.sock"


def _answers(socket: Path) -> bool:
    with Client(unix_socket_path=str(socket), retry=Retry(NoBackoff(), 0)) as client:
        try:
            return bool(client.ping())
        except RedisError:
            return False


@contextlib.contextmanager
def _client(url: str) -> Iterator[Client]:
    try:
        with Client.from_url(url.replace("redis+unix://", "unix://"), socket_timeout=20) as client:
            yield client
    except RedisError as error:
        raise Unavailable(f"Redis refused: {error}") from error


def _take_database(given: str) -> str:
    """The URL of an empty database of the given server, marked as ours. Raises `Unavailable`, `UsageError`."""
    parts = urlsplit(given)
    if parts.scheme not in ("redis", "rediss", "redis+unix"):
        raise UsageError(f"{GIVEN_VARIABLE} must be a redis://, rediss:// or redis+unix:// URL")
    for number in range(15, 0, -1):
        if parts.scheme == "redis+unix":
            url = f"redis+unix://{parts.path}?db={number}"
        else:
            url = urlunsplit(parts._replace(path=f"/{number}"))
        with _client(url) as client:
            if client.dbsize() == 0 and client.set(OWNER_KEY, secrets.token_hex(8), nx=True, ex=86400):
                return url
    raise Unavailable(f"no empty database is left on the server of {GIVEN_VARIABLE}")
