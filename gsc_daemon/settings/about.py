"""Settings, how one is described: its kind, meaning, unit, range, and whether a reload puts it in force."""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import Any, Final, TypeVar

import msgspec

S = TypeVar("S", bound=type[msgspec.Struct])


class Kind(enum.Enum):
    """What a setting is in TOML."""

    WHOLE = "whole number"
    NUMBER = "number"
    TEXT = "text"
    PATH = "path"
    TEXTS = "list of texts"


class About(msgspec.Struct, frozen=True):
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


_described: Final[dict[type[msgspec.Struct], dict[str, About]]] = {}
_new: Final[list[About]] = []  # of the class that is being made


class Section(msgspec.Struct, frozen=True):
    """A section of the settings. Its repr has no secrets."""

    def __repr__(self) -> str:
        shown = (name for name, about in abouts(type(self)).items() if not about.secret)
        return f"{type(self).__name__}({', '.join(f'{name}={getattr(self, name)!r}' for name in shown)})"


def setting(kind: Kind, default: Any, meaning: str, **more: Any) -> Any:
    """The default of a field of a `described` class, whose `About` is kept beside."""
    _new.append(About(kind, meaning, **more))
    return default


def described(section: S) -> S:
    """A class whose every field is a `setting`."""
    _described[section] = dict(zip(section.__struct_fields__, _new, strict=True))
    _new.clear()
    return section


def abouts(section: type[Any]) -> dict[str, About]:
    """Key → description, in the order of the file."""
    return _described[section]


def default(section: type[Any], key: str) -> Any:
    """The default of a setting."""
    return getattr(section(), key)
