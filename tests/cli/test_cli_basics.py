"""The command line as a whole: help without imports, one line for a failure, the exit code that says what kind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import click
import pytest
from click.testing import CliRunner

from gsc_daemon import __version__, cli
from gsc_daemon.errors import (
    ConfigError,
    Exit,
    GscdError,
    LedgerUnavailable,
    NotPermitted,
    TryAgain,
    Unavailable,
    UsageError,
)


def program(*words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """The program itself."""
    return subprocess.run(
        [sys.executable, "-m", "gsc_daemon", *words],
        capture_output=True, text=True, timeout=60, env={"PATH": "/usr/bin:/bin", "HOME": "/nowhere", **environ},
    )  # fmt: skip


def test_help_imports_only_click_and_the_standard_library() -> None:
    script = (
        "import sys; before = set(sys.modules)\n"
        "from gsc_daemon import cli\n"
        "assert cli.run(['--help']) == 0\n"
        "new = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(new - set(sys.stdlib_module_names) - {'click', '__mp_main__'}), file=sys.stderr)\n"
        "print(sorted(m for m in sys.modules if m.startswith('gsc_daemon')), file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import site; site.main()\n{script}"], capture_output=True, text=True, timeout=60
    )
    assert done.stderr.splitlines() == ["['gsc_daemon']", "['gsc_daemon', 'gsc_daemon.cli']"]


def test_help_lists_every_command_with_its_line() -> None:
    said = program("--help").stdout
    for name, lazy in cli.COMMANDS.items():
        assert any(line.split()[:1] == [name] and lazy.help[:30] in line for line in said.splitlines())


def commands() -> list[tuple[str, click.Command]]:
    """Every command with its whole name, sub-commands too."""
    context = click.Context(cli.gscd)
    found: list[tuple[str, click.Command]] = []
    for name in cli.COMMANDS:
        command = cli.gscd.get_command(context, name)
        assert command is not None
        found.append((name, command))
        if isinstance(command, click.Group):
            found += [(f"{name} {sub}", one) for sub, one in command.commands.items()]
    return found


@pytest.mark.parametrize(("name", "command"), commands(), ids=[name for name, _ in commands()])
def test_every_command_is_there_with_help_an_example_and_its_options_explained(
    name: str, command: click.Command
) -> None:
    done = CliRunner().invoke(cli.gscd, [*name.split(), "--help"])
    assert done.exit_code == 0
    assert f"Example: gscd {'' if '--config' in done.output else name.split()[0]}" in done.output
    for option in command.params:
        assert not isinstance(option, click.Option) or option.help, option.name


def test_the_version() -> None:
    assert program("--version").stdout == f"gscd {__version__}\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nonsense"], "gscd: No such command 'nonsense'. See `gscd --help`\n"),
        (["config", "chekc"], "gscd: No such command 'chekc'"),
        (["halt", "--wiat"], "gscd: No such option '--wiat'"),
        (["config", "check", "more"], "gscd: Got unexpected extra argument (more). See `gscd config check --help`\n"),
        (["--config"], "gscd: Option '--config' requires an argument\n"),
    ],
)
def test_wrong_words_are_one_line_and_exit_2(words: list[str], said: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert cli.run(words) == Exit.USAGE
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith(said)
    assert err.count("\n") == 1


def test_no_words_show_the_help_and_exit_2() -> None:
    done = program()
    assert (done.returncode, done.stdout) == (Exit.USAGE, "")
    assert "Commands:" in done.stderr


FAILURES = [
    (GscdError("x", hint="Do y", site="sc-domain:a.com"), 1, "gscd: sc-domain:a.com: x. Do y\n"),
    (UsageError("x"), 2, "gscd: x\n"),
    (Unavailable("x"), 69, "gscd: x\n"),
    (LedgerUnavailable("x"), 69, "gscd: x\n"),
    (TryAgain("x"), 75, "gscd: x\n"),
    (NotPermitted("x"), 77, "gscd: x\n"),
    (ConfigError("x\n  y"), 78, "gscd: x y\n"),
    (
        ValueError("bad password=hush"),
        1,
        "gscd: this is a fault of gscd: ValueError: bad password=***. GSCD_DEBUG=1 shows where\n",
    ),
    (KeyboardInterrupt(), 130, "gscd: interrupted\n"),
]


@pytest.mark.parametrize(("error", "code", "said"), FAILURES, ids=[type(error).__name__ for error, _, _ in FAILURES])
def test_a_failure_is_one_line_and_its_exit_code(
    error: BaseException, code: int, said: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    @click.command()
    def failing() -> NoReturn:
        raise error

    monkeypatch.setattr(cli.LazyGroup, "get_command", lambda *_: failing)
    assert cli.run(["failing"]) == code
    out, err = capfd.readouterr()
    assert (out, err.lstrip("\n")) == ("", said)


def test_debug_shows_where_a_failure_comes_from(folder: Path) -> None:
    words = ("--config", str(folder / "none.toml"), "config", "check")
    assert "Traceback" not in program(*words).stderr
    done = program(*words, GSCD_DEBUG="1")
    assert "Traceback" in done.stderr
    assert done.returncode == Exit.CONFIG


def test_a_reader_that_leaves_is_no_failure(folder: Path) -> None:
    """Like `gscd config example | head -1`."""
    program = "from gsc_daemon.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", f"import sys; sys.stdin.read(); {program}", "config", "example"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (0, "")


def test_an_interrupt_exits_130() -> None:
    """A real SIGINT, while the command works."""
    script = (
        "import os, signal, threading, time, click\n"
        "from gsc_daemon import cli\n"
        "@click.command()\n"
        "def slow():\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(30)\n"
        "cli.LazyGroup.get_command = lambda *_: slow\n"
        "raise SystemExit(cli.run(['slow']))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr.strip()) == (130, "gscd: interrupted")


def test_settings_are_found_by_option_and_by_variable(folder: Path) -> None:
    file = str(folder / "gscd.toml")
    for done in (program("--config", file, "config", "check"), program("config", "check", GSCD_CONFIG=file)):
        assert done.returncode == 0
        assert done.stderr.startswith(f"{file}: the settings are good\n")


def test_without_settings_it_is_told_where_they_were_looked_for() -> None:
    done = program("config", "check", GSCD_CONFIG="")
    assert (done.returncode, done.stdout) == (78, "")
    assert done.stderr.startswith("gscd: there are no settings: neither GSCD_CONFIG nor /etc/gscd/gscd.toml")
    assert done.stderr.count("\n") == 1


def test_the_entry_point_is_the_module(gscd: Callable[..., object]) -> None:
    from importlib.metadata import entry_points

    (script,) = entry_points(group="console_scripts", name="gscd")
    assert script.load() is cli.main
