"""Beside step 6, the sink: sums by month, for an analyst's questions, made by a worker that has nothing else to do."""

from __future__ import annotations

from typing import Final

from psycopg import errors, sql

from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.statements import statement

SUMS: Final = {"month_queries": "query", "month_pages": "page"}  # relation: the column that it sums by


def roll_up(connection: Connection) -> bool:
    """Sum the newest month that is out of date; False if none is, or somebody else is at it.

    Its stamp and its rows are read from one state of the database, so that a day published meanwhile makes it out of
    date again.
    """
    try:
        with connection.transaction():
            return sum_one(connection)
    except errors.ForeignKeyViolation:  # the site was forgotten meanwhile
        return False


def sum_one(connection: Connection) -> bool:
    """Within a transaction that has not looked at anything yet."""
    connection.execute(statement("one_state"))
    locked = connection.execute(statement("lock_rollups")).fetchone()
    found = connection.execute(statement("stale_month")).fetchone() if locked and locked[0] else None
    if found is None:
        return False
    month = dict(zip(("site_id", "search_type", "month", "stamp"), found, strict=True))
    for relation, column in SUMS.items():
        sums = sql.Identifier(relation)
        connection.execute(statement("forget_month", sums=sums), month)
        connection.execute(statement("sum_month", sums=sums, column=sql.Identifier(column)), month)
    connection.execute(statement("note_month"), month)
    return True


def forget(connection: Connection, site_id: int) -> None:
    """The sums of a site that is being forgotten."""
    for relation in (*SUMS, "rollups"):
        connection.execute(statement("forget_rollups", sums=sql.Identifier(relation)), {"site_id": site_id})
