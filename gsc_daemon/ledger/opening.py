"""The ledger is opened, made, and brought to this program's version."""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from gsc_daemon.clock import Clock
from gsc_daemon.errors import ConfigError, LedgerUnavailable, NotPermitted
from gsc_daemon.ledger.connection import FILE_MODE, Connection, user_name
from gsc_daemon.ledger.sqlite_ledger import SqliteLedger
from gsc_daemon.ledger.statements import migrations

APPLICATION_ID: Final = 0x67736364  # "gscd"


def open_ledger(
    path: Path,
    clock: Clock,
    *,
    create: bool = False,
    read_only: bool = False,
    patience: float = 30.0,
    ledger_id: str | None = None,
) -> SqliteLedger:
    """The ledger at ``path``, brought to this program's version.

    Args:
        create: make it if there is none. patience: seconds to wait for another process' transaction.
        ledger_id: the id that a new ledger is to carry, else a fresh UUID.

    Raises:
        ConfigError: there is none, it is of a newer gscd, or it is something else.
        NotPermitted: this user may not. LedgerUnavailable, LedgerCorrupt: as `ports.Ledger`.
    """
    path = Path(path)
    _find(path, create)
    connection = Connection(path, read_only=read_only, patience=patience)
    try:
        _migrate(connection, ledger_id, create=create)
        return SqliteLedger(connection, clock)
    except BaseException:
        connection.close()
        raise


def _find(path: Path, create: bool) -> None:
    """See that the file is there, or make it, empty and with its mode. Raises as `open_ledger`."""
    try:
        path.lstat()
    except FileNotFoundError as error:
        if not create:
            hint = "`gscd sync recent` makes it, and so does the daemon when it starts"
            raise ConfigError(f"there is no ledger {path}", hint=hint) from error
        _make(path)
    except PermissionError as error:
        raise NotPermitted(f"{user_name()} may not look into {path.parent}", hint="Run this as root") from error
    if path.is_dir():
        raise ConfigError(f"the ledger {path} is a folder", hint="Name a file under [ledger] path")


def _make(path: Path) -> None:
    """SQLite's own files beside it take its mode. Nobody can have it open yet, so closing it drops no lock."""
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR | os.O_CLOEXEC, FILE_MODE))
    except FileExistsError:
        return
    except FileNotFoundError as error:
        hint = "Make it, owned by the daemon's user; systemd's StateDirectory= does that for /var/lib/gscd"
        raise ConfigError(f"there is no folder {path.parent} for the ledger", hint=hint) from error
    except PermissionError as error:
        hint = f"Run this as root or as the owner of {path.parent}"
        raise NotPermitted(f"{user_name()} may not make the ledger {path}", hint=hint) from error
    except OSError as error:
        raise LedgerUnavailable(f"the ledger {path} cannot be made: {error.strerror}") from error


def _migrate(connection: Connection, ledger_id: str | None, *, create: bool) -> None:
    newest = migrations()[-1][0]
    if _version(connection, create=create) == newest:
        return
    if connection.read_only:
        raise ConfigError(
            f"the ledger {connection.path} is of an older gscd", hint="Start the daemon, which brings it up to date"
        )
    import uuid  # only here: commands start sooner without

    with connection.write("migrate"):
        version = _version(connection, create=create)
        for number, text in migrations():
            if number > version:
                for statement in statements_of(text):
                    connection.run(statement)
                connection.run(f"PRAGMA user_version = {number}")
        connection.run("INSERT OR IGNORE INTO meta VALUES ('ledger_id', :id)", {"id": ledger_id or str(uuid.uuid4())})


def _version(connection: Connection, *, create: bool) -> int:
    """The ledger's ``user_version``, 0 for an empty file. Raises `ConfigError` for what this program cannot use."""
    path, newest = connection.path, migrations()[-1][0]
    found = connection.one(
        "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema)"
        " FROM pragma_application_id, pragma_user_version"
    )
    assert found is not None
    application, version, relations = found
    if application not in (0, APPLICATION_ID) or (application == 0 and relations):
        raise ConfigError(f"{path} is a database of another program", hint="Name another file under [ledger] path")
    if not relations and not create:
        hint = "`gscd sync recent` makes one of it, and so does the daemon when it starts"
        raise ConfigError(f"{path} is empty and no ledger yet", hint=hint)
    if version > newest:
        raise ConfigError(
            f"the ledger {path} is of a newer gscd (version {version}, this one knows {newest})",
            hint="Install that gscd again, or start with a copy of the ledger from before",
        )
    return int(version)


def statements_of(text: str) -> Iterator[str]:
    """A script's statements one by one: `executescript` would commit before it begins."""
    lines: list[str] = []
    for line in text.splitlines():
        lines.append(line)
        if sqlite3.complete_statement(candidate := "\n".join(lines)):
            yield candidate
            lines.clear()
    with contextlib.suppress(IndexError):
        if lines[-1].strip() and not lines[-1].startswith("--"):
            yield "\n".join(lines)
