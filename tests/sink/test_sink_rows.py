"""Rows as COPY has them: packed a thousand together, and yet each as if it had been packed alone."""

from __future__ import annotations

import struct

import pytest

from gsc_daemon.errors import SourceError
from gsc_daemon.model import Row
from gsc_daemon.sink.digest import hash_of, key_hash, length_prefixed, storable
from gsc_daemon.sink.rows import pack


def _row(number: int, **other: object) -> Row:
    figures = {"clicks": float(number), "impressions": 2.0 * number, "ctr": 0.5, "position": 1.0 + number}
    return Row(keys=[f"Frage ü {number}", "usa"], **(figures | other))  # type: ignore[arg-type]


def _alone(row: Row) -> bytes:
    """The fields of a row, the plain way."""
    values = [storable(value) for value in row.keys]
    end = struct.pack(">i", -1) if row.position is None else struct.pack(">id", 8, row.position)
    return (
        struct.pack(">i", 16)
        + key_hash(values)
        + length_prefixed(values)
        + struct.pack(">iqiqid", 8, int(row.clicks), 8, int(row.impressions), 8, row.ctr)
        + end
    )


def test_each_row_is_packed_as_if_alone_with_and_without_a_position_or_what_postgres_cannot_hold() -> None:
    rows = [_row(number) for number in range(2_500)]
    rows[3].position = rows[1_999].position = None
    rows[7].keys = ["a\0b\0", "deu"]
    rows[1_200].keys = ["half \ud83d", "deu"]
    rows[2_400].keys = ["\ud83d \0", "\0"]

    day = pack([rows[:1_700], rows[1_700:]], 2)

    assert list(day.rows.values()) == [_alone(row) for row in rows]
    assert all(key == packed[4:20] for key, packed in day.rows.items())
    assert day.replaced == 6
    assert (day.served, day.doubles) == (2_500, 0)
    assert day.clicks == sum(range(2_500))
    assert day.impressions == 2 * day.clicks


def test_the_first_of_a_key_stays_and_only_its_figures_count() -> None:
    rows = [_row(number) for number in range(1_500)]
    again = [_row(0, clicks=9.0), _row(5, clicks=9.0), _row(5, clicks=8.0)]

    day = pack([[*rows[:10], again[0], *rows[10:]], [again[1], _row(1_500), again[2]]], 2)

    assert list(day.rows.values()) == [_alone(row) for row in [*rows, _row(1_500)]]
    assert (day.served, day.doubles, day.clicks) == (1_504, 3, sum(range(1_501)))


def test_a_report_without_dimensions_has_one_row() -> None:
    row = Row(clicks=3.0, impressions=4.0, ctr=0.75, position=1.5)

    day = pack([[row]], 0)

    assert list(day.rows.values()) == [_alone(row)]
    assert list(day.rows) == [hash_of(b"")]


@pytest.mark.parametrize("clicks", [float("nan"), float("inf"), 1e30])
def test_figures_that_are_no_number_are_refused(clicks: float) -> None:
    with pytest.raises(SourceError, match="no number that can be kept"):
        pack([[_row(1), _row(2, clicks=clicks)]], 2)


def test_a_row_of_other_dimensions_is_refused() -> None:
    with pytest.raises(SourceError, match="a row has 1 keys, not 2"):
        pack([[_row(1), Row(1.0, 1.0, 1.0, ["alone"], 1.0)]], 2)
