"""Step 6, the sink: a connection to Postgres that another thread can cut, whatever the server does or does not."""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import threading
from collections.abc import Iterator
from typing import Any, Final

import psycopg
from psycopg import conninfo
from psycopg.pq import TransactionStatus

from gsc_daemon.errors import ConfigError, SinkUnavailable
from gsc_daemon.sink.failures import as_ours
from gsc_daemon.sink.statements import statement

Connection = psycopg.Connection[tuple[Any, ...]]

CONNECT_SECONDS: Final = 10
STATEMENT_SECONDS: Final = 60
LOCK_SECONDS: Final = 15
PATIENCE: Final = 75.0  # seconds for one piece of work; above the server's own limits, whose errors say more
_DEFAULTS: Final = {
    "connect_timeout": str(CONNECT_SECONDS),
    "application_name": "gscd",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}


class Line:
    """One connection, made when first needed and again when it broke.

    Work is done by one thread; `cut` may come from any other, or from a signal.
    """

    def __init__(self, dsn: str, schema: str) -> None:
        self._dsn, self._schema = dsn, schema
        self._lock = threading.RLock()  # a signal may find its own thread inside
        self._connection: Connection | None = None
        self._attempt: _Attempt | None = None
        self._working = False
        self._cut = ""

    @contextlib.contextmanager
    def work(self, patience: float | None = PATIENCE) -> Iterator[Connection]:
        """The connection, outside of any transaction, for one piece of work that takes at most ``patience`` seconds.

        Errors of psycopg become ours.
        """
        with self._lock:
            self._working, self._cut = True, ""
        try:
            with self._at_most(patience):
                yield self._ready()
        except psycopg.Error as error:
            if self._cut:
                raise SinkUnavailable(self._cut) from error
            raise as_ours(error) from error
        finally:
            with self._lock:
                self._working = False
            self._tidy()

    def cut(self, because: str) -> None:
        """End the work under way at once: it raises `SinkUnavailable`. Without any, nothing happens."""
        with self._lock:
            if not self._working:
                return
            self._cut = because
            if self._attempt is not None:
                self._attempt.give_up()
            elif self._connection is not None and not self._connection.closed:
                _shut(self._connection)

    def close(self) -> None:
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                connection.close()

    @contextlib.contextmanager
    def _at_most(self, seconds: float | None) -> Iterator[None]:
        """A server that hangs keeps no limits of its own."""
        if seconds is None:
            yield
            return
        timer = threading.Timer(seconds, self.cut, (f"Postgres has not answered for {seconds:.0f} s",))
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _ready(self) -> Connection:
        if self._connection is not None and not _fresh(self._connection):
            self.close()
        return self._connection or self._connect()

    def _connect(self) -> Connection:
        with self._lock:
            self._check_cut()
            attempt = self._attempt = _Attempt(self._conninfo())
        answer = attempt.answer.get()
        with self._lock:
            self._attempt = None
            if isinstance(answer, psycopg.Connection):
                self._connection = answer
            self._check_cut()
        if not isinstance(answer, psycopg.Connection):
            raise answer
        try:
            self._begin(answer)
        except BaseException:
            self.close()
            raise
        return answer

    def _begin(self, connection: Connection) -> None:
        connection.isolation_level = psycopg.IsolationLevel.READ_COMMITTED
        limits = {"statement_ms": STATEMENT_SECONDS, "lock_ms": LOCK_SECONDS, "idle_ms": STATEMENT_SECONDS}
        values = {name: str(int(seconds * 1000)) for name, seconds in limits.items()}
        connection.execute(statement("session"), {"schema": self._schema, **values})

    def _check_cut(self) -> None:
        if self._cut:
            raise SinkUnavailable(self._cut)

    def _conninfo(self) -> str:
        try:
            given = conninfo.conninfo_to_dict(self._dsn)
        except (psycopg.Error, UnicodeDecodeError):
            # Neither its words nor its cause: they quote the DSN, password and all.
            raise ConfigError("sink.dsn is no connection string that libpq can read") from None
        settings = {**_DEFAULTS, **given, "client_encoding": "utf8"}
        return conninfo.make_conninfo(**{name: str(value) for name, value in settings.items() if value is not None})

    def _tidy(self) -> None:
        """Keep the connection only if it can be used again."""
        connection = self._connection
        if connection is not None and connection.info.transaction_status is not TransactionStatus.IDLE:
            self.close()


class _Attempt:
    """Connecting, in a thread of its own: libpq can hang in looking up a name, and nothing interrupts it there."""

    def __init__(self, target: str) -> None:
        self.answer: queue.SimpleQueue[Connection | psycopg.Error] = queue.SimpleQueue()
        self._target = target
        self._lock = threading.Lock()
        self._given_up = False
        threading.Thread(target=self._connect, name="postgres", daemon=True).start()

    def give_up(self) -> None:
        """Answer now; what comes of the attempt later is closed."""
        with self._lock:
            self._given_up = True
            self.answer.put(psycopg.OperationalError("given up"))

    def _connect(self) -> None:
        result: Connection | psycopg.Error
        try:
            # Not prepared on the server: a plan made for some other day or an empty table costs more than planning.
            result = psycopg.connect(self._target, autocommit=True, prepare_threshold=None)
        except psycopg.Error as error:
            result = error
        with self._lock:
            if not self._given_up:
                self.answer.put(result)
            elif isinstance(result, psycopg.Connection):
                result.close()


def _fresh(connection: Connection) -> bool:
    """Whether an idle connection can be used: a server that ended it, or said something unasked, made it readable."""
    if connection.closed:
        return False
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLIN)
    return not poll.poll(0)


def _shut(connection: Connection) -> None:
    """Both directions of the socket: whoever waits for it wakes up. Asking the server could hang as it does."""
    with contextlib.suppress(OSError), socket.socket(fileno=os.dup(connection.fileno())) as line:
        line.shutdown(socket.SHUT_RDWR)
