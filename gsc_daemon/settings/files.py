"""Settings, where they are read from: the places, the TOML with its line numbers, the files that hold secrets."""

from __future__ import annotations

import re
import stat
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gsc_daemon.errors import ConfigError, NotPermitted

SYSTEM_FILE: Final = Path("/etc/gscd/gscd.toml")
# Where systemd keeps the unit's credentials, for the commands that root runs beside the service.
UNIT_CREDENTIALS: Final = Path("/run/credentials/gscd.service")
EXAMPLE_HINT: Final = "Write one with `gscd config example > FILE`, or name one with --config"


def home(environ: Mapping[str, str]) -> Path:
    """The user's own folder."""
    return Path(environ["HOME"]) if environ.get("HOME") else Path.home()


def xdg_file(environ: Mapping[str, str]) -> Path:
    """The settings of a user without root."""
    return Path(environ.get("XDG_CONFIG_HOME") or home(environ) / ".config") / "gscd" / "gscd.toml"


def xdg_state(environ: Mapping[str, str]) -> Path:
    """Where ledger and halt file of a user without root are, unless the settings say otherwise."""
    return Path(environ.get("XDG_STATE_HOME") or home(environ) / ".local" / "state") / "gscd"


def find(path: Path | None, environ: Mapping[str, str], *, root: bool) -> Path:
    """The settings file that counts. Raises `ConfigError` naming the places looked at when there is none."""
    if path is not None:
        return path
    if environ.get("GSCD_CONFIG"):
        return Path(environ["GSCD_CONFIG"])
    places = [SYSTEM_FILE] if root else [SYSTEM_FILE, xdg_file(environ)]
    for place in places:
        try:
            place.stat()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except PermissionError:  # it is there for others than this user; reading it says so
            return place
        return place
    looked = " nor ".join(str(place) for place in places)
    raise ConfigError(f"there are no settings: neither GSCD_CONFIG nor {looked}", hint=EXAMPLE_HINT)


def read_text(path: Path, what: str) -> str:
    """The text of a file that the user named. Raises `ConfigError`, `NotPermitted`."""
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: no such {what}") from error
    except PermissionError as error:
        raise NotPermitted(
            f"{path}: this user may not read the {what}",
            hint="Run it as root, as the daemon's user, or as a member of its group",
        ) from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: the {what} is not UTF-8 text (byte {error.start})") from error
    except OSError as error:
        raise ConfigError(f"{path}: cannot read the {what}: {error.strerror}") from error


def read_toml(path: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """What the file says, and the line of each ``section.key`` and ``section`` where it could be told."""
    try:
        text = read_text(path, "settings file")
    except ConfigError as error:
        if isinstance(error.__cause__, FileNotFoundError):
            raise ConfigError(error.message, hint=EXAMPLE_HINT) from error
        raise
    try:
        return tomllib.loads(text), lines_of(text)
    except tomllib.TOMLDecodeError as error:
        words, where = str(error), ""
        if match := re.fullmatch(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)", words):
            words = f"{match[1]}, column {match[3]}" if match[2] else f"{match[1]}, at its end"
            where = f":{match[2]}" if match[2] else ""
        raise ConfigError(
            f"{path}{where}: not valid TOML: {words}", hint="See toml.io for how it is written"
        ) from error


def lines_of(text: str) -> dict[str, int]:
    """Line numbers of sections and keys, from 1. tomllib gives none; keys in inline tables stand for their section."""
    lines: dict[str, int] = {}
    section = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if match := re.match(r"\s*\[\[?\s*([\w.-]+)\s*\]", line):
            section = match[1]
            lines.setdefault(section, number)
        elif match := re.match(r"\s*([\w-]+(?:\s*\.\s*[\w-]+)*)\s*=", line):
            key = re.sub(r"\s", "", match[1])
            lines.setdefault(f"{section}.{key}" if section else key, number)
    return lines


def read_secret(path: Path) -> str:
    """The one line that a secrets file holds. Raises `ConfigError`, `NotPermitted`; never repeats what it holds."""
    text = read_text(path, "secrets file").strip()
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise ConfigError(f"{path}: cannot look at the secrets file: {error.strerror}") from error
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"{path}: everyone on this machine may read this secret", hint=f"Run `chmod o= {path}`")
    if not text:
        hint = f"/etc/gscd/{path.name} is missing or empty" if path.parent.name == "gscd.service" else ""
        raise ConfigError(f"{path}: the secrets file is empty", hint=hint)
    if "\n" in text:
        raise ConfigError(f"{path}: the secrets file has {len(text.splitlines())} lines, but must hold one")
    return text


def is_folder(path: Path) -> bool | None:
    """Whether a folder is there; None if this user may not know."""
    try:
        return path.is_dir()
    except PermissionError:
        return None


def expand(text: str, folder: Path, environ: Mapping[str, str]) -> Path:
    """A path of the settings: ``~`` the user's folder, ``%d/`` systemd's credentials, else below the file's folder.

    ``%d/`` outside of the unit stays as it is where its folder is not known; reading it then says why.
    """
    if text.startswith("%d/"):
        given = environ.get("CREDENTIALS_DIRECTORY")
        if given:
            return Path(given) / text.removeprefix("%d/")
        return UNIT_CREDENTIALS / text.removeprefix("%d/") if is_folder(UNIT_CREDENTIALS) else Path(text)
    if text == "~" or text.startswith("~/"):
        return home(environ) / text[2:]
    return folder / text
