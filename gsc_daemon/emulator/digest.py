"""Emulator, truth: the digest by which rows are compared without their order.

The sink has the same two functions for what PostgreSQL holds; a test compares them, since neither may import the other.
"""

from __future__ import annotations

import hashlib
import math
import re
import struct
from collections.abc import Iterable, Sequence
from typing import Final

_ROW: Final = struct.Struct(">16sqqdd")
_MASK: Final = (1 << 64) - 1
# PostgreSQL can hold neither NUL nor unpaired surrogates; the sink stores U+FFFD for each.
_IMPOSSIBLE: Final = re.compile("[\x00\ud800-\udfff]")


def storable(text: str) -> str:
    """The text with U+FFFD for every character that PostgreSQL cannot hold."""
    return _IMPOSSIBLE.sub("\ufffd", text)


def key_hash(values: Sequence[str]) -> bytes:
    """16-byte BLAKE2b of the dimension values, each preceded by its length in UTF-8 bytes (4 bytes, big-endian)."""
    parts = []
    for value in values:
        data = value.encode()
        parts.append(len(data).to_bytes(4, "big") + data)
    return hashlib.blake2b(b"".join(parts), digest_size=16).digest()


def row_digest(key: bytes, clicks: int, impressions: int, ctr: float, position: float | None) -> int:
    """The first 8 bytes of the MD5 of a row's key hash and figures, big-endian, as a signed integer."""
    packed = _ROW.pack(key, clicks, impressions, ctr, math.nan if position is None else position)
    return int.from_bytes(hashlib.md5(packed, usedforsecurity=False).digest()[:8], "big", signed=True)


def add_digests(digests: Iterable[int]) -> int:
    """Their sum modulo 2^64, as a signed integer."""
    total = sum(digests) & _MASK
    return total - (1 << 64) if total >> 63 else total
