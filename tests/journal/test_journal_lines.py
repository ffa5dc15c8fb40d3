"""Without journald: readable lines on stderr, which never block either; libraries' logs become events."""

from __future__ import annotations

import fcntl
import logging
import os
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsc_daemon import events, journal
from gsc_daemon.events import Level
from gsc_daemon.journal import Journal, LineOutput

PUBLISHED = {"worker_id": 2, "site": "sc-domain:example.com", "date": "2026-01-02", "rows": 40_000}


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reader, writer = os.pipe()
    yield reader, writer
    os.close(reader)
    os.close(writer)


@pytest.fixture(autouse=True)
def detached() -> Iterator[None]:
    yield
    journal.detach()


def test_a_line_reads_well(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "UTC")
    reader, writer = pipe
    events.subscribe(Journal(LineOutput(writer, now=lambda: 43_384.0), Level.INFO))
    events.emit("day.published", **PUBLISHED, state="final", requests=2, duration=1.2)
    events.emit("log.error", logger="a", text="one\ntwo")
    assert os.read(reader, 9999).decode() == (
        "12:03:04 info     worker 2  sc-domain:example.com 2026-01-02 "
        "published 40,000 rows (final) of 2 requests in 1.2 s\n"
        "12:03:04 error    a: one\n    two\n"
    )


def test_a_full_pipe_is_not_waited_for_and_its_next_reader_told(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    got = Journal(LineOutput(writer), Level.INFO)
    events.subscribe(got)
    while got.dropped < 10:
        events.emit("log.error", logger="a", text="x" * 700)
    size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    os.read(reader, size)
    events.emit("log.error", logger="a", text="after")
    *_, after, lost = os.read(reader, size).decode().splitlines()
    assert after.endswith("error    a: after")
    assert lost.endswith("warning  10 records were lost while the journal did not take any")


def test_a_line_that_was_cut_is_ended_before_the_next(pipe: tuple[int, int]) -> None:
    reader, writer = pipe
    size = fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    events.subscribe(Journal(LineOutput(writer), Level.INFO))
    events.emit("log.error", logger="a", text="x" * 2 * size)
    os.read(reader, size)
    events.emit("log.error", logger="a", text="next")
    text = os.read(reader, size).decode()
    assert text.startswith("\n")
    assert text.splitlines()[1].endswith("error    a: next")


def test_a_closed_stderr_loses_lines_and_nothing_else() -> None:
    got = Journal(LineOutput(9_999), Level.INFO)
    events.subscribe(got)
    events.emit("day.published")
    assert got.dropped == 1


@pytest.fixture
def told(pipe: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> int:
    """What `attach` writes; stderr is the pipe."""
    reader, writer = pipe
    monkeypatch.setattr(journal, "LineOutput", lambda: LineOutput(writer))
    journal.attach("info", {})
    return reader


def test_what_libraries_log_becomes_events_with_passwords_masked(told: int) -> None:
    library = logging.getLogger("some.library")
    library.warning("cannot connect to %s", "postgresql://u:hush@h/db")
    library.info("not told")
    journal._library_log.emit(logging.LogRecord("some.library", logging.ERROR, "", 1, "wrong %d", ("format",), None))
    try:
        raise ValueError("password=hush")
    except ValueError:
        library.exception("failed")
    text = os.read(told, 99_999).decode()
    first, second, *rest = text.splitlines()
    assert first.endswith("warning  some.library: cannot connect to postgresql://u:***@h/db")
    assert second.endswith("error    some.library: wrong %d")
    assert rest[0].endswith("error    some.library: failed")
    assert rest[-1] == "    ValueError: password=***"
    assert "hush" not in text


def test_python_warnings_become_events(told: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("always")
        logging.captureWarnings(False)
        logging.captureWarnings(True)
        warnings.warn("an old way", DeprecationWarning, stacklevel=1)
        assert "warning  py.warnings: " in os.read(told, 9999).decode()
        logging.captureWarnings(False)


def test_attach_again_after_a_fork_writes_each_event_once(told: int) -> None:
    journal.attach("error", {})
    events.emit("daemon.started")
    events.emit("item.quarantined", reason="x")
    logging.getLogger("a").error("y")
    assert len(os.read(told, 9999).decode().splitlines()) == 2


def test_the_journal_is_used_where_stderr_goes_there(tmp_path: Path) -> None:
    """A process whose stderr is what JOURNAL_STREAM names speaks the native protocol, and writes nothing to stderr."""
    script = (
        "import os\n"
        "from gsc_daemon import journal\n"
        "s = os.fstat(2)\n"
        "got = journal.attach('info', {'JOURNAL_STREAM': f'{s.st_dev}:{s.st_ino}'})\n"
        "print(type(got.output).__name__)\n"
        "got = journal.attach('info', {})\n"
        "print(type(got.output).__name__)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=30, check=True)
    assert (done.stdout, done.stderr) == ("NativeOutput\nLineOutput\n", "")
