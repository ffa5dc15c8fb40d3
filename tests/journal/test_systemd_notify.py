"""sd_notify against a real datagram socket."""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from gsc_daemon import systemd
from gsc_daemon.systemd import Notifier


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[tuple[socket.socket, str]]:
    """systemd's end, and what NOTIFY_SOCKET would be."""
    folder = Path(tempfile.mkdtemp(prefix="gscd-notify-"))
    address = str(folder / "socket") if request.param == "path" else f"@gscd-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as line:
        line.bind("\0" + address[1:] if address.startswith("@") else address)
        line.settimeout(5)
        yield line, address
    shutil.rmtree(folder)


def test_each_word_is_told(manager: tuple[socket.socket, str]) -> None:
    line, address = manager
    notifier = Notifier({"NOTIFY_SOCKET": address})
    for told, expected in (
        (notifier.ready(), "READY=1"),
        (notifier.stopping(), "STOPPING=1"),
        (notifier.status("3 workers → 4\n“Zürich”"), "STATUS=3 workers → 4 “Zürich”"),
        (notifier.main_pid(42), "MAINPID=42"),
    ):
        assert told is True
        assert line.recv(999).decode() == expected
    assert notifier.reloading()
    first, second = line.recv(999).decode().split("\n")
    assert first == "RELOADING=1"
    assert second.removeprefix("MONOTONIC_USEC=").isdecimal()


def test_the_watchdog_is_told_twice_an_interval_however_often_it_is_asked(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    line, address = manager
    now = 100.0
    monkeypatch.setattr(systemd.time, "monotonic", lambda: now)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": str(os.getpid())})
    assert notifier.watchdog_seconds == 30.0
    assert [notifier.watchdog() for _ in range(3)] == [True, False, False]
    now = 114.9
    assert notifier.watchdog() is False
    now = 115.0
    assert notifier.watchdog() is True
    assert [line.recv(99) for _ in range(2)] == [b"WATCHDOG=1"] * 2


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 3.0),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
    ],
)
def test_the_watchdog_is_for_this_process_or_not_at_all(environ: dict[str, str], seconds: float | None) -> None:
    assert Notifier(environ).watchdog_seconds == seconds


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "vsock:2:3"}])
def test_without_a_socket_nothing_is_told(environ: dict[str, str]) -> None:
    notifier = Notifier(environ)
    assert [notifier.ready(), notifier.status("x"), notifier.watchdog()] == [False] * 3


def test_a_manager_that_is_away_is_no_failure(tmp_path: Path) -> None:
    assert Notifier({"NOTIFY_SOCKET": str(tmp_path / "none")}).ready() is False


def test_a_manager_that_reads_nothing_is_not_waited_for(
    manager: tuple[socket.socket, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    _, address = manager
    monkeypatch.setattr(systemd, "PATIENCE", 0.01)
    notifier = Notifier({"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1"})
    while notifier.status("full"):
        pass
    assert notifier.watchdog() is False
    assert notifier.ready() is False
