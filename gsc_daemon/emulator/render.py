"""Emulator, bodies: rows as JSON text, indented as Google does unless asked otherwise, or compact."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from json.encoder import encode_basestring, encode_basestring_ascii
from typing import NamedTuple


class Style(NamedTuple):
    """How a body is spelled.

    Args:
        pretty: indented by two spaces. decimal: whole doubles as ``1.0``, else as ``1``.
        position: rows have a position; those of Discover and Google News have none.
    """

    pretty: bool = False
    decimal: bool = True
    position: bool = True


class Figures(NamedTuple):
    """One row of an answer.

    Args:
        keys: in the order of the dimensions. position_sum: positions summed over all impressions.
    """

    keys: tuple[str, ...]
    clicks: int
    impressions: int
    position_sum: int

    @property
    def ctr(self) -> float:
        """Clicks per impression, 0 to 1."""
        return self.clicks / self.impressions

    @property
    def position(self) -> float:
        """Average position, 1 is the top."""
        return self.position_sum / self.impressions


def quote(text: str) -> str:
    """The text as JSON, in UTF-8 where that can be."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return str(encode_basestring_ascii(text))
    return str(encode_basestring(text))


def double(value: float, decimal: bool) -> str:
    """A double as JSON."""
    text = repr(value)
    return text[:-2] if not decimal and text.endswith(".0") else text


def keys_text(keys: Sequence[str], pretty: bool) -> str:
    """The ``keys`` member of a row with its trailing comma; without dimensions there is none."""
    if not keys:
        return ""
    quoted = [quote(key) for key in keys]
    if pretty:
        return '      "keys": [\n        ' + ",\n        ".join(quoted) + "\n      ],\n"
    return '"keys":[' + ",".join(quoted) + "],"


def row_text(keys: str, clicks: int, impressions: int, position_sum: int, style: Style) -> str:
    """One row, its keys rendered by `keys_text` before."""
    decimal = style.decimal
    point = ".0" if decimal else ""
    ctr = double(clicks / impressions, decimal)
    if style.pretty:
        tail = f',\n      "position": {double(position_sum / impressions, decimal)}' if style.position else ""
        head = f'    {{\n{keys}      "clicks": {clicks}{point},\n      "impressions": {impressions}{point},\n'
        return f'{head}      "ctr": {ctr}{tail}\n    }}'
    tail = f',"position":{double(position_sum / impressions, decimal)}' if style.position else ""
    return f'{{{keys}"clicks":{clicks}{point},"impressions":{impressions}{point},"ctr":{ctr}{tail}}}'


def separator(style: Style) -> str:
    """What stands between two rows."""
    return ",\n" if style.pretty else ","


def rows_text(rows: Iterable[Figures], style: Style) -> str:
    """Rows with their separators."""
    pretty = style.pretty
    return separator(style).join(row_text(keys_text(row[0], pretty), row[1], row[2], row[3], style) for row in rows)


def envelope(aggregation: str, metadata: tuple[str, str] | None, has_rows: bool, style: Style) -> tuple[str, str]:
    """What stands before and after the rows; ``rows`` is absent when there are none.

    Args:
        aggregation: ``byPage`` or ``byProperty``. metadata: one member of the ``metadata`` object, or None.
    """
    if style.pretty:
        head = '{\n  "rows": [\n' if has_rows else "{\n"
        tail = "\n  ],\n" if has_rows else ""
        tail += f'  "responseAggregationType": {quote(aggregation)}'
        if metadata is not None:
            tail += f',\n  "metadata": {{\n    {quote(metadata[0])}: {quote(metadata[1])}\n  }}'
        return head, tail + "\n}\n"
    head = '{"rows":[' if has_rows else "{"
    tail = "]," if has_rows else ""
    tail += f'"responseAggregationType":{quote(aggregation)}'
    if metadata is not None:
        tail += f',"metadata":{{{quote(metadata[0])}:{quote(metadata[1])}}}'
    return head, tail + "}"
