"""The source against the emulator: real framing, real refusals, real faults, in both transports."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from source_scene import Inbox, fetch, make_query

from gsc_daemon.clock import SystemClock
from gsc_daemon.emulator import Emulator, EmulatorConfig, Fault, SiteSpec
from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import QUERY_PAGE, Query
from gsc_daemon.source import SearchConsole

SITE = "sc-domain:example.com"
HIDDEN = "https://hidden.example.net/"
DAY = dt.date(2026, 11, 10)


@pytest.fixture(scope="module")
def emulator(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    config = EmulatorConfig(
        sites=(SiteSpec(SITE, rows_per_day=30_000), SiteSpec(HIDDEN, permission="siteUnverifiedUser", rows_per_day=10)),
        today=dt.date(2026, 11, 20),
        impossible_characters=True,
    )
    with Emulator(config, tmp_path_factory.mktemp("emulator")) as running:
        yield running


@pytest.fixture(params=["parallel", "multipart"])
def source(emulator: Emulator, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SearchConsole]:
    key_file = emulator.service_account_file(tmp_path / "key.json")
    made = SearchConsole(
        key_file, emulator.url, transport=request.param, connections=10, deadline=60.0, clock=SystemClock()
    )
    yield made
    made.close()
    emulator.configure(faults=())


def whole(item_id: int = 1, **changes: Any) -> Query:
    return make_query(item_id, **{"date": DAY, "dimensions": QUERY_PAGE.dimensions} | changes)


def test_a_day_of_two_responses(emulator: Emulator, source: SearchConsole, inbox: Inbox) -> None:
    fetch(source, inbox, [whole(1), whole(2, start_row=25_000), whole(3, start_row=50_000)])
    inbox.take(3)
    got: dict[int, Any] = inbox.got
    assert got[1].row_count == 25_000
    assert 0 < got[2].row_count < 25_000
    assert got[3].row_count == 0
    rows = {tuple(row.keys): msgspec.to_builtins(row) for n in (1, 2) for row in got[n].body.rows()}
    assert len(rows) == got[1].row_count + got[2].row_count
    assert rows == {tuple(row["keys"]): row for row in emulator.rows(SITE, DAY)}
    assert any("\x00" in query for query, *_ in rows)
    assert any("\ud800" <= character <= "\udfff" for query, *_ in rows for character in query)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        ("500", "TRANSIENT"),
        ("503", "TRANSIENT"),
        ("html", "TRANSIENT"),
        ("reset", "TRANSIENT"),
        ("cut", "TRANSIENT"),
        ("truncate", "TRANSIENT"),
        ("garbage", "TRANSIENT"),
        ("forbidden", "SITE"),
        ("disabled", "CREDENTIAL"),
        ("qps", "RATE"),
        ("429", "RATE"),
        ("load", "LOAD"),
    ],
)
def test_every_fault_is_told_for_what_it_is(
    emulator: Emulator, source: SearchConsole, inbox: Inbox, fault: str, kind: str
) -> None:
    emulator.configure(faults=(Fault(fault, times=1),))
    fetch(source, inbox, [whole(1, row_limit=100)])
    assert inbox.error().kind is Refusal[kind]
    fetch(source, inbox, [whole(2, row_limit=100)])
    assert inbox.one().row_count == 100


def test_a_refused_token_is_renewed(emulator: Emulator, source: SearchConsole, inbox: Inbox) -> None:
    emulator.configure(faults=(Fault("401", times=1),))
    fetch(source, inbox, [whole(row_limit=100)])
    assert inbox.one().row_count == 100


def test_a_hanging_answer_is_abandoned(emulator: Emulator, source: SearchConsole, inbox: Inbox) -> None:
    emulator.configure(faults=(Fault("hang", times=1),))
    fetch(source, inbox, [whole(1, row_limit=100)])
    source.abandon()
    assert inbox.error().kind is Refusal.ABANDONED
    emulator.configure(faults=())
    fetch(source, inbox, [whole(2, row_limit=100)])
    assert inbox.one().row_count == 100


def test_what_the_credential_may_not_read(emulator: Emulator, source: SearchConsole, inbox: Inbox) -> None:
    fetch(source, inbox, [whole(1, site=HIDDEN), whole(2, site="https://unknown.example.net/")])
    assert [error.kind for error in inbox.take(2)] == [Refusal.SITE, Refusal.SITE]
    assert "Add sync@emulator" in str(inbox.got[1])


def test_a_request_that_google_will_never_accept(emulator: Emulator, source: SearchConsole, inbox: Inbox) -> None:
    fetch(source, inbox, [whole(dimensions=("query", "searchAppearance"))])
    assert inbox.error().kind is Refusal.REQUEST


def test_the_properties(emulator: Emulator, source: SearchConsole) -> None:
    assert [(entry.site, entry.readable) for entry in source.list_sites()] == [(SITE, True), (HIDDEN, False)]


def test_a_revoked_account(emulator: Emulator, source: SearchConsole, inbox: Inbox) -> None:
    emulator.revoke()
    try:
        fetch(source, inbox, [whole()])
        assert inbox.error().kind is Refusal.CREDENTIAL
        with pytest.raises(SourceError) as caught:
            source.list_sites()
        assert caught.value.kind is Refusal.CREDENTIAL
    finally:
        emulator.restore()
