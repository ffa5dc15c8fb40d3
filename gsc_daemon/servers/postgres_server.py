"""Beside the way of the data: a throw-away PostgreSQL, or databases of our own on a server that is given."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import psycopg
from psycopg import conninfo, sql

from gsc_daemon.errors import Unavailable, UsageError
from gsc_daemon.servers.private import PrivateServer
from gsc_daemon.servers.programs import find_postgres

GIVEN_VARIABLE: Final = "GSCD_TEST_POSTGRES_DSN"
PORT: Final = 5432  # only the socket's name; nothing listens on TCP
ROLE: Final = "gscd"

_SETTINGS: Final = """
listen_addresses = ''
unix_socket_directories = '{folder}'
unix_socket_permissions = 0700
port = {port}
dynamic_shared_memory_type = mmap   # in the folder, so that a kill leaves nothing in /dev/shm
wal_level = minimal
max_wal_senders = 0
timezone = 'UTC'
log_timezone = 'UTC'
"""
_FORGETFUL: Final = """
fsync = off
synchronous_commit = off
full_page_writes = off
"""


class Postgres:
    """A PostgreSQL server; see `postgres`.

    Attributes:
        version: such as ``PostgreSQL 15.18``.
        admin_dsn: libpq DSN of a role that may create databases (a superuser on a private server).
        dsn: libpq DSN of a database that is ready to use, owned by an ordinary role.
    """

    def __init__(self, admin_dsn: str, role: str | None, private: PrivateServer | None) -> None:
        self.admin_dsn = admin_dsn
        self._role = role
        self._private = private
        self._made: set[str] = set()
        self.version = f"PostgreSQL {self._admin('SHOW server_version').split()[0]}"
        if role is not None:
            self._admin(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(role)))
        self.dsn = self.create_database("gsc" if private is not None else self.new_name())

    @staticmethod
    def new_name() -> str:
        """A database name that nobody has."""
        return f"gscd_{secrets.token_hex(8)}"

    def create_database(self, name: str) -> str:
        """A new empty database; gives its DSN. Raises `Unavailable`."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE template0 ENCODING 'UTF8'").format(sql.Identifier(name))
        if self._role is not None:
            # Copying files costs a checkpoint, which is nothing here and a burden to a server that others use.
            statement += sql.SQL(" STRATEGY file_copy OWNER {}").format(sql.Identifier(self._role))
        self._admin(statement)
        self._made.add(name)
        user = {"user": self._role} if self._role is not None else {}
        return conninfo.make_conninfo(self.admin_dsn, dbname=name, **user)

    def drop_database(self, name: str) -> None:
        """Drop a database that was made here, whoever is connected to it. Raises `UsageError`, `Unavailable`."""
        if name not in self._made:
            raise UsageError(f"database {name} was not made here, so it is not dropped")
        self._admin(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        self._made.discard(name)

    def drop_databases(self) -> None:
        """Drop all that were made here."""
        for name in sorted(self._made):
            self.drop_database(name)

    def start(self) -> None:
        """Start it again at the same address and wait until it takes connections."""
        _start(self._own())

    def stop(self) -> None:
        """Shut down, disconnecting everybody."""
        self._own().stop()

    def kill(self) -> None:
        """All its processes at once, as a power cut would."""
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

    def _admin(self, statement: str | sql.Composable) -> str:
        try:
            with psycopg.connect(self.admin_dsn, autocommit=True, connect_timeout=20) as connection:
                result = connection.execute(statement)  # type: ignore[arg-type]  # our own text
                row = result.fetchone() if result.description is not None else None
                return "" if row is None else str(row[0])
        except psycopg.Error as error:
            raise Unavailable(f"Postgres refused: {error}".strip()) from error


@contextlib.contextmanager
def postgres(*, private: bool = False, durable: bool = False) -> Iterator[Postgres]:
    """A PostgreSQL for the length of the ``with`` block.

    Args:
        private: never take the server that `GIVEN_VARIABLE` names.
        durable: fsync as in production; else faster, and only the machine's own crash could lose something.

    Raises `Unavailable` with what to install.
    """
    given = os.environ.get(GIVEN_VARIABLE, "")
    if given and not private:
        server = Postgres(given, None, None)
        try:
            yield server
        finally:
            server.drop_databases()
        return
    process = PrivateServer(find_postgres(), stop_signal="INT", guard_signal="QUIT")
    try:
        _init(process, durable)
        _start(process)
        address = conninfo.make_conninfo(host=str(process.folder), port=PORT, user="postgres", dbname="postgres")
        yield Postgres(address, ROLE, process)
    finally:
        process.close()


def _init(process: PrivateServer, durable: bool) -> None:
    data = process.folder / "data"
    initdb = process.program.with_name("initdb")
    process.run([initdb, "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "-N"])
    settings = _SETTINGS.format(folder=process.folder, port=PORT) + ("" if durable else _FORGETFUL)
    with (data / "postgresql.conf").open("a") as file:
        file.write(settings)


def _start(process: PrivateServer) -> None:
    process.start([process.program, "-D", process.folder / "data"], lambda pid: _is_ready(process.folder, pid))


def _is_ready(folder: Path, pid: int) -> bool:
    """The postmaster's own word: line 1 is its pid, line 8 its state. A killed one leaves an old file."""
    try:
        lines = (folder / "data" / "postmaster.pid").read_text().splitlines()
    except FileNotFoundError:
        return False
    return len(lines) >= 8 and lines[0] == str(pid) and lines[7].strip() == "ready"
