"""Emulator, bodies: gzip streams put together from pieces that were compressed once.

A piece is raw deflate that ends with a full flush (RFC 1951, an empty stored block), so pieces stand in any order
between one gzip header and one trailer (RFC 1952). The trailer's CRC is combined from the pieces' own: appending n
bytes multiplies a CRC by x^(8n) modulo the CRC polynomial.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

LEVEL: Final = 6
_POLYNOMIAL: Final = 0xEDB88320  # CRC-32, lowest bit first: the left-most bit stands for x^0
_ONE: Final = 1 << 31
_GZIP_HEADER: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_LAST_BLOCK: Final = b"\x03\x00"
_STORED_MAX: Final = 65_535


class Piece(NamedTuple):
    """Some bytes of a body, compressed.

    Args:
        deflated: raw deflate, ending on a byte boundary, without a last block.
        length: bytes when inflated. crc: their CRC-32. shift: x^(8 × length) modulo the CRC polynomial.
    """

    deflated: bytes
    length: int
    crc: int
    shift: int


def multiply(a: int, b: int) -> int:
    """Product of two polynomials modulo the CRC polynomial, in the CRC's own bit order."""
    product = 0
    while a:
        if a & _ONE:
            product ^= b
        a = (a << 1) & 0xFFFFFFFF
        b = (b >> 1) ^ _POLYNOMIAL if b & 1 else b >> 1
    return product


def _squares() -> tuple[int, ...]:
    """x^(2^k) for k = 0 … 31; x^(2^32) is x again."""
    powers = [1 << 30]
    while len(powers) < 32:
        powers.append(multiply(powers[-1], powers[-1]))
    return tuple(powers)


_SQUARES: Final = _squares()


def shift_of(length: int) -> int:
    """What a CRC is multiplied by when ``length`` bytes follow."""
    bits, product, k = length * 8, _ONE, 0
    while bits:
        if bits & 1:
            product = multiply(_SQUARES[k % 32], product)
        bits >>= 1
        k += 1
    return product


def compress(data: bytes) -> Piece:
    """A piece compressed well: for what is sent many times."""
    engine = zlib.compressobj(LEVEL, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = engine.compress(data) + engine.flush(zlib.Z_FULL_FLUSH)
    return Piece(deflated, len(data), zlib.crc32(data), shift_of(len(data)))


def compress_once(data: bytes) -> Piece:
    """A piece compressed quickly: for what is sent once."""
    engine = zlib.compressobj(1, zlib.DEFLATED, -zlib.MAX_WBITS)
    deflated = engine.compress(data) + engine.flush(zlib.Z_FULL_FLUSH)
    return Piece(deflated, len(data), zlib.crc32(data), shift_of(len(data)))


def stored(data: bytes) -> Piece:
    """A piece without compression: for a few bytes between others."""
    blocks = []
    for start in range(0, len(data), _STORED_MAX):
        part = data[start : start + _STORED_MAX]
        blocks.append(b"\x00" + struct.pack("<HH", len(part), len(part) ^ 0xFFFF) + part)
    return Piece(b"".join(blocks), len(data), zlib.crc32(data), shift_of(len(data)))


def inflate(pieces: Iterable[Piece]) -> bytes:
    """The bytes of the pieces."""
    return b"".join(zlib.decompressobj(-zlib.MAX_WBITS).decompress(piece.deflated) for piece in pieces)


def gzip(pieces: Sequence[Piece]) -> list[bytes]:
    """One whole gzip member as buffers to be written one after the other."""
    crc = length = 0
    for piece in pieces:
        crc = multiply(piece.shift, crc) ^ piece.crc
        length += piece.length
    trailer = struct.pack("<II", crc, length & 0xFFFFFFFF)
    return [_GZIP_HEADER, *(piece.deflated for piece in pieces), _LAST_BLOCK + trailer]
