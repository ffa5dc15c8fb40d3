"""How amounts, spans and moments are said to a person, the same in every command. No step; all of them use it."""

from __future__ import annotations

import datetime as dt


def amount(number: int, thing: str) -> str:
    """``1 day``, ``2,310 days``, ``3 batches``, ``2 properties``."""
    if thing.endswith("y") and thing[-2:-1] not in tuple("aeiou"):
        plural = f"{thing[:-1]}ies"
    else:
        plural = f"{thing}es" if thing.endswith("ch") else f"{thing}s"
    return f"{number:,} {thing if number == 1 else plural}"


def plain(text: str) -> str:
    """Foreign words as part of one of our lines: what could move a cursor, hide or break a line is shown as escapes."""
    if text.isprintable():
        return text
    return "".join(one if one.isprintable() else ascii(one)[1:-1] for one in text)


def in_words(seconds: float) -> str:
    """A span, as exact as a person wants it: ``40 seconds``, ``12 minutes``, ``3.5 hours``, ``2.1 days``."""
    if seconds < 90:
        return amount(round(seconds), "second")
    if seconds < 5400:
        return amount(round(seconds / 60), "minute")
    unit, name = (3600, "hours") if seconds < 36 * 3600 else (86_400, "days")
    return f"{seconds / unit:.1f} {name}"


def moment(ms: int) -> str:
    """A time in UTC milliseconds, as this machine's clock on the wall shows it."""
    return dt.datetime.fromtimestamp(ms // 1000, dt.UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
