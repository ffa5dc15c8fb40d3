"""The sink's digest, the emulator's and Postgres' own are one and the same."""

from __future__ import annotations

import math

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sink_world import DAY, many, publish

from gsc_daemon.emulator import digest as emulated
from gsc_daemon.model import Row
from gsc_daemon.sink import PostgresSink, digest

int8 = st.integers(-(2**63), 2**63 - 1)
float8 = st.floats(allow_nan=False)


@given(st.text(st.characters(exclude_categories=[]), max_size=30))
def test_both_store_the_same_text(text: str) -> None:
    assert emulated.storable(text) == digest.storable(text)
    digest.storable(text).encode()


@given(st.lists(st.text(), max_size=5))
def test_both_hash_keys_alike(values: list[str]) -> None:
    assert emulated.key_hash(values) == digest.key_hash(values)


def test_values_cannot_run_into_each_other() -> None:
    assert digest.key_hash(["ab", "c"]) != digest.key_hash(["a", "bc"])
    assert digest.key_hash(["a", ""]) != digest.key_hash(["", "a"])


@given(st.binary(min_size=16, max_size=16), int8, int8, float8, float8 | st.none())
def test_both_digest_rows_alike(key: bytes, clicks: int, impressions: int, ctr: float, position: float | None) -> None:
    ours = digest.row_digest(key, clicks, impressions, ctr, position)
    assert emulated.row_digest(key, clicks, impressions, ctr, position) == ours


@given(st.lists(int8))
def test_both_add_alike(digests: list[int]) -> None:
    total = digest.add_digests(digests)
    assert emulated.add_digests(digests) == total
    assert -(2**63) <= total < 2**63
    assert (total - sum(digests)) % 2**64 == 0


figures = st.tuples(
    st.integers(0, 2**40).map(float), st.integers(0, 2**40).map(float), st.floats(0, 1), st.none() | st.floats(1, 1e9)
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(figures, min_size=1, max_size=20))
def test_postgres_computes_the_same(sink: PostgresSink, drawn: list[tuple[float, float, float, float | None]]) -> None:
    held = sink.receipts([DAY])
    rows = [
        Row(clicks, impressions, ctr, [f"q{number}", "", "", ""], position)
        for number, (clicks, impressions, ctr, position) in enumerate(drawn)
    ]
    publish(sink, rows, generation=held[DAY].generation + 1 if held else 1)
    (audited,) = sink.audit(None, None, None, digests=True)
    expected = (
        emulated.row_digest(emulated.key_hash(one.keys), int(one.clicks), int(one.impressions), one.ctr, one.position)
        for one in rows
    )
    assert audited.digest == emulated.add_digests(expected)


def test_one_changed_figure_changes_the_digest(sink: PostgresSink) -> None:
    def digest_of(rows: list[Row], generation: int) -> int | None:
        publish(sink, rows, generation=generation)
        (held,) = sink.audit(None, None, None, digests=True)
        return held.digest

    rows = many(100)
    before = digest_of(rows, 1)
    changed = [*rows[:-1], Row(rows[-1].clicks, rows[-1].impressions, rows[-1].ctr, rows[-1].keys, 61.5)]
    assert before != digest_of(changed, 2)
    assert before == digest_of(rows[::-1], 3)
    assert before is not None


@pytest.mark.parametrize("position", [None, math.nan])
def test_no_position_counts_as_a_nan(position: float | None) -> None:
    assert digest.row_digest(bytes(16), 1, 2, 0.5, position) == emulated.row_digest(bytes(16), 1, 2, 0.5, None)
