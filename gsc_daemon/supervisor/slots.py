"""The supervisor, its slots: a place for each child that is wanted, who sits there, and when the next one may."""

from __future__ import annotations

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from gsc_daemon.child import Child

BACKOFF: Final = (0.1, 5.0)  # seconds until a slot is filled again, doubling with each early death
KILLED_BACKOFF: Final = 1.0  # at most, for one that was killed from outside: the kernel or an operator


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of child.

    Args:
        run: its whole life after the fork; gives the exit code. stale_seconds: a child silent for longer is hung.
    """

    name: str
    run: Callable[[Child], int]
    slots: int
    stale_seconds: float


@dataclass(slots=True, eq=False)
class Slot:
    """A child's place.

    Args:
        line: to the child; None while nobody sits there. partial: of a line that has not come whole.
        useful: this child has finished something, so its death is no crash loop.
        asked_to_leave: its end is wanted. kill_at: when it is killed unless it has done what was asked.
        early_deaths: of children in a row that had not been useful. fork_at: when the next one may be forked.
    """

    role: str
    number: int
    pid: int = 0
    started_ticks: int = 0
    line: socket.socket | None = None
    partial: bytes = b""
    forked_at: float = 0.0
    beat_at: float = 0.0
    state: str = "starting"
    site: str = ""
    ready: bool = False
    useful: bool = False
    asked_to_leave: bool = False
    kill_at: float | None = None
    early_deaths: int = 0
    fork_at: float = 0.0

    @property
    def halted(self) -> bool:
        """Whether the child has said that it stands still."""
        return self.state == "halted"

    def vacate(self, now: float) -> None:
        """Nobody sits here any more; the next one may come at once."""
        self.pid, self.line, self.partial = 0, None, b""
        self.ready = self.asked_to_leave = False
        self.state, self.site, self.kill_at, self.fork_at = "starting", "", None, now

    def put_off(self, now: float, *, killed: bool) -> None:
        """Its child died before it was useful: the next one waits, longer each time."""
        first, most = BACKOFF
        self.fork_at = now + min(KILLED_BACKOFF if killed else most, first * 2 ** min(self.early_deaths - 1, 16))
