"""journald's native protocol against a real datagram socket: fields, long and large values, no blocking."""

from __future__ import annotations

import array
import contextlib
import fcntl
import os
import shutil
import socket
import struct
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsc_daemon import events
from gsc_daemon.events import EVENTS, Level
from gsc_daemon.journal import Journal, NativeOutput, stderr_is_journal


class Journald:
    """A socket where journald's would be."""

    def __init__(self, folder: Path) -> None:
        self.address = str(folder / "socket")
        self.line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.line.bind(self.address)
        self.line.settimeout(5)
        self.files = 0

    def record(self) -> dict[str, str]:
        """The next record, parsed as the protocol says."""
        data, ancillary, _, _ = self.line.recvmsg(1 << 20, socket.CMSG_SPACE(4))
        if ancillary:
            assert data == b""
            descriptors = array.array("i")
            descriptors.frombytes(ancillary[0][2])
            (descriptor,) = descriptors
            sealed = fcntl.fcntl(descriptor, fcntl.F_GET_SEALS)
            assert sealed & fcntl.F_SEAL_WRITE
            assert sealed & fcntl.F_SEAL_SHRINK
            with os.fdopen(descriptor, "rb") as file:
                file.seek(0)
                data = file.read()
            self.files += 1
        return parse(data)

    def empty(self) -> bool:
        self.line.settimeout(0)
        try:
            self.line.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return True
        finally:
            self.line.settimeout(5)
        return False


def parse(data: bytes) -> dict[str, str]:
    fields: dict[str, str] = {}
    while data:
        line, _, rest = data.partition(b"\n")
        name, has_value, value = line.partition(b"=")
        if not has_value:
            (length,) = struct.unpack("<Q", rest[:8])
            value, rest = rest[8 : 8 + length], rest[8 + length :]
            assert rest[:1] == b"\n"
            rest = rest[1:]
        assert name.decode() not in fields
        fields[name.decode()] = value.decode()
        data = rest
    return fields


@pytest.fixture
def journald() -> Iterator[Journald]:
    folder = Path(tempfile.mkdtemp(prefix="gscd-journal-"))  # short, for a socket's path
    server = Journald(folder)
    yield server
    server.line.close()
    shutil.rmtree(folder)


@pytest.fixture
def journal(journald: Journald) -> Iterator[Journal]:
    got = Journal(NativeOutput(journald.address), Level.INFO)
    events.subscribe(got)
    yield got
    events.clear()
    got.output.close()


def test_an_event_comes_with_its_fields_in_capitals(journald: Journald, journal: Journal) -> None:
    events.bind(worker_id=3)
    events.emit(
        "day.published", site="sc-domain:bücher.example", date="2026-01-02", rows=40_000, duration=1.25,
        overlap=False, token=None,
    )  # fmt: skip
    assert journald.record() == {
        "MESSAGE": "worker 3  sc-domain:bücher.example 2026-01-02 published 40,000 rows (?) of ? requests in 1.25 s",
        "PRIORITY": "6",
        "SYSLOG_IDENTIFIER": "gscd",
        "EVENT": "day.published",
        "WORKER_ID": "3",
        "SITE": "sc-domain:bücher.example",
        "DATE": "2026-01-02",
        "ROWS": "40000",
        "DURATION": "1.25",
        "OVERLAP": "false",
    }


def test_a_value_of_several_lines_stays_one_record(journald: Journald, journal: Journal) -> None:
    text = "Traceback:\n  x = y\nEVENT=forged\n"
    events.emit("log.error", logger="urllib3", text=text)
    record = journald.record()
    assert (record["TEXT"], record["EVENT"], record["PRIORITY"]) == (text, "log.error", "3")
    assert journald.empty()


def test_a_record_too_large_for_a_datagram_goes_through_a_sealed_file(journald: Journald, journal: Journal) -> None:
    text = "x" * 3_000_000
    before = len(list(Path("/proc/self/fd").iterdir()))
    events.emit("log.error", logger="a", text=text)
    assert journald.record()["TEXT"] == text
    assert journald.files == 1
    assert len(list(Path("/proc/self/fd").iterdir())) <= before + 1  # the line itself


def test_what_is_below_the_level_is_not_written_and_the_level_may_change(journald: Journald, journal: Journal) -> None:
    events.emit("worker.batch", batch_size=10)
    assert journald.empty()
    journal.level = Level.DEBUG
    events.emit("worker.batch", batch_size=10)
    assert journald.record()["EVENT"] == "worker.batch"
    journal.level = Level.ERROR
    events.emit("sink.away", reason="x")
    assert journald.empty()


def test_a_journal_that_takes_nothing_is_not_waited_for_and_told_what_it_lost(
    journald: Journald, journal: Journal
) -> None:
    while journal.dropped == 0:
        events.emit("day.published", rows=1)
    for _ in range(999):  # with any wait at all this would outlast the test
        events.emit("day.published", rows=2)
    assert journal.dropped == 1000
    while not journald.empty():
        assert journald.record()["ROWS"] == "1"
    events.emit("day.published", rows=3)
    assert journald.record()["ROWS"] == "3"
    told = journald.record()
    assert (told["EVENT"], told["COUNT"], told["PRIORITY"]) == ("journal.dropped", "1000", "4")
    assert journal.dropped == 0
    events.emit("day.published", rows=4)
    assert journald.record()["ROWS"] == "4"
    assert journald.empty()


def test_a_journal_that_is_away_or_restarted_is_found_again(journald: Journald, journal: Journal) -> None:
    journald.line.close()
    events.emit("day.published", rows=1)
    Path(journald.address).unlink()
    events.emit("day.published", rows=2)
    assert journal.dropped == 2
    journald.__init__(Path(journald.address).parent)  # type: ignore[misc]
    events.emit("day.published", rows=3)
    assert journald.record()["ROWS"] == "3"
    assert journald.record()["COUNT"] == "2"


def test_a_forked_child_speaks_with_a_socket_of_its_own(journald: Journald, journal: Journal) -> None:
    events.emit("day.published", rows=1)
    output = journal.output
    assert isinstance(output, NativeOutput)
    assert output._line is not None
    inode = os.fstat(output._line.fileno()).st_ino
    child = os.fork()
    if child == 0:
        events.emit("day.published", rows=2)
        os._exit(0 if os.fstat(output._line.fileno()).st_ino != inode else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert [journald.record()["ROWS"] for _ in range(2)] == ["1", "2"]


def test_stderr_is_the_journal_only_if_systemd_says_so(tmp_path: Path) -> None:
    with contextlib.closing(os.fdopen(os.open(tmp_path / "x", os.O_CREAT | os.O_RDWR), "rb")) as file:
        status = os.fstat(file.fileno())
        stream = f"{status.st_dev}:{status.st_ino}"
        assert stderr_is_journal({"JOURNAL_STREAM": stream}, file.fileno())
        for other in ("", f"{status.st_dev}:{status.st_ino + 1}", "nonsense"):
            assert not stderr_is_journal({"JOURNAL_STREAM": other}, file.fileno())
        assert not stderr_is_journal({}, file.fileno())
    assert not stderr_is_journal({"JOURNAL_STREAM": stream}, 9_999)


def test_every_event_can_be_written(journald: Journald, journal: Journal) -> None:
    journal.level = Level.DEBUG
    for name, spec in EVENTS.items():
        events.emit(name, **dict.fromkeys(spec.fields, 1))
        record = journald.record()
        assert (record["EVENT"], record["PRIORITY"]) == (name, str(int(spec.level)))
        assert {field.upper() for field in spec.fields} <= set(record)
