"""Emulator, validation: a request body as a `Query`, or the 400 that Google would send."""

from __future__ import annotations

import datetime as dt
import json
import re
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from gsc_daemon.emulator.replies import invalid

ROW_LIMIT: Final = 25_000
CANONICAL: Final = ("query", "page", "country", "device")
_FIELDS: Final = frozenset(
    (
        *("startDate", "endDate", "dimensions", "type", "searchType", "dimensionFilterGroups", "aggregationType"),
        *("rowLimit", "startRow", "dataState"),
    )
)
_DIMENSIONS: Final = ("date", "query", "page", "country", "device", "searchAppearance", "hour")
PAGES_ONLY: Final = ("discover", "googleNews")  # search types that know no query and no position
_TYPES: Final = ("web", "image", "video", "news", "discover", "googleNews")
_OPERATORS: Final = ("equals", "notEquals", "contains", "notContains", "includingRegex", "excludingRegex")
_AGGREGATIONS: Final = ("auto", "byProperty", "byPage", "byNewsShowcasePanel")
_STATES: Final = ("final", "all", "hourlyAll")
_DATE: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


class Filter(NamedTuple):
    """Rows must pass it. ``expression`` is spelled as the dimension's values are."""

    dimension: str
    operator: str
    expression: str


@dataclass(frozen=True, slots=True)
class Query:
    """A valid Search Analytics request.

    Args:
        first, last: Pacific dates, both included. state: ``final``, ``all`` or ``hourlyAll``.
        by_page: figures are counted per URL, else once for the property.
    """

    first: dt.date
    last: dt.date
    dimensions: tuple[str, ...] = ()
    search_type: str = "web"
    filters: tuple[Filter, ...] = ()
    by_page: bool = False
    row_limit: int = 1000
    start_row: int = 0
    state: str = "final"

    @property
    def dates(self) -> str:
        """The date, or the range as ``first..last``."""
        return f"{self.first}" if self.first == self.last else f"{self.first}..{self.last}"

    @property
    def shape(self) -> str:
        """The dimensions, comma-separated, and the filters if there are any."""
        dims = ",".join(self.dimensions)
        return dims + "".join(f" {f.dimension} {f.operator} {f.expression!r}" for f in self.filters)


def _enum(field: str, value: Any, allowed: tuple[str, ...]) -> str:
    """The enum's value in camel case; clients send that, lower case or GOOGLE_NEWS, and Google takes them all."""
    if isinstance(value, str):
        for known in allowed:
            if known.lower() == value.replace("_", "").lower():
                return known
    raise invalid(f"Invalid value at '{field}', {json.dumps(value)}")


def _integer(body: dict[str, Any], field: str, default: int, low: int, high: int) -> int:
    value = body.get(field, default)
    if isinstance(value, str) and value.lstrip("-").isdigit():
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"Invalid value at '{field}' (TYPE_INT32), {json.dumps(value)}")
    if not low <= value <= high:
        raise invalid(f"Invalid value at '{field}': {value} is not from {low} to {high}.")
    return value


def _date(body: dict[str, Any], field: str) -> dt.date:
    value = body.get(field)
    if value is None:
        raise invalid(f"Required field '{field}' is missing.")
    if not isinstance(value, str) or not _DATE.fullmatch(value):
        raise invalid(f"Invalid value at '{field}', {json.dumps(value)}: a date is YYYY-MM-DD.")
    try:
        return dt.date.fromisoformat(value)
    except ValueError as error:
        raise invalid(f"Invalid value at '{field}', {json.dumps(value)}: {error}.") from error


def _filters(groups: Any) -> tuple[Filter, ...]:
    found = []
    for group in groups if isinstance(groups, list) else ():
        if not isinstance(group, dict) or not isinstance(group.get("filters", []), list):
            raise invalid("Invalid value at 'dimension_filter_groups'")
        _enum("groupType", group.get("groupType", "and"), ("and",))
        for item in group.get("filters", ()):
            if not isinstance(item, dict):
                raise invalid("Invalid value at 'dimension_filter_groups.filters'")
            dimension = _enum(
                "filters.dimension", item.get("dimension"), ("query", "page", "country", "device", "searchAppearance")
            )
            operator = _enum("filters.operator", item.get("operator", "equals"), _OPERATORS)
            expression = item.get("expression")
            if not isinstance(expression, str):
                raise invalid("Invalid value at 'filters.expression'")
            if operator.endswith("Regex"):
                _check_regex(expression)
            found.append(Filter(dimension, operator, expression))
    return tuple(found)


def _check_regex(expression: str) -> None:
    try:
        re.compile(expression)
    except re.error as error:
        raise invalid(f"Invalid regular expression '{expression}': {error}.") from error


def _mix(dims: tuple[str, ...], search_type: str, filters: tuple[Filter, ...], aggregation: str, state: str) -> bool:
    """Refuse what Google does not combine; gives whether figures are counted by page."""
    if len(set(dims)) != len(dims):
        raise invalid("Duplicate dimension.")
    if "searchAppearance" in dims and len(dims) > 1:
        raise invalid("Cannot group by search appearance dimension together with another dimension.")
    if "hour" in dims and state != "hourlyAll":
        raise invalid("Grouping by hour requires dataState hourly_all.")
    used = {*dims, *(item.dimension for item in filters)}
    never = {"discover": {"query", "device"}, "googleNews": {"query"}}.get(search_type, set())
    for dimension in sorted(used & never):
        raise invalid(f"Dimension '{dimension}' is not valid for search type '{search_type}'.")
    pages_only = search_type in PAGES_ONLY
    if aggregation == "byProperty" and (pages_only or "page" in used):
        raise invalid("'BY_PROPERTY' is not a valid aggregation type in the context of the request.")
    if aggregation == "byNewsShowcasePanel":
        raise invalid("'BY_NEWS_SHOWCASE_PANEL' is not a valid aggregation type in the context of the request.")
    return aggregation == "byPage" or pages_only or "page" in used


def parse_query(data: bytes) -> Query:
    """The request. Raises `ApiError` (400) for whatever Google refuses."""
    try:
        body = json.loads(data or b"{}")
    except ValueError as error:
        raise invalid("Invalid JSON payload received.") from error
    if not isinstance(body, dict):
        raise invalid("Invalid JSON payload received.")
    body = {name: value for name, value in body.items() if value is not None}
    for name in body:
        if name not in _FIELDS:
            raise invalid(f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.')
    first, last = _date(body, "startDate"), _date(body, "endDate")
    if first > last:
        raise invalid("The start date must be before or the same as the end date.")
    dims = body.get("dimensions", [])
    if not isinstance(dims, list):
        dims = [dims]
    dimensions = tuple(_enum(f"dimensions[{n}]", value, _DIMENSIONS) for n, value in enumerate(dims))
    if "type" in body:
        search_type = _enum("type", body["type"], _TYPES)
    else:
        search_type = _enum("searchType", body.get("searchType", "web"), _TYPES[:4])
    state = _enum("dataState", body.get("dataState", "final"), _STATES)
    filters = _filters(body.get("dimensionFilterGroups", []))
    aggregation = _enum("aggregationType", body.get("aggregationType", "auto"), _AGGREGATIONS)
    by_page = _mix(dimensions, search_type, filters, aggregation, state)
    row_limit = _integer(body, "rowLimit", 1000, 1, ROW_LIMIT)
    start_row = _integer(body, "startRow", 0, 0, 2**31 - 1)
    return Query(first, last, dimensions, search_type, filters, by_page, row_limit, start_row, state)
