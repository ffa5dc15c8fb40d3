"""Settings, how one is described: its kind, meaning, unit, range, and whether a reload puts it in force."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


class Kind(enum.Enum):
    """What a setting is in TOML."""

    WHOLE = "whole number"
    NUMBER = "number"
    TEXT = "text"
    PATH = "path"
    TEXTS = "list of texts"


@dataclass(frozen=True, slots=True)
class About:
    """One setting's description.

    Args:
        meaning: sentences for a person. unit: of the number. example: a value other than the default.
        low, high: the range, both allowed; ``above`` instead of low where low itself is not allowed.
        choices: the only words allowed. wrong: what is wrong with a value, or "".
        reload: `gscd reload` is enough. secret: never shown.
    """

    kind: Kind
    meaning: str
    unit: str = ""
    example: Any = None
    low: float | None = None
    above: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    wrong: Callable[[Any], str] | None = None
    reload: bool = False
    secret: bool = False


def setting(kind: Kind, default: Any, meaning: str, **more: Any) -> Any:
    """A dataclass field with its `About`; secrets are left out of the repr."""
    return field(default=default, metadata={"about": About(kind, meaning, **more)}, repr=not more.get("secret", False))


def abouts(section: type[Any]) -> dict[str, About]:
    """Key → description, in the order of the file."""
    return {entry.name: entry.metadata["about"] for entry in dataclasses.fields(section)}


def default(section: type[Any], key: str) -> Any:
    """The default of a setting."""
    return next(entry.default for entry in dataclasses.fields(section) if entry.name == key)
