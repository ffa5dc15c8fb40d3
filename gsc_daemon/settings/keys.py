"""Settings, the credentials beside api.credentials: each `[[credentials]]` of the file, its path made whole."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from gsc_daemon.errors import ConfigError
from gsc_daemon.settings.about import abouts
from gsc_daemon.settings.tables import CredentialSettings
from gsc_daemon.settings.values import wrong_credential_sites


def read_credentials(tables: Any, where: str, expand: Callable[[str], Path]) -> tuple[CredentialSettings, ...]:
    """The credentials given. Raises `ConfigError` with ``where``: file and line."""
    if tables is None:
        return ()
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise ConfigError(
            f"{where}: write [[credentials]], in double brackets, above each file and its sites",
            hint="The file of a single credential is api.credentials",
        )
    found = tuple(_read_one(table, where, expand) for table in tables)
    twice = next((one.file for one in found if sum(one.file == other.file for other in found) > 1), None)
    if twice is not None:
        raise ConfigError(f"{where}: [[credentials]] names {twice} twice", hint="Give all its sites in one of them")
    return found


def _read_one(table: dict[str, Any], where: str, expand: Callable[[str], Path]) -> CredentialSettings:
    known = abouts(CredentialSettings)
    unknown = next((key for key in table if key not in known), None)
    if unknown is not None:
        raise ConfigError(f"{where}: there is no setting {unknown} in [[credentials]]; there are {', '.join(known)}")
    file, sites = table.get("file"), table.get("sites", [])
    if not isinstance(file, str) or not file or "\0" in file:
        raise ConfigError(f'{where}: [[credentials]] wants a file, such as file = "agency.json"')
    if not isinstance(sites, list) or not all(isinstance(one, str) for one in sites):
        raise ConfigError(f"{where}: sites of the credentials {file} must be a list of texts")
    if wrong := wrong_credential_sites(sites):
        raise ConfigError(f"{where}: sites of the credentials {file} {wrong}")
    return CredentialSettings(expand(file), tuple(sites))
