"""The command line, progress of long work: one line on stderr that is rewritten; silent where stderr is no terminal."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Final, TypeVar

T = TypeVar("T")

EVERY: Final = 0.1  # seconds between two drawings
BAR: Final = 24  # columns


class Progress:
    """A line that says how far something is.

    Args:
        label: what is going on, such as ``days``.
    """

    def __init__(self, label: str) -> None:
        self.label = label
        self._terminal = sys.stderr.isatty()
        self._drawn_at = 0.0
        self._shown = False

    def __enter__(self) -> Progress:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.clear()

    def show(self, done: int, total: int | None = None, note: str = "") -> None:
        """Draw, but not more often than an eye follows. total: None where it is not known."""
        now = time.monotonic()
        if not self._terminal or now - self._drawn_at < EVERY:
            return
        self._drawn_at, self._shown = now, True
        columns = shutil.get_terminal_size().columns - 1
        sys.stderr.write(f"\r\x1b[K{self.line(done, total, note)[:columns]}")
        sys.stderr.flush()

    def line(self, done: int, total: int | None, note: str) -> str:
        """What is drawn."""
        if not total:
            text = f"{self.label} {done:,}"
        else:
            filled = BAR * min(done, total) // total
            text = f"{self.label} [{'#' * filled}{'.' * (BAR - filled)}] {done:,} of {total:,}"
        return f"{text}  {note}" if note else text

    def clear(self) -> None:
        """Leave no trace of the line, so that what is said next stands alone."""
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
            self._shown = False

    def count(self, things: Iterable[T], total: int | None = None) -> Iterator[T]:
        """The same things, counted as they are taken."""
        for number, thing in enumerate(things, 1):
            self.show(number, total)
            yield thing
