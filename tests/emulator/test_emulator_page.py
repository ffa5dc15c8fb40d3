"""docs/emulator.md names every setting with its default, every fault, every control path and every statistic."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Any

import pytest
from emulator_client import Client

from gsc_daemon.emulator import FAULT_KINDS, EmulatorConfig, Fault, SiteSpec
from gsc_daemon.emulator.config import FIXED

PAGE = (Path(__file__).parents[2] / "docs" / "emulator.md").read_text(encoding="utf-8")


def rows(heading: str) -> list[list[str]]:
    """Cells of the table below a heading."""
    _, found, rest = PAGE.partition(f"# {heading}\n")
    assert found, f"no heading {heading}"
    table = re.split(r"^#", rest, maxsplit=1, flags=re.MULTILINE)[0]
    lines = [line for line in table.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines]


@pytest.mark.parametrize("kind", [EmulatorConfig, SiteSpec, Fault])
def test_every_setting_stands_there_with_its_default(kind: Any) -> None:
    told = {}
    for name, default, meaning in rows(kind.__name__):
        told[name] = default
        assert meaning
    expected = {}
    for field in dataclasses.fields(kind):
        default = field.default
        if field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        mark = " *" if kind is EmulatorConfig and field.name in FIXED else ""
        text = "(SiteSpec(),)" if field.name == "sites" else repr(default)
        expected[f"`{field.name}`{mark}"] = "" if default is dataclasses.MISSING else f"`{text}`"
    assert told == expected


def test_every_kind_of_fault_stands_there() -> None:
    assert sorted(name.strip("`") for name, _ in rows("Kinds of faults")) == sorted(FAULT_KINDS)


def test_every_statistic_stands_there(served: Client) -> None:
    assert [name.strip("`") for name, _ in rows("Statistics")] == list(served.emulator.stats())


def test_every_control_path_works_and_has_its_method(served: Client) -> None:
    control = [row[:2] for row in rows("Control")]
    assert len(control) == 11
    for path, names in control:
        method, _, path = path.strip("`").partition(" ")
        response = served.session.request(method, served.emulator.url + path, data=b"{}")
        assert response.status_code in (200, 400), path
        for name in re.findall(r"`(\w+)", names):
            assert hasattr(served.emulator, name)
