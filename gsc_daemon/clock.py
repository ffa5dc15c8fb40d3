"""Time: the wall in UTC milliseconds, durations by the monotonic clock, and Google's dates in Pacific time."""

from __future__ import annotations

import datetime as dt
import functools
import os
import time
from pathlib import Path
from typing import Final, Protocol

# Search Console's dates are Pacific: developers.google.com/webmaster-tools/v1/searchanalytics/query
PACIFIC: Final = "America/Los_Angeles"
# Seconds by which tests move the wall of a whole daemon, so that days pass; nobody else has a use for it.
# A path means a file with that figure, read at every look, so that days pass while the daemon runs.
OFFSET: Final = "GSCD_TEST_CLOCK_OFFSET"


class Clock(Protocol):
    """What the steps ask of time; tests give one that stands still."""

    def wall_ms(self) -> int:
        """Milliseconds since 1970 in UTC."""

    def monotonic(self) -> float:
        """Seconds that never go back; only differences mean anything."""


class SystemClock:
    """The machine's own clocks; the wall moved by `OFFSET`, if a test has set it."""

    def __init__(self) -> None:
        offset = os.environ.get(OFFSET, "0")
        self._offset_file = Path(offset) if "/" in offset else None
        self._offset_ms = 0 if self._offset_file else int(offset) * 1000

    def wall_ms(self) -> int:
        if self._offset_file is not None:
            self._offset_ms = int(self._offset_file.read_text()) * 1000
        return time.time_ns() // 1_000_000 + self._offset_ms

    def monotonic(self) -> float:
        return time.monotonic()


@functools.cache
def pacific() -> dt.tzinfo:
    """Google's time zone."""
    from zoneinfo import ZoneInfo  # commands that need no date start sooner without

    return ZoneInfo(PACIFIC)


def pacific_today(clock: Clock) -> dt.date:
    """The date that Google calls today."""
    return dt.datetime.fromtimestamp(clock.wall_ms() / 1000, pacific()).date()


def next_pacific_midnight_ms(clock: Clock) -> int:
    """When the next Pacific day begins, in UTC milliseconds; days of 23 and 25 hours included."""
    tomorrow = pacific_today(clock) + dt.timedelta(days=1)
    return int(dt.datetime.combine(tomorrow, dt.time(), pacific()).timestamp() * 1000)
