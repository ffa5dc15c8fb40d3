"""Journal: a subscriber that writes events to journald with their fields, or as readable lines to stderr.

It never blocks: a journal that takes nothing loses records, which are counted and told about when it takes some again.
`journalctl WORKER_ID=3` finds what one worker said. The protocol: systemd.io/JOURNAL_NATIVE_PROTOCOL.
"""

from __future__ import annotations

import array
import contextlib
import errno
import fcntl
import logging
import os
import select
import socket
import struct
import time
from collections.abc import Callable, Mapping
from typing import Final, Protocol

from gsc_daemon import events
from gsc_daemon.events import EVENTS, EventSpec, Level, Value, describe
from gsc_daemon.settings import mask
from gsc_daemon.words import plain

SOCKET: Final = "/run/systemd/journal/socket"
IDENTIFIER: Final = "gscd"
CHUNK: Final = 4096  # bytes that a pipe takes at once when it says that it takes any (PIPE_BUF)


class Output(Protocol):
    """Where records go."""

    def write(self, name: str, spec: EventSpec, fields: Mapping[str, Value], /) -> bool:
        """Whether the record was taken; never blocks, never raises."""

    def close(self) -> None: ...


class Journal:
    """The subscriber: filters by level, counts what could not be written.

    Args:
        level: the least that is written; may be changed at any time.
    """

    def __init__(self, output: Output, level: Level) -> None:
        self.output, self.level = output, level
        self.dropped = 0

    def __call__(self, name: str, spec: EventSpec, fields: dict[str, Value]) -> None:
        if spec.level > self.level:
            return
        if not self.output.write(name, spec, fields):
            self.dropped += 1
        elif self.dropped:
            lost = "journal.dropped"
            if self.output.write(lost, EVENTS[lost], {"count": self.dropped}):
                self.dropped = 0


class NativeOutput:
    """journald's own protocol: one datagram a record, through a sealed memory file if it is too large for one."""

    def __init__(self, address: str = SOCKET) -> None:
        self.address = address
        self._line: socket.socket | None = None
        self._pid = 0

    def write(self, name: str, spec: EventSpec, fields: Mapping[str, Value]) -> bool:
        """Whether journald took the record."""
        record = native_record(name, spec, fields)
        try:
            return self._send(record)
        except OSError:  # journald is busy, being restarted, or was never there
            return False

    def _send(self, record: bytes) -> bool:
        line = self._connectionless()
        try:
            line.sendto(record, self.address)
        except OSError as error:
            if error.errno != errno.EMSGSIZE:
                raise
            self._send_as_file(line, record)
        return True

    def close(self) -> None:
        """Let go of the socket; the next record opens one again."""
        if self._line is not None:
            self._line.close()
            self._line = None

    def _connectionless(self) -> socket.socket:
        """A socket of this very process; nothing is shared with the parent of a fork."""
        if self._line is None or self._pid != os.getpid():
            self.close()
            self._line = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
            self._line.setblocking(False)
            self._pid = os.getpid()
        return self._line

    def _send_as_file(self, line: socket.socket, record: bytes) -> None:
        descriptor = os.memfd_create("gscd-journal", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(record)
            seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            line.sendmsg([], [rights], 0, self.address)
        finally:
            os.close(descriptor)


def native_record(name: str, spec: EventSpec, fields: Mapping[str, Value]) -> bytes:
    """One record: MESSAGE, PRIORITY, EVENT and each field in capitals; empty fields are left out."""
    record = bytearray()
    _add(record, "MESSAGE", describe(spec, fields))
    _add(record, "PRIORITY", str(int(spec.level)))
    _add(record, "SYSLOG_IDENTIFIER", IDENTIFIER)
    _add(record, "EVENT", name)
    for field, value in fields.items():
        if value is not None:
            _add(record, field.upper(), str(value).lower() if isinstance(value, bool) else str(value))
    return bytes(record)


def _add(record: bytearray, field: str, value: str) -> None:
    """``FIELD=value``, or where the value has lines of its own: the field, its length in 8 bytes, the value."""
    content = value.encode("utf-8", "replace")
    if b"\n" in content:
        record += field.encode() + b"\n" + struct.pack("<Q", len(content)) + content + b"\n"
    else:
        record += field.encode() + b"=" + content + b"\n"


class LineOutput:
    """Readable lines for a terminal or a pipe: ``12:03:04 info     worker 2  …``."""

    def __init__(self, descriptor: int = 2, now: Callable[[], float] = time.time) -> None:
        self._descriptor, self._now = descriptor, now
        self._cut = False

    def write(self, _name: str, spec: EventSpec, fields: Mapping[str, Value]) -> bool:
        """Whether the line was taken whole; what a full pipe has no room for is cut off."""
        stamp = time.strftime("%H:%M:%S", time.localtime(self._now()))
        text = "\n    ".join(plain(line) for line in describe(spec, fields).split("\n"))
        line = f"{stamp} {spec.level.name.lower():7}  {text}\n".encode("utf-8", "replace")
        rest = b"\n" + line if self._cut else line
        try:
            while rest and self._has_room():
                rest = rest[os.write(self._descriptor, rest[:CHUNK]) :]
                self._cut = bool(rest)
        except OSError:  # closed, or its disk is full
            return False
        return not rest

    def close(self) -> None:
        """stderr stays open."""

    def _has_room(self) -> bool:
        poll = select.poll()
        poll.register(self._descriptor, select.POLLOUT)
        return bool(poll.poll(0))


class _LibraryLog(logging.Handler):
    """Warnings and errors that libraries log, as events; passwords are masked."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = record.getMessage()
        except (TypeError, ValueError):  # a library's format does not fit its values
            text = str(record.msg)
        if record.exc_info:
            text += "\n" + logging.Formatter().formatException(record.exc_info)
        name = "log.error" if record.levelno >= logging.ERROR else "log.warning"
        events.emit(name, logger=record.name, text=mask(text))


_library_log: Final = _LibraryLog(logging.WARNING)
_attached: Final[list[Journal]] = []


def stderr_is_journal(environ: Mapping[str, str], descriptor: int = 2) -> bool:
    """Whether stderr goes to journald: systemd says so in JOURNAL_STREAM (systemd.exec(5))."""
    device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
    with contextlib.suppress(OSError):
        status = os.fstat(descriptor)
        return (device, inode) == (str(status.st_dev), str(status.st_ino))
    return False


def attach(log_level: str, environ: Mapping[str, str] = os.environ) -> Journal:
    """Have this process's events written, and what libraries log; whatever was subscribed before the fork is forgotten.

    Args:
        log_level: ``error``, ``warning``, ``info`` or ``debug``.
    """
    detach()
    output: Output = NativeOutput() if stderr_is_journal(environ) else LineOutput()
    journal = Journal(output, Level[log_level.upper()])
    _attached.append(journal)
    events.subscribe(journal)
    logging.getLogger().addHandler(_library_log)
    logging.captureWarnings(True)
    return journal


def detach() -> None:
    """Undo `attach`."""
    events.clear()
    while _attached:
        _attached.pop().output.close()
    logging.getLogger().removeHandler(_library_log)
    logging.captureWarnings(False)
