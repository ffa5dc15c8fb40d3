"""Step 6, the sink: the SQL files, each one statement, with the names of relations put in."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from psycopg import sql

from gsc_daemon.model import QUERY_PAGE, TOTALS

_FOLDER: Final = Path(__file__).parent / "statements"
FIGURES: Final = ("clicks", "impressions", "ctr", "position")


@dataclass(frozen=True, slots=True)
class Relation:
    """Where the rows of a report lie: a relation of its name, a column for each dimension."""

    report: str
    dimensions: tuple[str, ...]

    @property
    def partitioned(self) -> bool:
        """One row a day needs no partitions."""
        return bool(self.dimensions)

    @property
    def table(self) -> str:
        """Of the rows; what people read is a view."""
        return self.report if self.report in (QUERY_PAGE.name, TOTALS.name) else f"{self.report}_rows"

    @property
    def rows(self) -> sql.Identifier:
        return sql.Identifier(self.table)

    @property
    def columns(self) -> tuple[str, ...]:
        """What differs from row to row, in the order of `gsc_daemon.sink.rows`."""
        return ("key", *self.dimensions, *FIGURES)


def relation_of(report: str, dimensions: Iterable[str]) -> Relation:
    """Args: dimensions: as the API spells them."""
    columns = (re.sub("[A-Z]", lambda found: f"_{found[0].lower()}", one) for one in dimensions)
    return Relation(report, tuple(columns))


@functools.cache
def _text(name: str) -> sql.SQL:
    return sql.SQL((_FOLDER / f"{name}.sql").read_text(encoding="utf-8"))


def statement(name: str, **parts: sql.Composable) -> sql.Composed:
    """The statement of ``statements/{name}.sql``, its ``{braces}`` filled."""
    return _text(name).format(**parts)


def names(columns: Iterable[str], *prefix: str) -> sql.Composed:
    """Columns, separated by commas."""
    return sql.SQL(", ").join(sql.Identifier(*prefix, column) for column in columns)
