"""Step 5, fetch, flights: when each exchange begins, and how it is ended from outside at any moment.

Each exchange has a thread of its own, a daemon: `concurrent.futures` joins its threads at exit, and a process that is
told to leave may not wait for Google. One more thread, the tower, starts exchanges when they are due and ends those
that take too long. An end does not wait for anybody: the socket is shut down under the thread that waits on it, and
what is still owed is delivered at once, even if that thread is stuck where there is no socket yet (a name server).
"""

from __future__ import annotations

import contextlib
import enum
import os
import socket
import threading
import time
from collections.abc import Callable


class Ending(enum.Enum):
    """Why a flight ended before its work was done."""

    ABANDONED = "given up because of a halt"
    LATE = "it took longer than it may"
    FAILED = "a mistake of ours; its traceback is in the journal"


class Cut(Exception):
    """This flight was ended from outside; who did it has told everybody."""


class Flight:
    """One exchange, from its sending to its last byte.

    Args:
        work: what its thread does; it may raise `Cut`. ended: called when the work will not be done, by any thread.
        seconds: what it may take.
    """

    def __init__(self, work: Callable[[Flight], None], ended: Callable[[Ending], None], seconds: float) -> None:
        self._work, self._ended = work, ended
        self.seconds = seconds
        self.at = 0.0  # by time.monotonic(): when it begins; once it has begun, when it must be over
        self.begun = False
        self._lock = threading.Lock()
        self._line: socket.socket | None = None
        self._over = self._cut = False

    def fly(self) -> None:
        """In its own thread."""
        try:
            self.check()
            self._work(self)
        except Cut:
            pass
        except Exception:
            self._ended(Ending.FAILED)
            raise
        finally:
            with self._lock:
                self._over = True
            self.let_go()

    def check(self) -> None:
        """Raises `Cut` if it was ended."""
        if self._cut:
            raise Cut

    def hold(self, line: socket.socket) -> None:
        """The connection that it uses from now on. Raises `Cut` if it was ended, before anything is sent.

        A copy of the descriptor is kept: TLS takes the socket object itself away, and `shutdown` works on any copy.
        """
        with self._lock:
            self.check()
            self._close_line()
            self._line = socket.socket(fileno=os.dup(line.fileno()))

    def let_go(self) -> None:
        """The connection is free for others."""
        with self._lock:
            self._close_line()

    def _close_line(self) -> None:
        if self._line is not None:
            self._line.close()
            self._line = None

    def cut(self, why: Ending) -> None:
        """End it, from any thread; nothing happens if it is over."""
        with self._lock:
            if self._over or self._cut:
                return
            self._cut = True
            if self._line is not None:
                with contextlib.suppress(OSError):  # the other side was quicker
                    self._line.shutdown(socket.SHUT_RDWR)
        self._ended(why)


class Tower:
    """Starts flights when they are due, ends those that are late, and all of them when asked."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._flights: set[Flight] = set()
        self._watch: threading.Thread | None = None

    def launch(self, *departures: tuple[Flight, float]) -> None:
        """Let each flight begin in so many seconds; returns at once."""
        now = time.monotonic()
        with self._changed:
            for flight, delay in departures:
                flight.at = now + delay
                self._flights.add(flight)
            if self._watch is None or not self._watch.is_alive():
                self._watch = threading.Thread(target=self._run, name="fetch-tower", daemon=True)
                self._watch.start()
            self._changed.notify()

    def abandon(self) -> None:
        """End every flight now, begun or not; each has told whom it concerns when this returns."""
        with self._changed:
            flights, self._flights = self._flights, set()
        for flight in flights:
            flight.cut(Ending.ABANDONED)

    def close(self) -> None:
        """End every flight and the tower's own thread; a launch would start it again."""
        self.abandon()
        with self._changed:
            self._watch = None
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                if self._watch is not threading.current_thread():
                    return
                now = time.monotonic()
                due = [flight for flight in self._flights if flight.at <= now]
                late = [flight for flight in due if flight.begun]
                self._flights.difference_update(late)
                for flight in due:
                    if not flight.begun:
                        self._begin(flight, now)
                if not late:
                    self._changed.wait(self._patience(now))
            for flight in late:
                flight.cut(Ending.LATE)

    def _patience(self, now: float) -> float | None:
        """Seconds until something is due; None: until there is something."""
        return max(0.0, min(flight.at for flight in self._flights) - now) if self._flights else None

    def _begin(self, flight: Flight, now: float) -> None:
        flight.begun, flight.at = True, now + flight.seconds
        threading.Thread(target=self._fly, args=(flight,), name="fetch", daemon=True).start()

    def _fly(self, flight: Flight) -> None:
        try:
            flight.fly()
        finally:
            with self._changed:
                self._flights.discard(flight)
