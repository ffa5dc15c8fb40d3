"""Names and rows that look like paths, SQL, HTML or formats are data like any other, all the way into Postgres."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

ODD = (
    "https://example.com/../../etc/passwd/",
    "https://example.com/');DROP/**/TABLE/**/gsc.days;--/",
    "https://example.com/<script>alert(1)</script>/{0}/%s/%(x)s/$1/\\'/",
    f"https://example.com/{'long' * 480}/",
)


def test_odd_names_are_published_whole(set_stage: Callable[..., Any]) -> None:
    stage = set_stage(sites=ODD, rows=200, impossible_characters=True)
    stage.wanted(2)
    assert stage.finish() == 0
    assert stage.differences(2) == []
    told = stage.gscd("reconcile")
    assert told.returncode == 0, told.stdout
    assert stage.gscd("status", "--json").returncode == 0
