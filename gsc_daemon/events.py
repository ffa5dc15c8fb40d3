"""Events: one call feeds the journal, the metrics and the alerts. The table below is the whole list.

A process subscribes what it wants after its fork; without a subscriber an event costs nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final


class Level(enum.IntEnum):
    """syslog's severities, as journald's PRIORITY."""

    ERROR = 3  # a person is needed
    WARNING = 4  # heals by itself
    INFO = 6
    DEBUG = 7


@dataclass(frozen=True, slots=True)
class EventSpec:
    """One event: its level, its fields with their meaning and unit, and the line that a person reads."""

    level: Level
    fields: dict[str, str]
    text: str


Value = str | int | float | bool | None
Subscriber = Callable[[str, EventSpec, dict[str, Value]], None]

EVENTS: Final[dict[str, EventSpec]] = {
    "coordinator.queue_size": EventSpec(
        Level.DEBUG,
        {"ready": "items that may be claimed", "waiting": "items that wait for their time", "planned": "days"},
        "queue: {ready} ready, {waiting} waiting, {planned} days planned",
    ),
    "coordinator.in_flight": EventSpec(
        Level.DEBUG,
        {"batches": "batches leased", "items": "items leased"},
        "in flight: {batches} batches, {items} items",
    ),
}

_subscribers: list[Subscriber] = []


def subscribe(subscriber: Subscriber) -> None:
    """Have every event of this process given to ``subscriber``; it must not block and must not raise."""
    _subscribers.append(subscriber)


def clear() -> None:
    """Forget all subscribers: a forked child starts with none of its parent's."""
    _subscribers.clear()


def emit(name: str, **fields: Value) -> None:
    """Tell the subscribers what happened. Raises KeyError for a name that is not in `EVENTS`."""
    spec = EVENTS[name]
    for subscriber in _subscribers:
        subscriber(name, spec, fields)
