"""Settings, the reports: each `[[reports]]` of the file as the plain type that the steps know."""

from __future__ import annotations

from typing import Any, Final

from gsc_daemon.errors import ConfigError
from gsc_daemon.model import BUILT_IN_REPORTS, Report
from gsc_daemon.settings.about import abouts
from gsc_daemon.settings.tables import ReportSettings

KNOWN: Final = {report.name: report for report in BUILT_IN_REPORTS}
NAMES: Final = " and ".join(KNOWN)


def read_reports(tables: Any, where: str) -> tuple[Report, ...]:
    """The reports wanted; both built-in ones if none is given. Raises `ConfigError` with ``where``: file and line."""
    if tables is None:
        return BUILT_IN_REPORTS
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(f"{where}: write [[reports]], in double brackets, above each report")
    if not tables:
        raise ConfigError(f"{where}: reports names none; leave it out for query_page and totals")
    reports: list[Report] = []
    for table in tables:
        report = _read_report(table, where)
        if report in reports:
            raise ConfigError(f'{where}: the report "{report.name}" is given twice')
        reports.append(report)
    return tuple(reports)


def _read_report(table: dict[str, Any], where: str) -> Report:
    known = abouts(ReportSettings)
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        raise ConfigError(f"{where}: there is no setting {unknown} in [[reports]]; there are {', '.join(known)}")
    name, dimensions = table.get("name"), table.get("dimensions", [])
    if not isinstance(name, str) or not name:
        raise ConfigError(f'{where}: a report wants a name, such as name = "totals"')
    if not isinstance(dimensions, list) or not all(isinstance(one, str) for one in dimensions):
        raise ConfigError(f'{where}: dimensions of the report "{name}" must be a list of texts')
    report = KNOWN.get(name)
    if report is None:
        import difflib  # only for a mistake: commands start sooner without

        near = next(iter(difflib.get_close_matches(name, KNOWN, n=1, cutoff=0.7)), "")
        hint = f"Did you mean {near}?" if near else f"Use {NAMES}"
        raise ConfigError(f'{where}: the report "{name}" is not built in, and others cannot be made yet', hint=hint)
    if dimensions and tuple(dimensions) != report.dimensions:
        own = ", ".join(report.dimensions) or "none"
        raise ConfigError(f'{where}: the report "{name}" has its own dimensions ({own})', hint="Leave dimensions out")
    return report
