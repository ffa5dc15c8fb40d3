"""Reports: the ready-made ones, and which dimensions, filters and search types Google combines.

The rules are those of developers.google.com/webmaster-tools/v1/searchanalytics/query and of what the API refuses.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from gsc_daemon.model import QUERY_PAGE, TOTALS, Filter, Report

DIMENSIONS: Final = ("query", "page", "country", "device", "searchAppearance", "hour")
FILTERED: Final = ("query", "page", "country", "device", "searchAppearance")
OPERATORS: Final = ("equals", "notEquals", "contains", "notContains", "includingRegex", "excludingRegex")
AGGREGATIONS: Final = ("auto", "byPage", "byProperty")
HOURLY_DAYS: Final = 10  # developers.google.com/search/blog/2025/04/san-hourly-data

PRESETS: Final[Mapping[str, Report]] = {
    report.name: report
    for report in (
        QUERY_PAGE,
        TOTALS,
        Report("pages", ("page",)),
        Report("queries", ("query",)),
        Report("countries_devices", ("country", "device")),
        Report("search_appearance", ("searchAppearance",)),
        Report("hourly", ("hour",)),
    )
}
_NEVER: Final[Mapping[str, frozenset[str]]] = {
    "discover": frozenset({"query", "device"}),
    "googleNews": frozenset({"query"}),
}


def wrong_report(report: Report) -> str:
    """The rule that a report breaks whatever the search type, or ""."""
    dimensions = report.dimensions
    for dimension in dimensions:
        if dimension == "date":
            return "date is no dimension of a report: each date is asked for by itself, and every row has it"
        if dimension not in DIMENSIONS:
            return f"there is no dimension {dimension}; there are {', '.join(DIMENSIONS)}"
    if len(set(dimensions)) < len(dimensions):
        return "a dimension is named twice"
    if "searchAppearance" in dimensions and len(dimensions) > 1:
        return "Google groups by searchAppearance alone, together with no other dimension"
    for one in report.filters:
        if one.dimension not in FILTERED:
            return f"Google does not filter by {one.dimension}, but by {', '.join(FILTERED)}"
        if one.operator not in OPERATORS:
            return f"there is no operator {one.operator}; there are {', '.join(OPERATORS)}"
    if report.aggregation == "byProperty" and "page" in _used(report):
        return "Google does not count byProperty where pages are grouped or filtered by"
    return ""


def impossible(report: Report, search_type: str) -> str:
    """The rule by which Google does not give this report for a search type, or ""."""
    never = sorted(_used(report) & _NEVER.get(search_type, frozenset()))
    if never:
        return f"{search_type} has no {' and no '.join(never)}"
    if report.aggregation == "byProperty" and search_type in _NEVER:
        return f"{search_type} is counted by page, never byProperty"
    return ""


def types_of(report: Report, search_types: Sequence[str]) -> Iterator[str]:
    """Those of the search types that the report is fetched for: of its own if it names some, and only possible ones."""
    for search_type in search_types:
        if (not report.search_types or search_type in report.search_types) and not impossible(report, search_type):
            yield search_type


def may_be_empty(report: Report) -> bool:
    """Whether it can lack rows where others have some: few hits have an appearance, hours are soon forgotten."""
    return bool(report.filters or {"searchAppearance", "hour"} & set(report.dimensions))


def _used(report: Report) -> set[str]:
    return {*report.dimensions, *(one.dimension for one in report.filters)}


def read_filter(text: str) -> Filter:
    """``country equals deu`` as a filter. Raises ValueError."""
    dimension, operator, *expression = text.split(" ", 2)
    if not expression or not expression[0]:
        raise ValueError(text)
    return Filter(dimension, expression[0], operator)
