"""Step 6, the sink: a partition for each month, made before the first day of that month is published."""

from __future__ import annotations

import datetime as dt

import psycopg
from psycopg import sql

from gsc_daemon import failpoint
from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.statements import Relation, statement


class Partitions:
    """Remembers which months have a partition."""

    def __init__(self) -> None:
        self._there: set[tuple[str, dt.date]] = set()

    def forget(self) -> None:
        """Somebody may have dropped one: look again."""
        self._there.clear()

    def ensure(self, connection: Connection, relation: Relation, date: dt.date) -> None:
        """Make the partition of this date's month if there is none; several workers may do so at once."""
        first = date.replace(day=1)
        if not relation.partitioned or (relation.report, first) in self._there:
            return
        name = f"{relation.table}_{first:%Y_%m}"
        if not _is_there(connection, relation, name):
            with connection.transaction():
                connection.execute(statement("lock_structure"))
                if not _is_there(connection, relation, name):
                    _make(connection, relation, name, first)
                failpoint.hit("sink.partition.before", psycopg.OperationalError)
            failpoint.hit("sink.partition.after", psycopg.OperationalError)
        self._there.add((relation.report, first))


def _is_there(connection: Connection, relation: Relation, name: str) -> bool:
    query = statement("find_partition", rows=sql.Literal(relation.table))
    row = connection.execute(query, {"partition": name}).fetchone()
    return row is not None and bool(row[0])


def _make(connection: Connection, relation: Relation, name: str, first: dt.date) -> None:
    after = (first + dt.timedelta(days=31)).replace(day=1)
    partition = sql.Identifier(name)
    connection.execute(statement("create_partition", partition=partition, rows=relation.rows))
    bounds = {"first": sql.Literal(first), "after": sql.Literal(after)}
    connection.execute(statement("attach_partition", partition=partition, rows=relation.rows, **bounds))
