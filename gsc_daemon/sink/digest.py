"""Step 6, the sink: key hashes and digests, by which rows are told apart and compared without their order.

`audit_digest.sql` computes the same digest in Postgres. The emulator has the same functions for what it serves; a test
compares them, since neither may import the other.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

_LENGTH: Final = struct.Struct(">I").pack
_FIGURES: Final = struct.Struct(">16sqqdd")
_NOTHING: Final = hashlib.blake2b(digest_size=16)  # copied, which takes half as long as making one
_MASK: Final = (1 << 64) - 1
# UTF-8 has no lone surrogates, and Postgres keeps no NUL in text.
_IMPOSSIBLE: Final = re.compile("[\0\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for every character that Postgres cannot hold."""
    return _IMPOSSIBLE.sub("\ufffd", text)


def length_prefixed(values: Iterable[str]) -> bytes:
    """The values in UTF-8, each preceded by its length in bytes (4 bytes, big-endian): also COPY's form of texts."""
    parts = []
    for value in values:
        data = value.encode()
        parts.append(_LENGTH(len(data)))
        parts.append(data)
    return b"".join(parts)


def all_length_prefixed(rows: Iterable[Sequence[str]]) -> list[bytes]:
    """What `length_prefixed` gives of each row, at half the cost; all rows have the same number of values, not none."""
    parts: list[Iterable[bytes]] = []
    for column in zip(*rows, strict=True):
        different = set(column)
        if 4 * len(different) < len(column):  # countries and devices: each is put into its form once
            forms = {value: length_prefixed((value,)) for value in different}
            parts.append(map(forms.__getitem__, column))
        else:
            data = list(map(str.encode, column))
            parts += (map(_LENGTH, map(len, data)), data)
    return list(map(b"".join, zip(*parts, strict=True)))


def hashes_of(prefixed: Iterable[bytes]) -> list[bytes]:
    """`hash_of` each."""
    hashes = []
    for one in prefixed:
        hashed = _NOTHING.copy()
        hashed.update(one)
        hashes.append(hashed.digest())
    return hashes


def hash_of(prefixed: bytes) -> bytes:
    """16-byte BLAKE2b of what `length_prefixed` gives."""
    hashed = _NOTHING.copy()
    hashed.update(prefixed)
    return hashed.digest()


def key_hash(values: Iterable[str]) -> bytes:
    """16-byte BLAKE2b of the dimension values, each preceded by its length in UTF-8 bytes (4 bytes, big-endian)."""
    return hash_of(length_prefixed(values))


def row_digest(key: bytes, clicks: int, impressions: int, ctr: float, position: float | None) -> int:
    """The first 8 bytes, as a signed big-endian integer, of the MD5 of key hash and figures (no position is a NaN)."""
    figures = _FIGURES.pack(key, clicks, impressions, ctr, math.nan if position is None else position)
    return int.from_bytes(hashlib.md5(figures, usedforsecurity=False).digest()[:8], "big", signed=True)


def add_digests(digests: Iterable[int]) -> int:
    """Their sum modulo 2^64, as a signed integer."""
    total = sum(digests) & _MASK
    return total - (_MASK + 1) if total > _MASK // 2 else total
