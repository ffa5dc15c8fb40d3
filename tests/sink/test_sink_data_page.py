"""The questions of docs/data.md are answered, and its tables name the columns that there are."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path

import pytest
from sink_world import DAY, TOTALS_DAY, ask, publish, row

from gsc_daemon.model import Row
from gsc_daemon.sink import PostgresSink

PAGE = (Path(__file__).parents[2] / "docs/data.md").read_text(encoding="utf-8")
QUESTIONS = re.findall(r"^```sql\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
TODAY = dt.date.today()


@pytest.fixture
def held(sink: PostgresSink) -> PostgresSink:
    for back in range(1, 4):
        date = TODAY - dt.timedelta(days=back)
        publish(sink, [row("a", 6, 60), row("b", 1, 40)], day=DAY._replace(date=date), token=2 * back)
        publish(sink, [Row(10, 90, 1 / 9, [], 2.5)], day=TOTALS_DAY._replace(date=date), token=2 * back + 1)
    return sink


def test_there_are_questions() -> None:
    assert len(QUESTIONS) >= 6


@pytest.mark.parametrize("ready", [False, True])
@pytest.mark.parametrize("question", QUESTIONS)
def test_each_question_has_an_answer(held: PostgresSink, dsn: str, question: str, ready: bool) -> None:
    while ready and held.roll_up():
        continue
    answer = ask(dsn, question)
    assert answer
    if "monthly_queries" in question:
        assert [found[0] for found in answer] == ["a", "b"]
        assert answer[0][1:] == (18, 180, 0.1, 3.25)


@pytest.mark.parametrize("view", ["search_analytics", "days"])
def test_each_column_is_explained_and_exists(sink: PostgresSink, dsn: str, view: str) -> None:
    part = PAGE.partition(f"## `gsc.{view}`")[2].partition("\n## ")[0]
    cells = re.findall(r"^\| (`[^|]+) \|", part, re.MULTILINE)
    named = {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}
    found = ask(dsn, "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0", view)
    columns = {name for (name,) in found}
    assert named <= columns
    assert columns - named <= {"site_url", "report", "search_type", "date"}
