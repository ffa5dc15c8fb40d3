"""docs/commands.md: every command, option and exit code is there, as the program has it now."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from gsc_daemon.cli import document
from gsc_daemon.errors import Exit

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "commands.md"


def test_the_page_is_as_the_program_is() -> None:
    assert PAGE.read_text(encoding="utf-8") == document.page(), "stale: run scripts/docs"


@pytest.mark.parametrize(("name", "command"), [pytest.param(*one, id=one[0]) for one in document.every_command()])
def test_every_command_is_there_with_its_options_and_an_example(name: str, command: click.Command) -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert f"# gscd {name}\n" in page
    section = page.split(f"# gscd {name}\n", 1)[1].split("\n##", 1)[0]
    assert "```sh\ngscd " in section
    for option in command.params:
        for word in option.opts if isinstance(option, click.Option) else ():
            assert f"`{word}`" in section


def test_every_exit_code_and_signal_is_there() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert set(document.EXITS) == set(Exit)
    for code in Exit:
        assert f"\n| {int(code)} | " in page
    for name in document.SIGNALS:
        assert f"\n| {name} | " in page
