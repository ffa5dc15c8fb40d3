"""The ledger's SQL: one file per verb or query under ``sql/``, its statements by name.

A file holds one statement, or several, each below a line ``-- :name``.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parent


@cache
def statement(name: str) -> str:
    """The statement ``verb`` or ``verb.part``. Raises KeyError for one that is not there."""
    verb, _, part = name.partition(".")
    return _file(verb)[part]


@cache
def _file(verb: str) -> dict[str, str]:
    text = (_FOLDER / "sql" / f"{verb}.sql").read_text(encoding="utf-8")
    found: dict[str, list[str]] = {"": []}
    lines = found[""]
    for line in text.splitlines():
        if line.startswith("-- :"):
            lines = found.setdefault(line.removeprefix("-- :").strip(), [])
        else:
            lines.append(line)
    return {part: "\n".join(body).strip() for part, body in found.items()}


@cache
def migrations() -> tuple[tuple[int, str], ...]:
    """Number and text of each migration, in order."""
    files = sorted((_FOLDER / "migrations").glob("*.sql"))
    return tuple((int(entry.name[:4]), entry.read_text(encoding="utf-8")) for entry in files)
