"""Step 6, the sink: a role that may read what analysts read, the views, and nothing else."""

from __future__ import annotations

from psycopg import errors, sql

from gsc_daemon.errors import ConfigError
from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.statements import statement


def let_read(connection: Connection, schema: str, role: str) -> None:
    """Make the role if there is none, and let it read every view of the schema.

    Raises `ConfigError` if there is none and this role may make none.
    """
    values = {"role": role}
    if _has_role(connection, role) and not connection.execute(statement("reader_lacks"), values).fetchall():
        return
    name = sql.Identifier(role)
    with connection.transaction():
        connection.execute(statement("lock_structure"))
        if not _has_role(connection, role):
            _make(connection, role)
        connection.execute(statement("grant_schema", schema=sql.Identifier(schema), role=name))
        for (view,) in connection.execute(statement("reader_lacks"), values).fetchall():
            if view is not None:
                connection.execute(statement("grant_view", view=sql.Identifier(view), role=name))


def _has_role(connection: Connection, role: str) -> bool:
    found = connection.execute(statement("has_role"), {"role": role}).fetchone()
    return found is not None and bool(found[0])


def _make(connection: Connection, role: str) -> None:
    try:
        with connection.transaction():
            connection.execute(statement("create_role", role=sql.Identifier(role)))
    except errors.InsufficientPrivilege as error:
        raise ConfigError(
            f"there is no role {role} (sink.reader), and gscd may not make one",
            hint=f"As a superuser, run: CREATE ROLE {role} NOLOGIN;",
        ) from error
