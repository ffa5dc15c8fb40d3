"""Settings, which properties are meant: names, patterns with ``*``, and what is left out with ``!``. Pure."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

ANY: Final = "*"
NOT: Final = "!"


def is_pattern(word: str) -> bool:
    """Whether it stands for other properties than the one of its own name; no property has a ``*`` in its name."""
    return ANY in word or word.startswith(NOT)


class Choice(msgspec.Struct, frozen=True):
    """Some properties, in the words of the settings: what any word means and no word with ``!`` leaves out."""

    words: tuple[str, ...]

    @property
    def named(self) -> tuple[str, ...]:
        """Those that are wanted by name, whether Google lists them or not."""
        return tuple(word for word in self.words if not is_pattern(word) and self.has(word))

    @property
    def open(self) -> bool:
        """Whether it depends on what Google lists."""
        return any(ANY in word for word in self.words if not word.startswith(NOT))

    def has(self, site: str) -> bool:
        """Whether this property is meant."""
        return _matches(self.words, site)

    def among(self, readable: Iterable[str]) -> list[str]:
        """The properties that are meant: those named, then those of ``readable`` that a pattern means."""
        return list(dict.fromkeys((*self.named, *(site for site in readable if self.has(site)))))


@functools.lru_cache(maxsize=4096)
def _matches(words: Sequence[str], site: str) -> bool:
    wanted = any(_means(word, site) for word in words if not word.startswith(NOT))
    return wanted and not any(_means(word.removeprefix(NOT), site) for word in words if word.startswith(NOT))


def _means(word: str, site: str) -> bool:
    return re.fullmatch(".*".join(map(re.escape, word.split(ANY))), site) is not None
