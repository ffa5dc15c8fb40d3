"""Progress of long work: a line on a terminal that leaves no trace, nothing anywhere else."""

from __future__ import annotations

import datetime as dt
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from gsc_daemon import plan
from gsc_daemon.cli.progress import Progress
from gsc_daemon.clock import SystemClock, pacific_today

LAST = plan.newest_final(pacific_today(SystemClock()))
RANGE = ("sync", "range", "--from", str(LAST - dt.timedelta(days=200)), "--to", str(LAST))


@pytest.mark.parametrize(
    ("done", "total", "note", "line"),
    [
        (0, 4, "", "days [........................] 0 of 4"),
        (1, 4, "", "days [######..................] 1 of 4"),
        (4, 4, "", "days [########################] 4 of 4"),
        (5, 4, "", "days [########################] 5 of 4"),
        (1234, None, "Redis is away", "days 1,234  Redis is away"),
        (0, 0, "", "days 0"),
    ],
)
def test_the_line_says_how_far_it_is(done: int, total: int | None, note: str, line: str) -> None:
    assert Progress("days").line(done, total, note) == line


def test_a_terminal_sees_it_and_keeps_only_what_is_said(folder: Path) -> None:
    ours, theirs = pty.openpty()
    words = [sys.executable, "-m", "gsc_daemon", "--config", str(folder / "gscd.toml"), *RANGE, "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=theirs, text=True) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 4096)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert process.stdout is not None
        assert process.stdout.read().startswith("{")
    os.close(ours)
    text = shown.decode()
    assert "\radding days [" in text.replace("\x1b[K", "")
    assert text.rpartition("\r\x1b[K")[2].startswith("402 days new")


def test_no_terminal_sees_nothing_of_it(folder: Path) -> None:
    words = [sys.executable, "-m", "gsc_daemon", "--config", str(folder / "gscd.toml"), *RANGE]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60)
    assert done.stderr.startswith("402 days new, ")
    assert "\r" not in done.stderr


def test_it_is_cleared_when_the_work_fails(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True, raising=False)

    def work() -> None:
        with Progress("days") as progress:
            progress.show(1, 2)
            raise KeyError

    with pytest.raises(KeyError):
        work()
    assert capfd.readouterr().err.endswith("\r\x1b[K")
