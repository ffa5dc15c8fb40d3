"""Settings, the reports: each `[[reports]]` of the file as the plain type that the steps know."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Final

from gsc_daemon.errors import ConfigError
from gsc_daemon.model import BUILT_IN_REPORTS, SEARCH_TYPES, Filter, Report
from gsc_daemon.reports import AGGREGATIONS, PRESETS, impossible, read_filter, types_of, wrong_report
from gsc_daemon.settings.about import Kind, abouts
from gsc_daemon.settings.tables import ReportSettings

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
# Relations of gscd's own, and what could be one some day: a partition, the table behind a view.
_TAKEN: Final = re.compile(
    r"search_analytics|days|daily_clicks|site_dates|months|month(ly)?_\w+|migrations|sites|owner|receipts|rollups|reports|"
    r"incoming|pg_\w+|\w+_rows|\w+_\d{4}_\d{2}"
)


def read_reports(tables: Any, where: str, search_types: Sequence[str]) -> tuple[Report, ...]:
    """The reports wanted; query_page and totals if none is given.

    Raises `ConfigError` with ``where``: file and line; also for what Google does not combine, naming the rule.
    """
    if tables is None:
        return BUILT_IN_REPORTS
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{where}: write [[reports]], in double brackets, above each report")
    if not tables:
        raise ConfigError(f"{where}: reports names none; leave it out for query_page and totals")
    reports: list[Report] = []
    for table in tables:
        report = _read_report(table, where)
        if any(report.name == other.name for other in reports):
            raise ConfigError(f'{where}: the report "{report.name}" is given twice')
        _check(report, where, search_types)
        reports.append(report)
    return tuple(reports)


def _read_report(table: Mapping[str, Any], where: str) -> Report:
    known = abouts(ReportSettings)
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        raise ConfigError(f"{where}: there is no setting {unknown} in [[reports]]; there are {', '.join(known)}")
    name = table.get("name")
    if not isinstance(name, str) or not name:
        raise ConfigError(f'{where}: a report wants a name, such as name = "totals"')
    for key, about in known.items():
        value = table.get(key, "" if about.kind is Kind.TEXT else [])
        wanted = isinstance(value, str) if about.kind is Kind.TEXT else _is_texts(value)
        if not wanted:
            raise ConfigError(f'{where}: {key} of the report "{name}" must be a {about.kind.value}')
    preset = PRESETS.get(name)
    dimensions = tuple(table.get("dimensions", ())) or (preset.dimensions if preset else ())
    if preset is None and "dimensions" not in table:
        raise ConfigError(f'{where}: the report "{name}" wants dimensions', hint=_hint(name))
    if preset is not None and dimensions != preset.dimensions:
        own = ", ".join(preset.dimensions) or "none"
        raise ConfigError(
            f'{where}: the report "{name}" has its own dimensions ({own})',
            hint="Leave dimensions out, or give the report another name",
        )
    types = tuple(dict.fromkeys(table.get("search_types", ())))
    return Report(name, dimensions, types, _filters(table, where, name), table.get("aggregation") or "auto")


def _is_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in value)


def _hint(name: str) -> str:
    import difflib  # only for a mistake: commands start sooner without

    near = next(iter(difflib.get_close_matches(name, PRESETS, n=1, cutoff=0.7)), "")
    ready = f"Ready-made are {', '.join(PRESETS)}"
    return f"Did you mean {near}? {ready}" if near else f'Such as dimensions = ["page"]. {ready}'


def _filters(table: Mapping[str, Any], where: str, name: str) -> tuple[Filter, ...]:
    found = []
    for text in table.get("filters", ()):
        try:
            found.append(read_filter(text))
        except ValueError as error:
            raise ConfigError(
                f'{where}: the filter "{text}" of the report "{name}" is not "dimension operator expression"',
                hint='Such as "country equals deu"',
            ) from error
    return tuple(found)


def _check(report: Report, where: str, search_types: Sequence[str]) -> None:
    called = f'{where}: the report "{report.name}"'
    if report.name not in PRESETS and (not _NAME.fullmatch(report.name) or _TAKEN.fullmatch(report.name)):
        raise ConfigError(
            f"{called} cannot have that name: it names a relation, and gscd has its own",
            hint="Take lower-case letters, digits and _, 40 at most, beginning with a letter",
        )
    # Coverage, suspect days and the spot check go by what these two are.
    if any(report.name == one.name for one in BUILT_IN_REPORTS) and (report.filters or report.aggregation != "auto"):
        raise ConfigError(
            f"{called} takes no filters and no aggregation: other figures are judged by it",
            hint="Give the report with filters a name and dimensions of its own",
        )
    if report.aggregation not in AGGREGATIONS:
        raise ConfigError(f"{called} has no aggregation {report.aggregation}; there are {', '.join(AGGREGATIONS)}")
    wrong = wrong_report(report)
    if wrong:
        raise ConfigError(f"{called}: {wrong}")
    for search_type in report.search_types:
        if search_type not in SEARCH_TYPES:
            raise ConfigError(f"{called}: there is no search type {search_type}; there are {', '.join(SEARCH_TYPES)}")
        wrong = impossible(report, search_type)
        if wrong:
            raise ConfigError(f"{called} is not to be had: {wrong}")
    if not list(types_of(report, report.search_types or search_types)):
        wrong = impossible(report, search_types[0])
        raise ConfigError(f"{called} is not to be had for any of sync.search_types: {wrong}")
