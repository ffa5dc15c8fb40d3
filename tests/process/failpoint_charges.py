"""What the failpoint tests share: charges laid and spent, and the points as the code has them."""

from __future__ import annotations

import ast
import os
import random
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import gsc_daemon
from gsc_daemon.failpoint import PATIENCE

PACKAGE = Path(gsc_daemon.__file__).parent


@dataclass
class Charges:
    """The folder that ``GSCD_FAILPOINTS`` names."""

    folder: Path
    stopped: dict[Path, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.folder / "spent").mkdir(parents=True)

    def lay(self, points: Iterable[str], how: str, *, latest: int = 1, chance: random.Random) -> None:
        """One charge at each point, for one of its first hits."""
        for point in points:
            (self.folder / f".{point}").write_text(f"{how} {chance.randint(1, latest)}")
            (self.folder / f".{point}").rename(self.folder / point)

    def left(self) -> set[str]:
        return {file.name for file in self.folder.iterdir() if file.is_file() and not file.name.startswith(".")}

    def spent(self) -> list[tuple[str, int]]:
        """Point and pid of each that went off."""
        split = (file.name.split("~") for file in (self.folder / "spent").iterdir())
        return [(point, int(pid)) for point, pid in split]

    def remove(self) -> None:
        for point in self.left():
            (self.folder / point).unlink(missing_ok=True)

    def standing(self) -> list[int]:
        """Pids that are stopped at a point."""
        return [pid for _, pid in self.spent() if _is_stopped(pid)]

    def wake(self) -> None:
        """Whoever has stood still for longer than its lease goes on, if nobody has ended it."""
        now = time.monotonic()
        for file in (self.folder / "spent").iterdir():
            since = self.stopped.setdefault(file, now)
            if 0 < since < now - PATIENCE - 1:
                self.stopped[file] = 0.0
                pid = int(file.name.split("~")[1])
                if _is_stopped(pid):
                    os.kill(pid, signal.SIGCONT)


def _is_stopped(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] == b"T"
    except (FileNotFoundError, ProcessLookupError):
        return False


def points_in_the_code() -> dict[str, bool]:
    """Every point that the code names, and whether a driver can raise there."""
    found: dict[str, bool] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.args:
                found |= _points(node.func, node.args)
    return found


def _points(function: ast.Attribute, arguments: list[ast.expr]) -> dict[str, bool]:
    first = arguments[0]
    name = first.value if isinstance(first, ast.Constant) else ""
    if function.attr == "hit" and isinstance(name, str) and name:
        return {name: len(arguments) > 1}
    if function.attr == "hit" and isinstance(first, ast.JoinedStr) and "budget." in ast.unparse(first):
        return {f"budget.{verb}.{side}": True for verb in _verbs_of_the_budget() for side in ("before", "after")}
    if function.attr == "write" and isinstance(name, str) and _is_transaction(function):
        return {f"ledger.{name}.{side}": True for side in ("before", "after")}
    return {}


def _is_transaction(function: ast.Attribute) -> bool:
    return ast.unparse(function.value) in ("self._db", "connection")


def _verbs_of_the_budget() -> tuple[str, ...]:
    from gsc_daemon.budget.shared import CHANGES

    return CHANGES
