"""`gscd status --watch`: a view for a terminal, of which only what has changed is drawn again."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator, Sequence
from typing import Final, TextIO

import click

from gsc_daemon.status import SiteStatus, Status
from gsc_daemon.words import amount, in_words, moment, plain

NARROW: Final = 60  # columns, below which nothing is made to fit
BAR: Final = 24
LABEL: Final = 9
_ENTER: Final = "\x1b[?1049h\x1b[?25l"  # the other screen, without a cursor
_LEAVE: Final = "\x1b[?25h\x1b[?1049l"
_HOME_AND_CLEAR: Final = "\x1b[2J"


class Look:
    """How things are drawn. full, empty: what bars are made of. colour: whether there is any."""

    def __init__(self, *, colour: bool, blocks: bool) -> None:
        self.colour = colour
        self.full, self.empty = ("█", "░") if blocks else ("#", ".")

    def bar(self, share: float, width: int = BAR, fg: str = "green") -> str:
        """A share from 0 to 1; a little of something is not nothing."""
        filled = min(width, max(round(share * width), int(share > 0)))
        return self.paint(self.full * filled, fg) + self.empty * (width - filled)

    def paint(self, text: str, fg: str) -> str:
        return click.style(text, fg=fg) if self.colour and text else text


def screen(seen: Status, look: Look, *, width: int, height: int, most_queued: int) -> list[str]:
    """The lines of the view, none wider than ``width``. most_queued: ``workers.max_queue_size``."""
    width = max(width, NARROW)
    found = [*_head(seen, look, width), "", *_gauges(seen, look, width, most_queued), *_workers(seen, width)]
    tail = list(_troubles(seen, look, width))
    room = height - len(found) - len(tail) - 4
    found += _sites(seen.sites, look, width, max(room, 1))
    return [*found, *tail][: max(height - 1, 1)]


def _head(seen: Status, look: Look, width: int) -> Iterator[str]:
    state = seen.daemon.state if seen.daemon is not None and seen.daemon.alive else "not running"
    right = moment(seen.at_ms)
    yield f"gscd  {state}".ljust(width - len(right)) + right
    colour = "red" if seen.verdict.person else "green"
    yield look.paint(_cut(str(seen.verdict), width), colour)


def _gauges(seen: Status, look: Look, width: int, most_queued: int) -> Iterator[str]:
    queue, rate, room = seen.queue, seen.rate, width - LABEL - BAR - 2
    share = rate.qpm[0] / rate.budget if rate.budget else 0.0
    text = f"{rate.qpm[0]:,.0f} a minute, of {rate.budget:,} (Google's quota: {rate.quota:,})"
    yield _gauge("QPM", look.bar(share, fg="red" if share > 1.01 else "green"), text, room)
    queued = queue.ready + queue.waiting
    full = queued / most_queued
    text = f"{queued:,} of {most_queued:,} items; {queue.leased:,} leased in {amount(queue.batches, 'batch')}"
    yield _gauge("queue", look.bar(full, fg="yellow" if full >= 0.5 else "green"), text, room)
    left = f", {in_words(seen.seconds_left)} left" if seen.seconds_left else ""
    text = f"{seen.published:,} of {seen.wanted:,} published{left}"
    yield _gauge("days", look.bar(seen.published / seen.wanted if seen.wanted else 0.0), text, room)
    if seen.batches.batches:
        slow = seen.batches.p99_s >= 5
        text = f"{seen.batches.average_s:.2f} s on average, 99% within {seen.batches.p99_s:.2f} s"
        yield _gauge("batches", look.bar(seen.batches.p99_s / 5, fg="yellow" if slow else "green"), text, room)


def _gauge(label: str, bar: str, text: str, room: int) -> str:
    return f"{label:<{LABEL}}{bar}  {_cut(text, room)}"


def _workers(seen: Status, width: int) -> Iterator[str]:
    if not seen.workers:
        return
    yield ""
    for worker in seen.workers:
        for_long = in_words((seen.at_ms - worker.since_ms) / 1000) if worker.since_ms else ""
        items = amount(worker.items, "item") if worker.items else ""
        doing = f"worker {worker.slot:<3}{worker.state:<22}{for_long:<12}{items:<10}{worker.site}"
        yield _cut(doing.rstrip(), width)


def _sites(sites: Sequence[SiteStatus], look: Look, width: int, room: int) -> Iterator[str]:
    if not sites:
        return
    yield ""
    named = min(max(len(site.progress.site) for site in sites), width - BAR - 22)
    for site in sites[:room]:
        progress = site.progress
        done = progress.published / progress.wanted if progress.wanted else 1.0
        bad = bool(progress.quarantined or progress.parked or progress.stalled_ms is not None)
        left = in_words(site.seconds_left) if site.seconds_left else ""
        text = f"{_cut(progress.site, named):<{named}}  "
        bar = look.bar(done, fg="red" if bad else "green")
        yield text + bar + _cut(f" {done:>4.0%}  {_note(site) or left}", width - named - 2 - BAR)
    if len(sites) > room:
        yield f"and {amount(len(sites) - room, 'site')} more"


def _note(site: SiteStatus) -> str:
    progress = site.progress
    if progress.parked:
        return f"parked: {progress.parked}"
    if progress.stalled_ms is not None:
        return "stands still"
    return f"{progress.quarantined:,} in quarantine" if progress.quarantined else ""


def _troubles(seen: Status, look: Look, width: int) -> Iterator[str]:
    texts = [str(finding) for finding in seen.also]
    texts += [f"{item.day}: {text}" for item, text, _ in list(seen.quarantine)[:3]]
    if texts:
        yield ""
    for text in texts:
        yield look.paint(_cut(text, width), "yellow")


def _cut(text: str, width: int) -> str:
    text = plain(text)
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"


class Painter:
    """Draws one view after another on a terminal; a slow line gets only what has changed."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._shown: list[str] = []
        self._size = (0, 0)

    def __enter__(self) -> Painter:
        self._out.write(_ENTER)
        return self

    def __exit__(self, *_: object) -> None:
        self._out.write(_LEAVE)
        self._out.flush()

    def draw(self, lines: Sequence[str], size: tuple[int, int]) -> None:
        """Args: size: columns and lines of the terminal; another one than before, and all is drawn."""
        if size != self._size:
            self._out.write(_HOME_AND_CLEAR)
            self._shown, self._size = [], size
        old = self._shown
        for row in range(max(len(lines), len(old))):
            line = lines[row] if row < len(lines) else ""
            if row >= len(old) or old[row] != line:
                self._out.write(f"\x1b[{row + 1};1H\x1b[2K{line}")
        self._shown = list(lines)
        self._out.flush()


def look_of_terminal() -> Look:
    """No colours where the user wants none (no-color.org) or the terminal has none; blocks where it can show them."""
    coloured = not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
    return Look(colour=coloured, blocks=(sys.stdout.encoding or "").lower().startswith("utf"))


def size_of_terminal() -> tuple[int, int]:
    """Columns and lines."""
    size = shutil.get_terminal_size()
    return size.columns, size.lines
