"""Every event of the program is in the table with its fields, and every text can be filled."""

from __future__ import annotations

import ast
import string
from collections.abc import Iterator
from pathlib import Path

import pytest

import gsc_daemon
from gsc_daemon import events
from gsc_daemon.events import COMMON, EVENTS, Level, describe

PROGRAM = Path(gsc_daemon.__file__).parent


def emits() -> Iterator[tuple[str, str, set[str]]]:
    """Place, name and fields of each ``emit("name", field=…)`` in the program."""
    for file in sorted(PROGRAM.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call) or not node.args:
                continue
            called = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            name = node.args[0]
            if called == "emit" and isinstance(name, ast.Constant):
                fields = {keyword.arg for keyword in node.keywords if keyword.arg is not None}
                yield f"{file.relative_to(PROGRAM)}:{node.lineno}", str(name.value), fields


def test_the_program_emits_only_what_the_table_describes() -> None:
    found = list(emits())
    assert found
    wrong = [
        f"{place}: {name} {sorted(fields - set(EVENTS[name].fields) if name in EVENTS else fields)}"
        for place, name, fields in found
        if name not in EVENTS or not fields <= set(EVENTS[name].fields)
    ]
    assert wrong == []


@pytest.mark.parametrize("name", EVENTS)
def test_a_text_names_only_fields_of_its_event_and_neither_site_nor_date(name: str) -> None:
    spec = EVENTS[name]
    named = {field for _, field, _, _ in string.Formatter().parse(spec.text) if field}
    assert named <= set(spec.fields)
    assert not named & {"site", "date", "worker_id"}
    assert all(spec.fields.values())


def test_a_line_begins_with_worker_site_and_date() -> None:
    fields: dict[str, events.Value] = {
        "worker_id": 2, "site": "sc-domain:example.com", "date": "2026-01-02", "report": "query_page",
        "search_type": "image", "rows": 40_000, "state": "final", "requests": 2, "duration": 1.2,
    }  # fmt: skip
    assert describe(EVENTS["day.published"], fields) == (
        "worker 2  sc-domain:example.com 2026-01-02 image published 40,000 rows (final) of 2 requests in 1.2 s"
    )


def test_a_line_never_fails_whatever_the_fields() -> None:
    assert describe(EVENTS["day.published"], {"rows": None}) == "published ? rows (?) of ? requests in ? s"
    assert "many" in describe(EVENTS["day.published"], {"rows": "many"})


def test_bound_fields_are_in_every_event_until_cleared() -> None:
    told: list[dict[str, events.Value]] = []
    events.subscribe(lambda _name, _spec, fields: told.append(fields))
    try:
        events.bind(worker_id=7)
        events.emit("lease.lost", token=3)
        events.emit("lease.lost", worker_id=8)
    finally:
        events.clear()
    events.emit("lease.lost")
    assert told == [{"worker_id": 7, "token": 3}, {"worker_id": 8}]


def test_an_unknown_event_is_an_error_even_without_subscribers() -> None:
    with pytest.raises(KeyError):
        events.emit("no.such.event")


def test_levels_are_syslogs() -> None:
    assert [int(level) for level in Level] == [3, 4, 6, 7]
    assert COMMON["token"] == EVENTS["day.published"].fields["token"]
