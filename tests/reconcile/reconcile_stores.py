"""A ledger and a Postgres that agree, to be set at odds."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

import psycopg

from gsc_daemon.ledger import SqliteLedger
from gsc_daemon.model import QUERY_PAGE, Day, DayState, Publication, Row
from gsc_daemon.sink import PostgresSink

SITE = "sc-domain:example.com"


@dataclass
class Stores:
    """Both of them, and a way past the sink to do harm."""

    ledger: SqliteLedger
    sink: PostgresSink
    dsn: str
    runs: int = 0

    def publish(self, date: dt.date, rows: int, *, generation: int = 1, state: DayState = DayState.FINAL) -> Day:
        """A day in Postgres only. Its token is the next one."""
        day = Day(SITE, QUERY_PAGE.name, "web", date)
        publication = Publication(
            day, generation, self.sink.highest_token() + 1, QUERY_PAGE.dimensions, state, dt.datetime.now(dt.UTC)
        )
        self.sink.publish(publication, [rows_of(rows)])
        return day

    def learn(self) -> None:
        """The ledger learns what Postgres holds, as at the start of a daemon."""
        self.runs += 1
        self.ledger.seed(f"run {self.runs}", self.sink.highest_token(), self.sink.receipts_since(0))

    def harm(self, statement: str) -> int:
        """Change something in Postgres by hand; gives the number of rows."""
        with psycopg.connect(self.dsn, options="-c search_path=gsc") as connection:
            return connection.execute(statement.encode()).rowcount


def rows_of(count: int) -> Sequence[Row]:
    """Rows of ``query_page``; number 7 is of the page ``/7``."""
    return [
        Row(
            float(number % 3), 10.0, (number % 3) / 10, [f"word {number}", f"https://example.com/{number}", "usa", kind]
        )
        for number in range(count)
        for kind in ["DESKTOP"]
    ]
