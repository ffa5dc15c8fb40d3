"""Step 6, the sink: the schema, made and brought to this program's version; what the server must be for that."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psycopg
from psycopg import errors, rows, sql

from gsc_daemon import failpoint
from gsc_daemon.errors import ConfigError
from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.statements import statement

OLDEST_SERVER: Final = 150000  # MERGE came with 15
_FOLDER: Final = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True)
class Migration:
    """One numbered step: ``migrations/NNNN_name.sql``."""

    version: int
    name: str
    path: Path


@functools.cache
def migrations() -> Sequence[Migration]:
    """All of them, oldest first."""
    paths = sorted(_FOLDER.glob("*.sql"))
    return [Migration(int(path.stem.split("_")[0]), path.stem, path) for path in paths]


@dataclass(frozen=True, slots=True)
class Server:
    """What Postgres says of itself and of our schema.

    Args:
        schema_oid: None where there is no schema. made: whether a migration was ever applied.
    """

    version: int
    version_text: str
    read_only: bool
    encoding: str
    database: str
    role: str
    schema_oid: int | None
    made: bool


def look(connection: Connection, schema: str) -> Server:
    """One round trip; works on any server and without a schema."""
    with connection.cursor(row_factory=rows.class_row(Server)) as cursor:
        server = cursor.execute(statement("server"), {"schema": schema}).fetchone()
    assert server is not None
    return server


def schema_version(connection: Connection, server: Server) -> int:
    """The newest migration applied, 0 for none."""
    row: tuple[Any, ...] | None = connection.execute(statement("schema_version")).fetchone() if server.made else None
    return 0 if row is None or row[0] is None else int(row[0])


def migrate(connection: Connection, schema: str) -> None:
    """Apply what is missing, all in one transaction; others who come at the same time wait.

    Raises `ConfigError`: the server is too old, holds no UTF-8, its schema is newer than this program, or this role may
    not create.
    """
    server = look(connection, schema)
    _check(server)
    newest = migrations()[-1].version
    found = schema_version(connection, server)
    if found > newest:
        raise ConfigError(
            f'the schema "{schema}" is of version {found}, newer than this program knows ({newest})',
            hint="Install the newest gscd",
        )
    if found == newest:
        return
    try:
        with connection.transaction():
            _apply(connection, schema)
            failpoint.hit("sink.migrate.before", psycopg.OperationalError)
        failpoint.hit("sink.migrate.after", psycopg.OperationalError)
    except (errors.InsufficientPrivilege, errors.InvalidSchemaName) as error:
        raise _may_not(server, schema) from error


def _check(server: Server) -> None:
    if server.version < OLDEST_SERVER:
        raise ConfigError(
            f"Postgres is {server.version_text}, and gscd needs 15 or newer", hint="Upgrade it, or correct sink.dsn"
        )
    if server.encoding != "UTF8":
        raise ConfigError(
            f"the database {server.database} is encoded in {server.encoding}, which cannot hold every query",
            hint="Make one with createdb --encoding=UTF8 --template=template0, and name it in sink.dsn",
        )


def _apply(connection: Connection, schema: str) -> None:
    connection.execute(statement("lock_structure"), {"schema": schema})
    server = look(connection, schema)
    if server.schema_oid is None:
        connection.execute(statement("create_schema", schema=sql.Identifier(schema)))
    connection.execute(statement("create_migrations"))
    found = schema_version(connection, look(connection, schema))
    for step in migrations():
        if step.version > found:
            connection.execute(sql.SQL(step.path.read_text(encoding="utf-8")))
            connection.execute(statement("note_migration"), {"version": step.version, "name": step.name})


def _may_not(server: Server, schema: str) -> ConfigError:
    role, name = _quoted(server.role), _quoted(schema)
    if server.schema_oid is None:
        remedy = f"CREATE SCHEMA {name} AUTHORIZATION {role};"
    else:
        remedy = f"GRANT USAGE, CREATE ON SCHEMA {name} TO {role};"
    return ConfigError(
        f"the role {server.role} may not make the relations of gscd in the database {server.database}",
        hint=f"As a superuser or the owner, run there: {remedy}",
    )


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
