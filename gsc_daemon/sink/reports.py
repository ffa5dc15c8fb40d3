"""Step 6, the sink: a table and a view for each report, made when the report is first wanted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from psycopg import errors, sql

from gsc_daemon.errors import ConfigError
from gsc_daemon.model import Report
from gsc_daemon.sink.line import Connection
from gsc_daemon.sink.statements import Relation, relation_of, statement

_COMMENTS: Final[Mapping[str, str]] = {
    "site_url": "Search Console property, as Google spells it.",
    "search_type": "web, image, video, news, discover or googleNews.",
    "date": "Google's date, in Pacific time.",
    "query": "What was searched for. Google leaves out rare queries.",
    "page": "URL.",
    "country": "ISO 3166-1 alpha-3, in lower case; zzz where unknown.",
    "device": "DESKTOP, MOBILE or TABLET.",
    "search_appearance": "How the result was shown, as Google names it.",
    "hour": "Beginning of the hour.",
    "clicks": "Clicks that led from Google to the site.",
    "impressions": "Times that it was shown.",
    "ctr": "Clicks by impressions, from 0 to 1.",
    "position": "Mean position, from 1; null for discover and googleNews.",
    "fetched_at": "When this row was last seen to change.",
}


def relations(connection: Connection) -> Mapping[str, Relation]:
    """By the name of the report: all that there are, wanted now or not."""
    return {name: relation_of(name, dimensions) for name, dimensions, *_ in _known(connection).values()}


def ensure_reports(connection: Connection, reports: Sequence[Report]) -> None:
    """Raises `ConfigError` for a report that held something else under its name, or a name that is taken."""
    if not _missing(connection, reports):
        return
    with connection.transaction():
        connection.execute(statement("lock_structure"))
        for report in _missing(connection, reports):
            _make(connection, report)


def _missing(connection: Connection, reports: Sequence[Report]) -> list[Report]:
    known = _known(connection)
    for report in reports:
        if report.name in known and known[report.name][1:] != _definition(report):
            raise ConfigError(
                f"the report {report.name} was made with other dimensions, filters or aggregation",
                hint=f"Give the new one another name; what {report.name} holds stays",
            )
    return [report for report in reports if report.name not in known]


def _known(connection: Connection) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row for row in connection.execute(statement("known_reports")).fetchall()}


def _definition(report: Report) -> tuple[list[str], list[str], str]:
    filters = sorted(f"{one.dimension} {one.operator} {one.expression}" for one in report.filters)
    return list(report.dimensions), filters, report.aggregation


def _make(connection: Connection, report: Report) -> None:
    relation = relation_of(report.name, report.dimensions)
    view = sql.Identifier(report.name)
    text = sql.SQL(', {} text COLLATE "C" NOT NULL')
    texts = sql.SQL("").join(text.format(_name(one)) for one in relation.dimensions)
    shown = sql.SQL("").join(map(_shown, relation.dimensions))
    partitioned = sql.SQL("PARTITION BY RANGE (date)") if relation.partitioned else sql.SQL("")
    try:
        connection.execute(statement("create_report", rows=relation.rows, texts=texts, partitioned=partitioned))
        connection.execute(statement("create_report_view", view=view, rows=relation.rows, shown=shown))
    except errors.DuplicateTable as error:
        raise ConfigError(
            f"the report {report.name} cannot have a relation of its name: there is one that is not gscd's",
            hint="Give the report another name",
        ) from error
    for column in ("site_url", "search_type", "date", *relation.dimensions, "clicks", "impressions", "ctr", "position"):
        connection.execute(_comment(view, column))
    connection.execute(_comment(view, "fetched_at"))
    dimensions, filters, aggregation = _definition(report)
    values = {"name": report.name, "dimensions": dimensions, "filters": filters, "aggregation": aggregation}
    connection.execute(statement("add_report"), values)


def _name(column: str) -> sql.Identifier:
    return sql.Identifier(column)


def _shown(column: str) -> sql.Composed:
    """Keys are hashed from the API's texts, and so those are kept; readers want a point in time."""
    name = _name(column)
    if column == "hour":
        return sql.SQL("{}::timestamptz AS {}, ").format(name, name)
    return sql.SQL("{}, ").format(name)


def _comment(view: sql.Identifier, column: str) -> sql.Composed:
    return statement("comment_column", view=view, column=_name(column), text=sql.Literal(_COMMENTS[column]))
