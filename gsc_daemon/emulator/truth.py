"""Emulator, truth: what every day of every property holds; everything that is served is computed from it."""

from __future__ import annotations

import calendar
import datetime as dt
import hashlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from gsc_daemon.emulator.config import EmulatorConfig, SiteSpec
from gsc_daemon.emulator.digest import add_digests
from gsc_daemon.emulator.pool import VARIANTS, Chunk, Pool

# Rows of a day by search type, as a share of those of ``web``. Invented.
TYPE_SHARES: Final = {"web": 1.0, "image": 0.1, "video": 0.02, "news": 0.02, "discover": 0.05, "googleNews": 0.02}
HOURLY_DAYS: Final = 10
_SCALES: Final = ((4000, 500), (400, 50), (0, 5))  # rows a day from which a pool has chunks of that many rows


class Day(NamedTuple):
    """One date of one property and search type: the chunks it is made of, and how many of their rows."""

    date: dt.date
    chunks: tuple[Chunk, ...]
    rows: int

    def parts(self, start: int, stop: int) -> Iterator[tuple[Chunk, int, int]]:
        """Chunks that hold these rows, each with its first row and the one after its last."""
        stop = min(stop, self.rows)
        if start >= stop:
            return
        size = len(self.chunks[0])
        for number in range(start // size, -(-stop // size)):
            base = number * size
            yield self.chunks[number], max(start - base, 0), min(stop - base, size)

    def digest(self, rows: int) -> int:
        """Of the first rows, by query, page, country and device."""
        return add_digests(chunk.digest(stop) for chunk, _, stop in self.parts(0, rows))


def months_before(date: dt.date, months: int) -> dt.date:
    """The same day of an earlier month, or that month's last day."""
    year, month = divmod(date.year * 12 + date.month - 1 - months, 12)
    return dt.date(year, month + 1, min(date.day, calendar.monthrange(year, month + 1)[1]))


class Truth:
    """The days of all properties. What changes at run time (settings, restatements) is given or noted here."""

    def __init__(self, config: EmulatorConfig) -> None:
        self.config = config
        self.sites = {site.site_url: site for site in config.sites}
        self.version = 0
        self._restated: dict[tuple[str, dt.date], int] = {}
        largest: dict[tuple[str, int], int] = {}
        for site in config.sites:
            rows = int(max(site.rows_per_day * (1 + site.rows_vary), site.peak_rows if site.peaks else 0)) + 1
            key = self._pool_key(site)
            largest[key] = max(largest.get(key, 0), rows)
        self.pools = {
            (host, size): Pool(
                config.seed,
                host,
                rows,
                chunk_rows=size,
                hidden_share=config.hide_anonymised,
                impossible=config.impossible_characters,
            )
            for (host, size), rows in largest.items()
        }

    @staticmethod
    def _pool_key(site: SiteSpec) -> tuple[str, int]:
        return site.host, next(size for rows, size in _SCALES if site.rows_per_day >= rows)

    def restate(self, site: str, first: dt.date, last: dt.date) -> None:
        """Google corrects these days: other figures, and partly other rows, from now on."""
        for number in range((last - first).days + 1):
            key = (site, first + dt.timedelta(days=number))
            self._restated[key] = self._restated.get(key, 0) + 1
        self.version += 1

    def first_date(self, site: SiteSpec, today: dt.date) -> dt.date:
        """The oldest date with data."""
        kept = months_before(today, self.config.months_kept)
        return kept if site.first_day is None else max(kept, site.first_day)

    def newest_final(self, today: dt.date) -> dt.date:
        """The newest date that is final."""
        return today - dt.timedelta(days=self.config.final_lag_days)

    def day(self, site: SiteSpec, search_type: str, date: dt.date, today: dt.date, *, fresh: bool) -> Day | None:
        """What there is of a date today; with ``fresh`` also of days that are not final, as far as they are known."""
        if not self.first_date(site, today) <= date <= today:
            return None
        missing = (date - self.newest_final(today)).days
        if missing > 0 and not fresh:
            return None
        stage = f"{missing} to come" if missing > 0 else "final"
        restated = self._restated.get((site.site_url, date), 0)
        name = f"{self.config.seed}|{site.seed}|{site.site_url}|{search_type}|{date}"
        rows = site.rows_per_day * TYPE_SHARES[search_type]
        if site.rows_vary:
            draw = int.from_bytes(hashlib.sha256(name.encode()).digest()[:4], "big") / 2**32
            rows *= 1 + site.rows_vary * (2 * draw - 1)
        if date in site.peaks:
            rows = site.peak_rows * TYPE_SHARES[search_type]
        if missing > 0:
            rows *= 1 - missing / (self.config.final_lag_days + 1)
        count = round(rows) if site.rows_per_day == 0 else max(1, round(rows))
        pool = self.pools[self._pool_key(site)]
        slots = -(-count // pool.chunk_rows)
        picks = hashlib.shake_128(f"{name}|{stage}|{restated}".encode()).digest(slots)
        chunks = tuple(pool.chunks[number][pick % VARIANTS] for number, pick in enumerate(picks))
        return Day(date, chunks, count)
