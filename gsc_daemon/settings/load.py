"""Settings, how they are read: one file, each value overridden by its environment variable, each with its origin.

Every mistake is one `ConfigError` that says where it stands, what is wrong and what would be right.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from gsc_daemon.errors import ConfigError
from gsc_daemon.settings import checks, files
from gsc_daemon.settings.about import About, Kind, abouts, default
from gsc_daemon.settings.keys import read_credentials
from gsc_daemon.settings.reports import read_reports
from gsc_daemon.settings.schema import SECTIONS, TABLES, Settings
from gsc_daemon.settings.tables import CREDENTIALS, REPORTS

SECRET_FILES: Final = {"rate_limit.storage": "rate_limit.storage_file", "sink.dsn": "sink.dsn_file"}


class Given(msgspec.Struct, frozen=True):
    """A value as it was given. origin: ``FILE:LINE`` or the environment variable."""

    value: Any
    origin: str


def load(
    path: Path | None,
    environ: Mapping[str, str],
    *,
    only: Collection[str] = tuple(SECTIONS),
    secrets: bool = True,
    root: bool | None = None,
) -> Settings:
    """The settings in force.

    Args:
        path: --config; else GSCD_CONFIG, /etc/gscd/gscd.toml and, without root, XDG_CONFIG_HOME/gscd/gscd.toml count.
        only: the sections that are looked at, for commands that must work whatever is wrong with the others.
        secrets: read dsn_file and storage_file; without, dsn and storage keep their defaults.
        root: whether this user is root; asked of the system if None.

    Raises:
        ConfigError, NotPermitted: with the place, the setting and what to do.
    """
    as_root = os.geteuid() == 0 if root is None else root
    file = files.find(path, environ, root=as_root)
    document, lines = files.read_toml(file)
    file = file.absolute()
    given = _from_file(document, lines, file, only) | _from_environ(environ, only)
    state_folder = None
    defaults: dict[str, Any] = {}
    if path is None and not environ.get("GSCD_CONFIG") and file != files.SYSTEM_FILE:
        state_folder = files.xdg_state(environ)
        defaults = {"ledger.path": state_folder / "ledger.db", "halt.file": state_folder / "HALT"}
    values = defaults | {name: _typed(name, one, file.parent, environ) for name, one in given.items()}
    origins = {name: one.origin for name, one in given.items()} | dict.fromkeys(
        defaults.keys() - given.keys(), "default"
    )
    origins |= {name: _place(file, lines, name) for name in TABLES if name in document}
    if secrets:
        _read_secrets(values, origins)
    where, folder = _place(file, lines, REPORTS), file.parent
    sections = {name: _section(name, values) for name in SECTIONS}
    settings = Settings(
        **sections,
        reports=read_reports(document.get(REPORTS), where, sections["sync"].search_types),
        credentials=read_credentials(
            document.get(CREDENTIALS) if "api" in only else None,
            _place(file, lines, CREDENTIALS),
            lambda text: files.expand(text, folder, environ),
        ),
        file=file,
        origins=origins,
        state_folder=state_folder,
    )
    _check_values(settings, only, file)
    if set(only) == set(SECTIONS):
        checks.check_together(settings)
    return settings


def _section(name: str, values: Mapping[str, Any]) -> Any:
    prefix = f"{name}."
    return SECTIONS[name](
        **{key.removeprefix(prefix): value for key, value in values.items() if key.startswith(prefix)}
    )


def _place(file: Path, lines: Mapping[str, int], *names: str) -> str:
    line = next((lines[name] for name in names if name in lines), None)
    return f"{file}:{line}" if line else str(file)


def _from_file(
    document: Mapping[str, Any], lines: Mapping[str, int], file: Path, only: Collection[str]
) -> dict[str, Given]:
    given: dict[str, Given] = {}
    whole = set(only) == set(SECTIONS)
    for section, table in document.items():
        if section in TABLES or (section not in only and not whole):
            continue
        where = _place(file, lines, section)
        if section not in SECTIONS:
            raise ConfigError(f"{where}: {_unknown_section(section, table)}")
        if not isinstance(table, dict):
            raise ConfigError(f"{where}: {section} must be a section; write [{section}] above its settings")
        for key, value in table.items():
            place = _place(file, lines, f"{section}.{key}", section)
            if key not in abouts(SECTIONS[section]):
                raise ConfigError(f"{place}: there is no setting {section}.{key}{_did_you_mean(section, key)}")
            given[f"{section}.{key}"] = Given(value, place)
    return given


def _unknown_section(name: str, value: Any) -> str:
    home = next((section for section, kind in SECTIONS.items() if name in abouts(kind)), None)
    if home is not None and not isinstance(value, dict):
        return f"{name} stands outside of its section; write it below [{home}]"
    near = _nearest(name, [*SECTIONS, *TABLES])
    kind = f"section [{name}]" if isinstance(value, dict | list) else f"setting {name}"
    return f"there is no {kind}" + (f"; did you mean [{near}]?" if near else "; there are " + ", ".join(SECTIONS))


def _did_you_mean(section: str, key: str) -> str:
    elsewhere = [f"{other}.{key}" for other, kind in SECTIONS.items() if key in abouts(kind)]
    near = elsewhere[0] if elsewhere else _nearest(f"{section}.{key}", _every_name())
    return f"; did you mean {near}?" if near else f"; [{section}] has " + ", ".join(abouts(SECTIONS[section]))


def _nearest(word: str, known: Iterable[str]) -> str:
    import difflib  # only for a mistake: commands start sooner without

    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.7)), "")


def _every_name() -> list[str]:
    return [f"{section}.{key}" for section, kind in SECTIONS.items() for key in abouts(kind)]


def _variable(name: str) -> str:
    return "GSCD_" + name.replace(".", "__").upper()


def _from_environ(environ: Mapping[str, str], only: Collection[str]) -> dict[str, Given]:
    given: dict[str, Given] = {}
    for variable, text in environ.items():
        section, split, key = variable.removeprefix("GSCD_").lower().partition("__")
        if not variable.startswith("GSCD_") or not split:
            continue
        if section in TABLES:
            raise ConfigError(f"{variable}: {section} are given in the settings file only")
        name = f"{section}.{key}"
        if section not in SECTIONS or key not in abouts(SECTIONS[section]):
            if section not in only and set(only) != set(SECTIONS):
                continue
            near = _nearest(name, _every_name())
            raise ConfigError(
                f"{variable}: there is no setting {name}" + (f"; did you mean {_variable(near)}?" if near else "")
            )
        if section in only:
            given[name] = Given(_from_text(name, text, variable), variable)
    return given


def _from_text(name: str, text: str, variable: str) -> Any:
    """The value that a variable's text stands for; lists as TOML or separated by commas."""
    section, key = name.split(".")
    about = abouts(SECTIONS[section])[key]
    try:
        match about.kind:
            case Kind.WHOLE:
                return int(text)
            case Kind.NUMBER:
                return float(text)
            case Kind.TEXTS if text.lstrip().startswith("["):
                return tomllib.loads(f"value = {text}")["value"]
            case Kind.TEXTS:
                return [part.strip() for part in text.split(",") if part.strip()]
            case Kind.TEXT | Kind.PATH:
                return text
    except (ValueError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{variable}: {name} must be a {about.kind.value}, but is {text!r}") from error


def _typed(name: str, given: Given, folder: Path, environ: Mapping[str, str]) -> Any:
    """The value in its Python type. Raises `ConfigError` for another type than the setting's."""
    section, key = name.split(".")
    about, value = abouts(SECTIONS[section])[key], given.value
    match about.kind:
        case Kind.WHOLE if isinstance(value, int) and not isinstance(value, bool):
            return value
        case Kind.NUMBER if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
        case Kind.TEXT if isinstance(value, str):
            return value
        case Kind.TEXTS if isinstance(value, list) and all(isinstance(one, str) for one in value):
            return tuple(value)
        case Kind.PATH if isinstance(value, str) and "\0" not in value:
            if value:
                return files.expand(value, folder, environ)
            if default(SECTIONS[section], key) is None:
                return None
            raise ConfigError(f"{given.origin}: {name} is empty, but must be a path")
        case _:
            is_now = "" if about.secret else f", but is {_toml_kind(value)}"
            raise ConfigError(f"{given.origin}: {name} must be a {about.kind.value}{is_now}")


def _toml_kind(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case str():
            return f'the text "{value}"'
        case int() | float():
            return f"the number {value}"
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return str(value)


def _read_secrets(values: dict[str, Any], origins: dict[str, str]) -> None:
    """Where a file is named for a secret, the secret is what the file holds."""
    for name, file_name in SECRET_FILES.items():
        file = values.get(file_name)
        if file is None:
            continue
        if name in values:
            raise ConfigError(
                f"{origins[file_name]}: {file_name} and {name} ({origins[name]}) are both given",
                hint="Keep one of them",
            )
        if str(file).startswith("%d/"):
            raise ConfigError(
                f"{origins[file_name]}: {file_name} is {file}, but systemd's credentials are only for the service",
                hint="Run this as root while the service runs",
            )
        values[name], origins[name] = files.read_secret(file), str(file)


def _check_values(settings: Settings, only: Collection[str], file: Path) -> None:
    for section in only:
        for key, about in abouts(SECTIONS[section]).items():
            value = getattr(getattr(settings, section), key)
            if value is not None and (wrong := _wrong(about, value)):
                name = f"{section}.{key}"
                where = settings.origins.get(name, str(file))
                is_now = "" if about.secret or isinstance(value, tuple) else f" = {_quoted(value)}"
                raise ConfigError(f"{where}: {name}{is_now} {wrong}")


def _wrong(about: About, value: Any) -> str:
    """What is wrong with a value of the right type, to follow its name in a sentence."""
    if about.choices and value not in about.choices:
        near = _nearest(value, about.choices)
        return "must be one of " + ", ".join(about.choices) + (f"; did you mean {near}?" if near else "")
    low = about.above if about.above is not None else about.low
    inside = low is None or about.high is None or (low <= value <= about.high and value != about.above)
    if not inside:  # NaN is inside of nothing
        if about.above is not None:
            return f"must be more than {low:,} and at most {about.high:,} {about.unit}".rstrip()
        return f"must be from {low:,} to {about.high:,} {about.unit}".rstrip()
    return about.wrong(value) if about.wrong is not None else ""


def _quoted(value: Any) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)
