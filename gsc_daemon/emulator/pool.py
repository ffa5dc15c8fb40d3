"""Emulator, truth: chunks of rows, made and compressed once, of which every day is composed.

A pool has one slot for each stretch of ranks. A slot has its own keys, found in no other slot, and a few variants:
which of the keys appear, in which order, with which figures. A day takes one variant of every slot, so its keys are
unique, its clicks descend, and days differ while they share most keys, as real ones do.
"""

from __future__ import annotations

import random
import zlib
from array import array
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Final

from gsc_daemon.emulator.deflate import Piece, compress
from gsc_daemon.emulator.digest import add_digests, key_hash, row_digest, storable
from gsc_daemon.emulator.render import Style, keys_text, row_text, separator
from gsc_daemon.emulator.words import AWKWARD_QUERIES, COUNTRIES, DEVICES, IMPOSSIBLE_QUERIES, queries, urls

VARIANTS: Final = 4
TOP_CLICKS: Final = 900
Key = tuple[str, str, str, str]


class Slot:
    """The keys of one stretch of ranks: query, page, country, device."""

    def __init__(self, keys: list[Key]) -> None:
        self.keys = keys
        self._hashes: list[bytes] = []
        self._marks: list[int] = []

    @property
    def hashes(self) -> list[bytes]:
        """The key hash of each key, as the sink computes it."""
        if not self._hashes:
            self._hashes = [key_hash([storable(value) for value in key]) for key in self.keys]
        return self._hashes

    @property
    def marks(self) -> list[int]:
        """32 bits for each key that decide what else is so of it: hour, search appearance."""
        if not self._marks:
            self._marks = [zlib.crc32("\n".join(key).encode("utf-8", "surrogatepass")) for key in self.keys]
        return self._marks


class Chunk:
    """One variant of a slot: rows in descending order of clicks, and what anonymised queries add to totals.

    ``order`` gives each row's key in the slot; ``position_sums`` are positions summed over the row's impressions.
    """

    def __init__(self, slot: Slot, rng: random.Random, size: int, curve: list[int], hidden_share: float) -> None:
        self.slot = slot
        self.order = array("H", rng.sample(range(len(slot.keys)), size))
        low, high = curve[-1], curve[0]
        drawn = (min(high, max(low, int(figure * (0.8 + 0.4 * rng.random())))) for figure in curve[:-1])
        self.clicks = array("I", sorted(drawn, reverse=True))
        self.impressions = array("I", (self._impressions(clicks, rng) for clicks in self.clicks))
        self.position_sums = array("I", (n + int(n * 80 * rng.random() ** 3) for n in self.impressions))
        self.hidden = self._hide(hidden_share)
        self._pieces: dict[Style, Piece] = {}
        self._digest: int | None = None

    @staticmethod
    def _impressions(clicks: int, rng: random.Random) -> int:
        chance = rng.random()
        return clicks + 1 + int(clicks * 12 * chance) + int(4 * chance / (1.01 - chance))

    def _hide(self, share: float) -> list[tuple[int, int, int, int]]:
        """Rows of anonymised queries: row of this chunk whose page it is, clicks, impressions, position sum.

        They hold ``share`` of all the clicks and impressions, one for each twenty rows.
        """
        if not share:
            return []
        factor, rows = share / (1 - share), range(0, len(self.order), 20)
        clicks, impressions = int(sum(self.clicks) * factor), max(1, int(sum(self.impressions) * factor))
        hidden = []
        for n, row in enumerate(rows):
            part = [total // len(rows) + (n < total % len(rows)) for total in (clicks, impressions)]
            if part[1] >= max(1, part[0]):
                hidden.append((row, part[0], part[1], part[1] * (3 + row % 7)))
        return hidden

    def __len__(self) -> int:
        return len(self.order)

    def rows(self, start: int, stop: int) -> Iterator[tuple[int, int, int, int]]:
        """Key number in the slot, clicks, impressions, position sum of each row in that range."""
        part = slice(start, stop)
        return zip(self.order[part], self.clicks[part], self.impressions[part], self.position_sums[part], strict=True)

    def text(self, start: int, stop: int, style: Style) -> str:
        """Those rows as JSON, with separators between them."""
        keys, pretty = self.slot.keys, style.pretty
        rows = self.rows(start, stop)
        return separator(style).join(row_text(keys_text(keys[n], pretty), c, i, s, style) for n, c, i, s in rows)

    def piece(self, style: Style) -> Piece:
        """The whole chunk, compressed; kept."""
        if style not in self._pieces:
            self._pieces[style] = compress(self.text(0, len(self), style).encode())
        return self._pieces[style]

    def digest(self, stop: int) -> int:
        """Sum of the digests of the first rows."""
        if stop < len(self):
            return self._sum(stop)
        if self._digest is None:
            self._digest = self._sum(stop)
        return self._digest

    def _sum(self, stop: int) -> int:
        hashes = self.slot.hashes
        return add_digests(row_digest(hashes[n], c, i, c / i, s / i) for n, c, i, s in self.rows(0, stop))


@lru_cache(maxsize=512)
def part_piece(chunk: Chunk, start: int, stop: int, style: Style) -> Piece:
    """Some rows of a chunk, compressed."""
    return compress(chunk.text(start, stop, style).encode())


class Pool:
    """Chunks for days of up to ``rows`` rows.

    Args:
        chunk_rows: rows of a chunk. hidden_share: share of clicks and impressions under anonymised queries.
        impossible: have some queries with characters that PostgreSQL cannot hold.
    """

    def __init__(
        self, seed: int, host: str, rows: int, *, chunk_rows: int, hidden_share: float, impossible: bool = False
    ) -> None:
        self.chunk_rows = chunk_rows
        rng = random.Random(f"{seed} {host} {chunk_rows}")
        special = AWKWARD_QUERIES + (IMPOSSIBLE_QUERIES if impossible else ())
        count = -(-rows // chunk_rows)
        keys = self._keys(rng, host, count, chunk_rows + max(1, chunk_rows // 4), special)
        self.slots = [Slot(slot) for slot in keys]
        self.chunks: list[list[Chunk]] = []
        for number, slot in enumerate(self.slots):
            ranks = range(number * chunk_rows, (number + 1) * chunk_rows + 1)
            curve = [int(TOP_CLICKS / (rank + 1) ** 0.8) for rank in ranks]
            self.chunks.append([Chunk(slot, rng, chunk_rows, curve, hidden_share) for _ in range(VARIANTS)])

    @staticmethod
    def _keys(rng: random.Random, host: str, slots: int, per_slot: int, special: tuple[str, ...]) -> list[list[Key]]:
        """Keys for all slots, none twice; in each slot the first has an awkward query or a very long URL."""
        total = slots * per_slot
        all_queries, all_pages = queries(rng, max(100, total // 5)), urls(rng, max(100, total // 15), host)
        long_pages = [page for page in all_pages if len(page) > 1000]
        all_pages = [page for page in all_pages if len(page) <= 1000]
        rng.shuffle(all_queries)
        rng.shuffle(all_pages)
        seen: set[Key] = set()
        found: list[Key] = []
        query_weights = [(n + 5) ** -0.7 for n in range(len(all_queries))]
        page_weights = [(n + 5) ** -0.8 for n in range(len(all_pages))]
        country_weights = [(n + 1) ** -1.2 for n in range(len(COUNTRIES))]
        while len(found) < total:
            missing = total - len(found)
            drawn = zip(
                rng.choices(all_queries, query_weights, k=missing),
                rng.choices(all_pages, page_weights, k=missing),
                rng.choices(COUNTRIES, country_weights, k=missing),
                rng.choices(DEVICES, (60, 35, 5), k=missing),
                strict=True,
            )
            for key in drawn:
                if key not in seen:
                    seen.add(key)
                    found.append(key)
        result = [found[n * per_slot : (n + 1) * per_slot] for n in range(slots)]
        for n, slot in enumerate(result):
            page = long_pages[n // 8 % len(long_pages)] if n % 8 == 3 else slot[0][1]
            key = (special[n % len(special)], page, slot[0][2], slot[0][3])
            if key not in seen:
                seen.add(key)
                slot[0] = key
        return result

    def warm(self, style: Style) -> None:
        """Render and compress every chunk now; zlib works outside the interpreter's lock, so two threads do it."""
        with ThreadPoolExecutor(2) as threads:
            list(threads.map(lambda chunk: chunk.piece(style), [chunk for slot in self.chunks for chunk in slot]))
