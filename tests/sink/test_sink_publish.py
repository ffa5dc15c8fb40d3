"""One day published: what is there afterwards, and what is not touched."""

from __future__ import annotations

import datetime as dt
import weakref
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sink_world import DAY, FETCHED, SITE, TOTALS_DAY, ask, many, publication, publish, row, seen, served

from gsc_daemon.errors import ConfigError, LeaseLost, Overlap, SourceError
from gsc_daemon.model import DayState, Publication, Receipt, Row
from gsc_daemon.sink import PostgresSink
from gsc_daemon.sink.publish import MAX_DOUBLES

AWKWARD = [
    "tab\there",
    "back\\slash \\N \\. \\t",
    "'quotes' \"double\" $$ %s {x}",
    "line\nbreak\rand\r\nboth",
    "\x1f\x01\x7f\u0085\u2028\ufeff",
    "0x1f",
    "1e5",
    "NULL",
    "",
    " ",
    "😀👩‍👩‍👧‍👦 e\u0301 é",
    "日本語 العربية \U0010ffff",
]


def test_a_day_arrives_as_it_was_served(sink: PostgresSink, dsn: str) -> None:
    first, second = many(300), many(200, first=300)
    receipt = publish(sink, first, second, token=7)
    assert served(first + second) == seen(dsn)
    clicks, impressions = (sum(int(getattr(one, name)) for one in first + second) for name in ("clicks", "impressions"))
    assert receipt == Receipt(DAY, 1, 7, DayState.FINAL, 500, clicks, impressions)
    assert sink.receipts([DAY]) == {DAY: receipt}
    assert ask(dsn, "SELECT DISTINCT fetched_at FROM search_analytics") == [(FETCHED,)]


@pytest.mark.parametrize("again", [False, True])
def test_awkward_texts_arrive_unaltered(sink: PostgresSink, dsn: str, again: bool) -> None:
    """Through COPY into the table, and through the TEMP table as well."""
    rows = [row(text, page=f"https://www.example.com/{text}") for text in AWKWARD]
    if again:
        publish(sink, [row("something else")])
    publish(sink, rows, generation=2)
    assert served(rows) == seen(dsn)


def test_long_urls_that_no_index_could_hold_are_stored(sink: PostgresSink, dsn: str) -> None:
    noise = "".join(chr(33 + (n * n * 7919 + n * 31) % 94) for n in range(20_000))
    rows = [row("long", page=f"https://www.example.com/{noise[:size]}") for size in (2_600, 2_800, 9_000, 20_000)]
    publish(sink, rows)
    assert served(rows) == seen(dsn)
    publish(sink, rows, generation=2)
    assert served(rows) == seen(dsn)


def test_what_text_cannot_hold_becomes_u_fffd_and_is_counted(sink: PostgresSink, dsn: str) -> None:
    receipt = publish(sink, [row("a\0b\0"), row("lone \ud83d here"), row("clean")])
    assert {"a\ufffdb\ufffd", "lone \ufffd here", "clean"} == {key[0] for key in seen(dsn)}
    assert receipt.replaced == 3
    assert receipt.row_count == 3


def test_figures_are_stored_to_the_last_bit(sink: PostgresSink, dsn: str) -> None:
    rows = [
        Row(2.0**53, 2.0**53, 1 / 3, ["large", "", "", ""], 1e-300),
        Row(0.0, 1e0, 0.1 + 0.2, ["small", "", "", ""], None),
        Row(2.6, 3.4, 0.5, ["no whole numbers", "", "", ""], 100.0),
    ]
    publish(sink, rows)
    shown = {key[0]: figures for key, figures in seen(dsn).items()}
    assert shown["large"] == (2**53, 2**53, 1 / 3, 1e-300)
    assert shown["small"] == (0, 1, 0.1 + 0.2, None)
    assert shown["no whole numbers"] == (3, 3, 0.5, 100.0)


@pytest.mark.parametrize(
    "bad",
    [
        Row(1, 1, 1, ["three", "keys", "only"], 1),
        Row(1, 1, 1, [], 1),
        Row(1e300, 1, 1, ["q", "p", "c", "d"], 1),
        Row(float("inf"), 1, 1, ["q", "p", "c", "d"], 1),
        Row(float("nan"), 1, 1, ["q", "p", "c", "d"], 1),
    ],
)
@pytest.mark.parametrize("held", [False, True])
def test_a_senseless_answer_is_the_sources_fault_and_changes_nothing(
    sink: PostgresSink, dsn: str, bad: Row, held: bool
) -> None:
    before = [row("before")] if held else []
    if held:
        publish(sink, before)
    with pytest.raises(SourceError) as caught:
        publish(sink, [row("fine"), bad], generation=2)
    assert (SITE, DAY.date) == (caught.value.site, caught.value.date)
    assert served(before) == seen(dsn)
    assert publish(sink, [row("next try")], generation=2).row_count == 1


def test_doubles_across_responses_are_dropped_and_counted(sink: PostgresSink, dsn: str) -> None:
    first, second = many(20), many(10, seed=1, first=20 - MAX_DOUBLES)
    receipt = publish(sink, first, second)
    assert served(first + second) == seen(dsn)
    assert (receipt.doubles, receipt.overlap, receipt.row_count) == (MAX_DOUBLES, False, 30 - MAX_DOUBLES)
    assert receipt.clicks == sum(figures[0] for figures in seen(dsn).values())


def test_more_doubles_are_an_overlap_until_it_may_be_so(sink: PostgresSink, dsn: str) -> None:
    first, second = many(20), many(10, seed=1, first=20 - MAX_DOUBLES - 1)
    with pytest.raises(Overlap) as caught:
        publish(sink, first, second)
    assert caught.value.doubles == MAX_DOUBLES + 1
    assert seen(dsn) == {}
    assert sink.receipts([DAY]) == {}
    receipt = publish(sink, first, second, may_overlap=True)
    assert receipt.overlap
    assert served(first + second) == seen(dsn)
    assert ask(dsn, "SELECT overlap FROM days") == [(True,)]


def test_a_day_as_large_as_google_gives_is_marked_truncated(sink: PostgresSink, dsn: str) -> None:
    """Doubles count: Google's limit is on what it serves."""
    assert publish(sink, many(25_000), many(25_000, first=24_999)).truncated
    assert ask(dsn, "SELECT row_count, truncated FROM days") == [(49_999, True)]
    assert not publish(sink, many(25_000), many(24_999, first=25_000), generation=2).truncated


def test_a_resync_leaves_unchanged_rows_alone(sink: PostgresSink, dsn: str) -> None:
    """10% changed, some gone, some new: only those are written, and only they get a new fetched_at."""
    old = many(1000)
    new = [
        Row(one.clicks + 1, one.impressions, one.ctr, one.keys, one.position) if number % 10 == 0 else one
        for number, one in enumerate(old[50:])
    ] + many(30, first=1000)
    changed = {tuple(was.keys) for was, now in zip(old[50:], new, strict=False) if was.clicks != now.clicks}
    changed |= {tuple(one.keys) for one in new[950:]}
    publish(sink, old)
    later = FETCHED + dt.timedelta(days=1)
    places = "SELECT ctid::text, xmin::text FROM query_page WHERE fetched_at = %s"
    before = set(ask(dsn, places, FETCHED))
    receipt = publish(sink, new, generation=2, token=2, fetched_at=later)
    assert served(new) == seen(dsn)
    assert receipt.row_count == 980
    newer = ask(dsn, "SELECT query, page, country, device FROM search_analytics WHERE fetched_at = %s", later)
    assert changed == set(newer)
    after = ask(dsn, places, FETCHED)
    assert len(after) == 980 - len(changed)
    assert before > set(after)
    assert ask(dsn, "SELECT checked_at FROM days") == [(later,)]


def test_an_identical_resync_writes_next_to_nothing(sink: PostgresSink, dsn: str) -> None:
    rows = many(20_000)
    publish(sink, rows)
    start = ask(dsn, "SELECT pg_current_wal_lsn()::text")[0][0]
    places = ask(dsn, "SELECT ctid::text, xmin::text FROM query_page ORDER BY 1")
    publish(sink, rows, generation=2, token=2)
    assert places == ask(dsn, "SELECT ctid::text, xmin::text FROM query_page ORDER BY 1")
    written = ask(dsn, "SELECT pg_current_wal_lsn() - %s::pg_lsn", start)[0][0]
    assert written < 20_000 * 10  # the rows themselves took 290 bytes each


def test_an_empty_generation_keeps_what_google_gave_before(sink: PostgresSink, dsn: str) -> None:
    rows = many(50)
    first = publish(sink, rows, state=DayState.PROVISIONAL)
    published = ask(dsn, "SELECT published_at FROM days")
    later = FETCHED + dt.timedelta(days=400)
    kept = publish(sink, [], generation=2, token=9, fetched_at=later)
    assert served(rows) == seen(dsn)
    assert kept == Receipt(DAY, 2, 9, DayState.FINAL, 50, first.clicks, first.impressions, kept=True)
    assert sink.receipts([DAY]) == {DAY: kept}
    assert ask(dsn, "SELECT checked_at FROM days") == [(later,)]
    assert ask(dsn, "SELECT published_at FROM days") == published
    assert not publish(sink, rows, generation=3, token=9).kept


def test_an_empty_generation_may_be_allowed_to_replace(sink: PostgresSink, dsn: str) -> None:
    publish(sink, many(50))
    receipt = publish(sink, [], generation=2, allow_loss=True)
    assert seen(dsn) == {}
    assert receipt == Receipt(DAY, 2, 1, DayState.FINAL, 0, 0, 0)


def test_a_day_without_rows_is_published_as_such(sink: PostgresSink) -> None:
    receipt = publish(sink, [])
    assert receipt == Receipt(DAY, 1, 1, DayState.FINAL, 0, 0, 0)
    assert sink.receipts([DAY]) == {DAY: receipt}


@pytest.mark.parametrize(("generation", "token"), [(3, 4), (2, 5), (1, 9)])
def test_an_older_token_or_generation_is_refused_before_anything_is_decoded(
    sink: PostgresSink, dsn: str, generation: int, token: int
) -> None:
    rows = many(5)
    held = publish(sink, rows, generation=3, token=5)

    def responses() -> Iterator[list[Row]]:
        decoded.append(True)
        yield []

    decoded: list[bool] = []
    with pytest.raises(LeaseLost, match="2025-03-14"):
        sink.publish(publication(generation=generation, token=token), responses())
    assert not decoded
    assert served(rows) == seen(dsn)
    assert sink.receipts([DAY]) == {DAY: held}


def test_the_same_token_may_publish_again(sink: PostgresSink, dsn: str) -> None:
    """After a COMMIT whose answer was lost."""
    rows = many(40)
    first = publish(sink, rows, token=5)
    assert first == publish(sink, rows, token=5)
    assert served(rows) == seen(dsn)


def test_one_decoded_response_is_held_at_a_time(sink: PostgresSink) -> None:
    class Response(list[Row]):
        """A list that a weak reference can watch."""

    alive: list[weakref.ref[Response]] = []

    def responses() -> Iterator[list[Row]]:
        for number in range(3):
            assert [one for one in alive if one() is not None] == []
            response = Response(many(10, first=10 * number))
            alive.append(weakref.ref(response))
            yield response
            del response

    assert sink.publish(publication(), responses()).row_count == 30


def test_totals_show_beside_the_rows(sink: PostgresSink, dsn: str) -> None:
    columns = "SELECT row_clicks, row_impressions, total_clicks, total_impressions FROM days WHERE report = %s"
    publish(sink, [row("q", 3, 30)])
    assert ask(dsn, columns, "query_page") == [(3, 30, None, None)]
    publish(sink, [Row(5, 80, 0.0625, position=7.5)], day=TOTALS_DAY, token=2)
    assert ask(dsn, columns, "query_page") == [(3, 30, 5, 80)]
    assert ask(dsn, columns, "totals") == [(5, 80, 5, 80)]
    publish(sink, [Row(6, 90, 0.0625, position=7.5)], day=TOTALS_DAY, generation=2, token=2)
    assert ask(dsn, columns, "query_page") == [(3, 30, 6, 90)]
    assert ask(dsn, "SELECT count(*) FROM search_analytics") == [(1,)]


def test_days_on_both_sides_of_a_month_and_a_year(sink: PostgresSink, dsn: str) -> None:
    dates = ["2023-12-31", "2024-01-01", "2024-02-29", "2024-03-01", "2024-12-31", "2025-01-01", "2025-01-31"]
    days = [DAY._replace(date=dt.date.fromisoformat(date)) for date in dates]
    for number, day in enumerate(days):
        publish(sink, [row(f"on {day.date}")], day=day, token=number)
    for day in days:
        assert [f"on {day.date}"] == [key[0] for key in seen(dsn, day)]
    assert ask(dsn, "SELECT count(*) FROM pg_inherits WHERE inhparent = 'query_page'::regclass") == [(6,)]


def test_neighbours_are_not_touched(sink: PostgresSink, dsn: str) -> None:
    """Another site, search type, date: same keys, own rows."""
    others = [
        DAY._replace(site="https://www.example.com/"),
        DAY._replace(search_type="image"),
        DAY._replace(date=DAY.date + dt.timedelta(days=1)),
    ]
    for token, day in enumerate(others):
        publish(sink, many(20, seed=token), day=day, token=token)
    publish(sink, many(30))
    publish(sink, many(5), generation=2)
    for token, day in enumerate(others):
        assert served(many(20, seed=token)) == seen(dsn, day)


def test_a_partition_dropped_by_hand_is_made_again(sink: PostgresSink, dsn: str) -> None:
    publish(sink, many(5))
    ask(dsn, "DROP TABLE query_page_2025_03")
    publish(sink, many(6), generation=2)
    assert served(many(6)) == seen(dsn)


def test_a_report_without_a_relation_is_refused(sink: PostgresSink) -> None:
    day = DAY._replace(report="by_hour")
    with pytest.raises(ConfigError, match="by_hour"):
        sink.publish(Publication(day, 1, 1, ("hour",), DayState.FINAL, FETCHED), iter(()))


texts = st.text(st.characters(), max_size=6)
rows_strategy = st.lists(
    st.builds(
        lambda keys, clicks, more, ctr, position: Row(clicks, clicks + more, ctr, list(keys), position),
        st.tuples(texts, texts, st.sampled_from(["deu", "usa"]), st.sampled_from(["MOBILE", "DESKTOP"])),
        st.integers(0, 5).map(float),
        st.integers(0, 5).map(float),
        st.floats(0, 1),
        st.none() | st.floats(1, 1000),
    ),
    max_size=8,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(before=rows_strategy, after=rows_strategy)
def test_what_was_there_before_makes_no_difference(
    sink: PostgresSink, dsn: str, before: list[Row], after: list[Row]
) -> None:
    """publish(a), publish(b) leaves exactly b, whatever a was; fresh days each time."""
    generation = sink.receipts([DAY])[DAY].generation if sink.receipts([DAY]) else 0
    publish(sink, before, generation=generation + 1, may_overlap=True, allow_loss=True)
    receipt = publish(sink, after, generation=generation + 2, may_overlap=True, allow_loss=True)
    expected = {}
    for key, figures in served(after).items():
        stored = tuple("".join("\ufffd" if c == "\0" or "\ud800" <= c <= "\udfff" else c for c in text) for text in key)
        expected.setdefault(stored, figures)
    assert expected == seen(dsn)
    assert receipt.row_count == len(expected)
