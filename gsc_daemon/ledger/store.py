"""The ledger, what its verbs have in common: the connection, the clock, items and days as they are read."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Sequence
from typing import Any, Final

from gsc_daemon.clock import Clock
from gsc_daemon.ledger.connection import Connection
from gsc_daemon.ledger.statements import statement
from gsc_daemon.model import Day, Item

EARLIEST: Final = "0000-01-01"
LATEST: Final = "9999-12-31"


class Store:
    """Base of the verbs. Every public method of them is one transaction."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._db, self._clock = connection, clock

    def close(self) -> None:
        self._db.close()

    def _now(self) -> int:
        return self._clock.wall_ms()

    def _run(self, name: str, /, **parameters: Any) -> int:
        return self._db.run(statement(name), parameters)

    def _all(self, name: str, /, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._db.all(statement(name), parameters)

    def _one(self, name: str, /, **parameters: Any) -> tuple[Any, ...] | None:
        return self._db.one(statement(name), parameters)

    def _value(self, name: str, /, **parameters: Any) -> Any:
        """The first column of the first row, or None."""
        row = self._one(name, **parameters)
        return row[0] if row else None

    def _site_ids(self, sites: Iterable[str]) -> dict[str, int]:
        """Site → id; those unknown are added. Only within `write`."""
        ids: dict[str, int] = {}
        for site in sites:
            self._run("site.add", site=site)
            ids[site] = self._value("site.find", site=site)
        return ids


def as_list(values: Sequence[int]) -> str:
    """Numbers as the JSON text that ``json_each`` reads."""
    return json.dumps(list(values))


def span(site: str | None, first: dt.date | None, last: dt.date | None) -> dict[str, str | None]:
    """The choice of a command as parameters; both dates included."""
    return {
        "site": site,
        "first": first.isoformat() if first else EARLIEST,
        "last": last.isoformat() if last else LATEST,
    }


def day_of(site: str, report: str, search_type: str, date: str) -> Day:
    """A day from its columns."""
    return Day(site, report, search_type, dt.date.fromisoformat(date))


def columns(day: Day) -> dict[str, str]:
    """A day as parameters."""
    return {"site": day.site, "report": day.report, "search_type": day.search_type, "date": day.date.isoformat()}


def item_of(row: Sequence[Any]) -> Item:
    """An item from the columns that ``items.sql`` names, in that order."""
    item_id, site, report, search_type, date, generation, part, start_row, failures, crashes, refetches, loss = row[:12]
    empty_asks = row[12]
    day = day_of(site, report, search_type, date)
    return Item(item_id, day, generation, part, start_row, failures, crashes, refetches, bool(loss), empty_asks)
