"""What is fuzzed: each target makes inputs and says what holds of every one. `scripts/fuzz` runs them for longer."""

from __future__ import annotations

import datetime as dt
import gzip
import itertools
import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from hypothesis import strategies as st

from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import ConfigError, NotPermitted, SourceError, UsageError
from gsc_daemon.ledger import open_ledger
from gsc_daemon.ledger.sqlite_ledger import SqliteLedger
from gsc_daemon.model import Day, Priority, Query, SiteEntry, WantedDay
from gsc_daemon.settings import load
from gsc_daemon.settings.load import SECTIONS, abouts
from gsc_daemon.settings.values import can_be_named, wrong_site
from gsc_daemon.source import multipart, queries, refusals, transports
from gsc_daemon.source.body import GzipBody, NotWhole, Refused, Store
from gsc_daemon.source.sites import match_site, normalise

DAY = dt.date(2026, 8, 1)
QUERY = Query(item_id=1, site="sc-domain:example.com", date=DAY, search_type="web", dimensions=("query", "page"))
NOW = dt.datetime(2026, 8, 4, tzinfo=dt.UTC)

any_text = st.text(st.characters(exclude_categories=()))  # lone surrogates too
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner) | st.dictionaries(any_text, inner),
    max_leaves=20,
)


@st.composite
def spoilt(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Something right with a piece of it replaced, or left as it is."""
    data = draw(whole)
    at = draw(st.integers(0, len(data)))
    end = draw(st.integers(at, min(len(data), at + 8)))
    return draw(st.sampled_from([data, data[:at], data[:at] + draw(st.binary(max_size=8)) + data[end:]]))


# The decoder

row = st.fixed_dictionaries(
    {"clicks": st.floats() | st.integers(), "impressions": st.floats(), "ctr": st.floats() | st.none()},
    optional={"keys": st.lists(any_text | st.integers(), max_size=4), "position": st.floats(), "extra": json_values},
)
answer = st.fixed_dictionaries({}, optional={"rows": st.lists(row, max_size=6) | json_values, "error": json_values})
answer_text = st.one_of(
    spoilt(
        st.builds(
            lambda value, plain: json.dumps(value, ensure_ascii=plain).encode("utf-8", "surrogatepass"),
            answer | json_values,
            st.booleans(),
        )
    ),
    st.binary(),
    st.builds(
        lambda start, depth: start * depth,
        st.sampled_from([b"[", b'{"rows":', b'{"error":[', b'{"a":']),
        st.integers(0, 3000),
    ),
)


def body_of(data: bytes, *, gzipped: bool) -> GzipBody:
    with Store(gzipped=gzipped) as store:
        store.write(data)
        return store.finish(QUERY)


def check_decoder(case: tuple[bytes, str]) -> None:
    """It is whole and has as many rows as it says, or it is refused in our words; nothing else ever happens."""
    data, manner = case
    packed = gzip.compress(data) if manner == "gzip" else data
    with closing(body_of(packed, gzipped=manner != "plain")) as body:
        try:
            count = body.count()
        except (NotWhole, Refused):
            return
        try:
            rows = body.rows()
        except SourceError:
            return
        assert len(rows) == count
        with suppress(UnicodeDecodeError):  # in what nobody looks at
            assert len(json.loads(body.read()).get("rows", [])) == count


# The multipart parser

part = st.builds(
    lambda number, head, body: b"--b\r\nContent-ID: <response-item-%d>%b\r\n\r\nHTTP/1.1 200 OK\r\n\r\n%b" % (
        number, head, body),
    st.integers(0, 4), st.binary(max_size=12), st.binary(max_size=30) | st.just(b'{"rows":[]}'),
)  # fmt: skip
batch = st.builds(lambda parts: b"\r\n".join([*parts, b"--b--\r\n"]), st.lists(part, max_size=4))
content_type = st.sampled_from(["multipart/mixed; boundary=b", 'multipart/mixed; boundary="b"']) | any_text


def events_of(pieces: list[bytes], kind: str) -> tuple[list[Any], bool] | str:
    """What the splitter says, bodies put together; or that it is no batch."""
    said: list[Any] = []
    try:
        splitter = multipart.Splitter(kind)
        for piece in pieces:
            for event in splitter.feed(piece):
                if isinstance(event, bytes) and said and isinstance(said[-1], bytes):
                    said[-1] += event
                else:
                    said.append(event)
    except NotWhole as error:
        return str(error)
    return said, splitter.complete


def check_multipart(case: tuple[bytes, str, list[int]]) -> None:
    """The same events whatever the pieces it comes in, and nothing but `NotWhole` for what is no batch."""
    data, kind, cuts = case
    ends = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(ends)]
    whole = events_of([data], kind)
    in_pieces = events_of(pieces, kind)
    assert isinstance(whole, str) == isinstance(in_pieces, str)
    if not isinstance(whole, str) and whole[1]:
        assert whole == in_pieces
    incoming: Any = SimpleNamespace(headers={"Content-Type": kind}, gzipped=False, pieces=lambda: iter(pieces))
    found: dict[int, tuple[multipart.Part, GzipBody]] = {}
    try:
        transports._take_apart(incoming, [QUERY, QUERY], found)
    except NotWhole:
        pass
    finally:
        assert set(found) <= {0, 1}
        for _, body in found.values():
            body.close()


# Refusals

error_body = st.one_of(
    st.binary(),
    spoilt(st.builds(
        lambda error: json.dumps({"error": error}).encode(),
        json_values | st.fixed_dictionaries({}, optional={
            "code": json_values, "message": any_text, "status": json_values,
            "errors": st.lists(st.fixed_dictionaries({"reason": json_values}) | json_values),
            "details": st.lists(st.fixed_dictionaries({"reason": json_values}) | json_values),
        }))),
)  # fmt: skip
header = st.text() | st.dates().map(lambda day: day.strftime("%a, %d %b %Y 00:00:00 GMT")) | st.integers().map(str)


def check_refusals(case: tuple[int, bytes, str]) -> None:
    """Whatever is refused how ever: one line in our words, of bounded length, that can be stored."""
    status, body, retry_after = case
    for judge in (refusals.refusal, refusals.token_refusal):
        error = judge(status, {"Retry-After": retry_after}, body, query=QUERY, credential="reader", now=NOW)
        line = str(error)
        assert line.isprintable()
        assert len(line.encode()) < 3000
        assert 0 <= (error.status or 0) <= 599
        assert error.retry_after is None or 0 <= error.retry_after <= refusals.LONGEST_WAIT


def check_site_list(body: bytes) -> None:
    """Properties whose names can stand anywhere, or `NotWhole`."""
    try:
        entries = queries.read_sites(body)
    except NotWhole:
        return
    assert all(can_be_named(entry.site) and can_be_named(entry.permission) for entry in entries)


site_list = st.binary() | spoilt(
    st.lists(st.fixed_dictionaries({"siteUrl": any_text, "permissionLevel": any_text}) | json_values).map(
        lambda entries: json.dumps({"siteEntry": entries}).encode()
    )
)

# Names of properties

name_pieces = st.sampled_from(
    ["sc-domain:", "http://", "HTTPS://", "example.com", "www.", "/", ":443", ":80", "?", "#", "%3A", "%2F", "@", "..",
     "https://search.google.com/search-console?resource_id=", "[::1]", "\u0430", "\u202e", "\n", " ", "'", '"', "\0"]
)  # fmt: skip
site_name = st.lists(name_pieces | any_text, max_size=8).map("".join)


def check_site_name(name: str) -> None:
    """A property's name is normal once it was made so; what counts as a property can be named, stored and shown."""
    once = normalise(name)
    if not wrong_site(once):
        assert normalise(once) == once
    if not wrong_site(name):
        assert can_be_named(name)
        assert wrong_site(once) == ""
    try:
        found = match_site(name, ["sc-domain:example.com", "https://example.com/", once])
    except UsageError:
        return
    assert found in ("sc-domain:example.com", "https://example.com/", once)


# Settings

CANARY = "c4n4ry"
toml_value = st.one_of(
    st.integers(-(2**64), 2**64).map(str),
    st.floats().map(str),
    any_text.map(lambda text: json.dumps(text)),
    st.sampled_from(["true", "[]", '["sc-domain:example.com"]', "{a = 1}", "2026-01-01",
                     f'"redis://:{CANARY}@x:99999"', f'"host=h password={CANARY}"', '"%d/x"', '"~/x"',
                     f'"postgresql://u:{CANARY}@h/d"', f'"{CANARY}"']),
)  # fmt: skip
SECRETS = ("rate_limit.storage", "sink.dsn")
setting = st.sampled_from(
    [(section, key) for section, kind in SECTIONS.items() for key in abouts(kind) if not key.endswith("_file")]
)


@st.composite
def settings_text(draw: st.DrawFn) -> bytes:
    lines = []
    for (section, key), value in draw(st.dictionaries(setting, toml_value, max_size=5)).items():
        lines.append(f"[{section}]\n{key} = {value}")
    lines += draw(
        st.lists(st.sampled_from(["[workers]", "[[reports]]", 'name = "totals"', "x = 1", "[a.b]"]), max_size=2)
    )
    return "\n".join(lines).encode("utf-8", "surrogatepass")


environment = st.dictionaries(
    setting.map(lambda name: f"GSCD_{name[0]}__{name[1]}".upper())
    | st.text(st.characters(codec="ascii")).map("GSCD_".__add__),
    st.text() | st.sampled_from(["1", "nan", "[", "1e999", f"redis://:{CANARY}@x"]),
    max_size=3,
)  # fmt: skip


def check_settings(case: tuple[bytes, dict[str, str]]) -> None:
    """They are in force, or one of our errors says what is wrong, on one line and without the secret."""
    data, environ = case
    with tempfile.TemporaryDirectory(prefix="gscd-fuzz-") as folder:
        file = Path(folder, "gscd.toml")
        file.write_bytes(data)
        try:
            load(file, environ, root=False)
        except (ConfigError, NotPermitted) as error:
            values = [value for name, value in environ.items() if name.startswith(("GSCD_SINK__DSN", "GSCD_RATE"))]
            secret = any(f"{name.partition('.')[2]} = " in data.decode("utf-8", "replace") for name in SECRETS)
            if secret and not any(CANARY in value for value in values):
                told_of = str(error).partition(": ")[2]
                assert CANARY not in told_of or not any(name in told_of for name in SECRETS)


# The ledger

words = st.text(st.characters(exclude_categories=("C", "Zl", "Zp")), min_size=1)
ledger_case = st.lists(
    st.tuples(words, words, words, st.dates(), st.sampled_from(Priority), st.booleans(), st.booleans()), max_size=5
)


@contextmanager
def a_ledger() -> Iterator[SqliteLedger]:
    with (
        tempfile.TemporaryDirectory(prefix="gscd-fuzz-") as folder,
        closing(open_ledger(Path(folder, "ledger.db"), SystemClock(), create=True)) as ledger,
    ):
        yield ledger


def check_ledger(case: list[tuple[str, str, str, dt.date, Priority, bool, bool]]) -> None:
    """What any text is called by is kept as it is: as a value, never as SQL."""
    wanted = [WantedDay(Day(*day), priority, force, loss) for *day, priority, force, loss in case]  # type: ignore[arg-type]
    sites = {one.day.site for one in wanted}
    with a_ledger() as ledger:
        plan = ledger.add_days(wanted)
        assert plan.new == len({one.day for one in wanted})
        ledger.ensure_sites(sorted(sites))
        ledger.save_sites("reader", [SiteEntry(site, "siteOwner") for site in sites])
        assert {site.site for site in ledger.known_sites()} == sites
        for day in {one.day for one in wanted}:
            assert day.date in ledger.pending_days(day.site, day.report, day.search_type)
        for site in sites:
            ledger.park_site(site, site, None)
            ledger.note_outage("sink", site)
            ledger.halt(site, site)
            assert ledger.halt_state().reason == site
        assert all(site.parked == site.site for site in ledger.progress())
        for site in sites:
            ledger.forget_site(site)
        assert list(ledger.known_sites()) == []


@dataclass(frozen=True)
class Target:
    """Something that takes foreign input."""

    inputs: st.SearchStrategy[Any]
    check: Callable[[Any], None]


TARGETS = {
    "decoder": Target(st.tuples(answer_text, st.sampled_from(["gzip", "plain", "said to be gzip"])), check_decoder),
    "multipart": Target(st.tuples(spoilt(batch) | st.binary(), content_type, st.lists(st.integers(0, 500), max_size=6)),
                        check_multipart),
    "refusals": Target(st.tuples(st.integers(100, 599), error_body, header), check_refusals),
    "site-list": Target(site_list, check_site_list),
    "site-name": Target(site_name, check_site_name),
    "settings": Target(st.tuples(spoilt(settings_text()) | st.binary(), environment), check_settings),
    "ledger": Target(ledger_case, check_ledger),
}  # fmt: skip
