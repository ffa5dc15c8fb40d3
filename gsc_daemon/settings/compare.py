"""Settings, old against new: what a reload puts in force, and what wants a restart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import msgspec

from gsc_daemon.errors import ConfigError
from gsc_daemon.settings import checks
from gsc_daemon.settings.about import abouts
from gsc_daemon.settings.schema import SECTIONS, Settings
from gsc_daemon.settings.tables import CREDENTIALS, REPORTS


def _values(settings: Settings) -> dict[str, Any]:
    named = {
        f"{section}.{key}": getattr(getattr(settings, section), key)
        for section, kind in SECTIONS.items()
        for key in abouts(kind)
    }
    return named | {REPORTS: settings.reports, CREDENTIALS: settings.credentials}


def _live(name: str) -> bool:
    """Whether a reload is enough."""
    if name in (REPORTS, CREDENTIALS):
        return True
    section, key = name.split(".")
    return abouts(SECTIONS[section])[key].reload


def _split(names: list[str]) -> tuple[list[str], list[str]]:
    return [name for name in names if _live(name)], [name for name in names if not _live(name)]


def changes(old: Settings, new: Settings) -> tuple[list[str], list[str]]:
    """Names of the settings that differ: those that a reload puts in force, and those that want a restart."""
    before, after = _values(old), _values(new)
    return _split([name for name in after if before[name] != after[name]])


def reloaded(old: Settings, new: Settings) -> Settings:
    """What is in force after a reload: the new values where that suffices, the old ones elsewhere.

    Raises `ConfigError` if such a mixture cancels itself; then a restart is wanted. Also for a report that became
    another under its name: the workers would find that out in Postgres, and end the daemon.
    """
    before = {report.name: report for report in old.reports}
    for report in new.reports:
        if report.name in before and not report.same_rows(before[report.name]):
            raise ConfigError(
                f"the report {report.name} was made with other dimensions, filters or aggregation",
                hint=f"Give the new one another name; what {report.name} holds stays",
            )
    sections = {}
    for section, kind in SECTIONS.items():
        fresh = {key: getattr(getattr(new, section), key) for key, about in abouts(kind).items() if about.reload}
        sections[section] = msgspec.structs.replace(getattr(old, section), **fresh)
    origins = {name: (new if _live(name) else old).origin(name) for name in _values(new)}
    mixed = dataclasses.replace(old, **sections, reports=new.reports, credentials=new.credentials, origins=origins)
    checks.check_together(mixed)
    return mixed


def fingerprints(settings: Settings, salt: str) -> dict[str, str]:
    """A short digest of each value, for the daemon file: tells that a value changed, and no value.

    Those from environment variables are left out: another process has other variables.
    """
    import hashlib  # only where a daemon runs: `gscd status` starts sooner without

    return {
        name: hashlib.blake2b(repr(value).encode(), digest_size=4, key=salt.encode()[:64]).hexdigest()
        for name, value in _values(settings).items()
        if not settings.origin(name).startswith("GSCD_")
    }


def changed_since(before: Mapping[str, str], settings: Settings, salt: str) -> tuple[list[str], list[str]]:
    """As `changes`, against the fingerprints of the daemon's settings."""
    now = fingerprints(settings, salt)
    return _split([name for name, digest in now.items() if name in before and before[name] != digest])
