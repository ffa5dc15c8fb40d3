"""Step 5, fetch, requests: a query as the API wants it, and the list of properties as it gives it. Pure."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Sequence
from typing import Any, Final
from urllib.parse import quote

import msgspec

from gsc_daemon.model import Query, SiteEntry
from gsc_daemon.settings.values import can_be_named
from gsc_daemon.source.body import UNREADABLE, NotWhole

# Indented bodies take a quarter more time to read.
COMPACT: Final = "prettyPrint=false"
SITES_PATH: Final = f"/webmasters/v3/sites?{COMPACT}"


class _Entry(msgspec.Struct):
    siteUrl: str  # noqa: N815 - Google's spelling
    permissionLevel: str = ""  # noqa: N815


class _Metadata(msgspec.Struct):
    """Google's reference spells its members as the first, its description of the API as the second."""

    first_incomplete_date: str | None = None
    firstIncompleteDate: str | None = None  # noqa: N815


class _Told(msgspec.Struct):
    metadata: _Metadata | None = None


class _Entries(msgspec.Struct):
    siteEntry: list[_Entry] = []  # noqa: N815


def path_of(query: Query) -> str:
    """The property is one segment of the path, slashes and all."""
    return f"/webmasters/v3/sites/{quote(query.site, safe='')}/searchAnalytics/query?{COMPACT}"


def body_of(query: Query) -> bytes:
    """JSON: developers.google.com/webmaster-tools/v1/searchanalytics/query."""
    body: dict[str, Any] = {
        "startDate": query.date.isoformat(),
        "endDate": (query.last or query.date).isoformat(),
        "dimensions": list(query.dimensions),
        "type": query.search_type,
        "rowLimit": query.row_limit,
        "startRow": query.start_row,
        "dataState": _data_state(query),
    }
    if query.aggregation != "auto":
        body["aggregationType"] = query.aggregation
    if query.filters:
        filters = [
            {"dimension": one.dimension, "operator": one.operator, "expression": one.expression}
            for one in query.filters
        ]
        body["dimensionFilterGroups"] = [{"groupType": "and", "filters": filters}]
    return json.dumps(body, separators=(",", ":")).encode()


def _data_state(query: Query) -> str:
    if "hour" in query.dimensions:
        return "hourly_all"
    return "final" if query.final_only else "all"


def read_sites(body: bytes) -> Sequence[SiteEntry]:
    """The properties of a ``sites.list`` answer; without any, the key is absent.

    Raises `NotWhole`, also for a name that no property can have: it would stand in logs, pages and keys.
    """
    try:
        entries = msgspec.json.decode(body, type=_Entries).siteEntry
    except UNREADABLE as error:
        raise NotWhole("it is no list of properties") from error
    if not all(can_be_named(name) for entry in entries for name in (entry.siteUrl, entry.permissionLevel)):
        raise NotWhole("it names what can be no property")
    return tuple(SiteEntry(entry.siteUrl, entry.permissionLevel) for entry in entries)


def read_first_incomplete(body: bytes) -> dt.date | None:
    """The first date of an answer by date that Google has not finished, None where it does not say. `NotWhole`."""
    try:
        metadata = msgspec.json.decode(body, type=_Told).metadata or _Metadata()
        told = metadata.firstIncompleteDate or metadata.first_incomplete_date
        return dt.date.fromisoformat(told) if told else None
    except (msgspec.DecodeError, ValueError) as error:
        raise NotWhole("it does not say from which date on it is incomplete") from error
