"""The daemon's file: one daemon for one ledger, and the truth about who lives, whatever it says."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from as_nobody import as_nobody, open_folder

from gsc_daemon import __version__
from gsc_daemon.errors import ConfigError, TryAgain
from gsc_daemon.halt import DaemonFile, WorkerView, daemon_path, read_daemon
from gsc_daemon.process import boot_id, pid_start

HOLD = """
import sys
from pathlib import Path
from gsc_daemon.halt import DaemonFile
file = DaemonFile(Path(sys.argv[1]))
file.acquire("run-of-another")
print("held", flush=True)
sys.stdin.read()
"""


@contextmanager
def another_daemon(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process of its own that holds the file."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "held\n"
            yield process
        finally:
            process.kill()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_it_says_who_works_and_since_when(tmp_path: Path) -> None:
    path = daemon_path(tmp_path / "ledger.db")
    assert path == tmp_path / "gscd.lock"
    assert read_daemon(path) is None
    file = DaemonFile(path)
    file.acquire("run-1", config=Path("/etc/gscd/gscd.toml"), settings={"workers.batch_size": "abcd"})
    before = time.time_ns() // 1_000_000
    worker = {"slot": 0, "pid": os.getpid(), "state": "working", "site": "sc-domain:example.com"}
    assert file.update(state="running", reason="", workers=[worker])
    view = read_daemon(path)
    assert view is not None
    assert (view.locked, view.alive, view.pid, view.run_id) == (True, True, os.getpid(), "run-1")
    assert (view.version, view.state, view.config) == (__version__, "running", "/etc/gscd/gscd.toml")
    assert view.settings == {"workers.batch_size": "abcd"}
    assert view.since_ms >= before
    (seen,) = view.workers
    assert seen == WorkerView(0, os.getpid(), "working", "sc-domain:example.com", seen.since_ms)
    assert path.stat().st_mode & 0o777 == 0o640
    file.release()


def test_times_change_only_when_what_they_date_does(tmp_path: Path) -> None:
    class Wall:
        now = 1000

        def wall_ms(self) -> int:
            return self.now

        def monotonic(self) -> float:
            return time.monotonic()

    clock, path = Wall(), tmp_path / "gscd.lock"
    file = DaemonFile(path, clock)
    file.acquire("run")
    idle = {"slot": 0, "pid": 1, "state": "idle", "site": ""}
    clock.now = 2000
    file.update(state="running", workers=[idle])
    clock.now = 3000
    file.update(state="running", workers=[idle, {**idle, "slot": 1}])
    view = read_daemon(path)
    assert view is not None
    assert (view.since_ms, [worker.since_ms for worker in view.workers]) == (2000, [2000, 3000])
    clock.now = 4000
    file.update(state="halted", workers=[{**idle, "state": "halted"}])
    view = read_daemon(path)
    assert view is not None
    assert (view.since_ms, [worker.since_ms for worker in view.workers]) == (4000, [4000])
    file.release()


def test_a_second_daemon_is_told_the_pid_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "gscd.lock"
    with another_daemon(path) as first:
        with pytest.raises(TryAgain) as caught:
            DaemonFile(path).acquire("run-2")
        assert str(caught.value) == (
            f"a gscd daemon (pid {first.pid}) works with this ledger already. Stop it first; `gscd status` shows it"
        )
        view = read_daemon(path)
        assert view is not None
        assert view.run_id == "run-of-another"


def test_a_killed_daemon_is_not_alive_and_may_be_followed(tmp_path: Path) -> None:
    path = tmp_path / "gscd.lock"
    with another_daemon(path) as first:
        first.kill()
        first.wait(10)
        view = read_daemon(path)
        assert view is not None
        assert (view.locked, view.alive, view.pid) == (False, False, first.pid)
        file = DaemonFile(path)
        file.acquire("run-2")
        file.release()


def test_while_a_child_of_a_dead_daemon_lives_nobody_follows(tmp_path: Path) -> None:
    """The lock is inherited by the fork, so that two daemons never work with one ledger."""
    path = tmp_path / "gscd.lock"
    reader, writer = os.pipe()
    supervisor = os.fork()
    if supervisor == 0:
        DaemonFile(path).acquire("run-1")
        child = os.fork()
        if child == 0:
            os.close(writer)
            time.sleep(60)
            os._exit(0)
        os.write(writer, str(child).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        orphan = int(pipe.read())
    os.waitpid(supervisor, 0)
    try:
        view = read_daemon(path)
        assert view is not None
        assert (view.locked, view.alive) == (True, False)
        with pytest.raises(TryAgain, match="processes of an earlier gscd daemon still live and hold"):
            DaemonFile(path).acquire("run-2")
    finally:
        os.kill(orphan, signal.SIGKILL)
    until(lambda: not getattr(read_daemon(path), "locked", True))


def test_a_reader_does_not_keep_a_daemon_from_starting(tmp_path: Path) -> None:
    """`status` holds a shared lock for an instant; a daemon that starts in it tries again."""
    path = tmp_path / "gscd.lock"
    path.touch()
    looking = os.open(path, os.O_RDONLY)
    fcntl.flock(looking, fcntl.LOCK_SH)
    gone = threading.Timer(0.1, os.close, [looking])
    gone.start()
    file = DaemonFile(path)
    file.acquire("run")
    file.release()
    gone.join()


def test_a_pid_that_now_belongs_to_another_process_is_not_alive(tmp_path: Path) -> None:
    path = tmp_path / "gscd.lock"
    file = DaemonFile(path)
    file.acquire("run")
    for change in ({"pid_start": 1}, {"boot_id": "another boot"}, {"pid": 2**22 + 1}):
        says = json.loads(path.read_text())
        path.write_text(json.dumps(says | change).ljust(16_384))
        view = read_daemon(path)
        assert view is not None
        assert (view.locked, view.alive) == (True, False)
        file.update(state="running")
    file.release()


def test_after_release_the_file_says_why_the_daemon_ended(tmp_path: Path) -> None:
    path = tmp_path / "gscd.lock"
    file = DaemonFile(path)
    file.acquire("run")
    file.fault = "11 crashes within 60 s"
    file.release()
    file.release()
    view = read_daemon(path)
    assert view is not None
    assert (view.locked, view.alive, view.state, view.fault) == (False, False, "stopped", "11 crashes within 60 s")


def test_what_is_there_before_the_first_word_is_no_daemon_or_a_starting_one(tmp_path: Path) -> None:
    path = tmp_path / "gscd.lock"
    path.write_text("")
    assert read_daemon(path) is None
    with another_daemon(path):
        path.write_text("{")
        view = read_daemon(path)
        assert view is not None
        assert (view.locked, view.state, view.pid) == (True, "starting", 0)


def test_many_workers_on_long_names_fit(tmp_path: Path) -> None:
    path = tmp_path / "gscd.lock"
    file = DaemonFile(path)
    file.acquire("run", settings={f"workers.number_{n}": "abcdefgh" for n in range(40)})
    workers = [{"slot": n, "pid": 4_000_000 + n, "state": "working", "site": "https://" + "x" * 250} for n in range(64)]
    assert file.update(state="running", reason="r" * 5000, workers=workers)
    view = read_daemon(path)
    assert view is not None
    assert [worker.slot for worker in view.workers] == list(range(64))
    file.release()


def test_a_worker_works_only_while_it_lives_and_is_not_halted() -> None:
    assert WorkerView(0, os.getpid(), "working").works
    assert WorkerView(0, os.getpid(), "waiting for Postgres").works
    assert not WorkerView(0, os.getpid(), "halted").works
    assert not WorkerView(0, 2**22 + 1, "working").works


def test_a_process_is_named_by_its_pid_start_and_boot() -> None:
    assert pid_start(os.getpid()) > 0
    assert pid_start(os.getpid()) == pid_start(os.getpid())
    assert pid_start(2**22 + 1) == 0
    assert len(boot_id()) == 36


def test_without_its_folder_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"there is no folder .*/none\. See ledger\.path"):
        DaemonFile(tmp_path / "none" / "gscd.lock").acquire("run")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder that another user may not write")
def test_who_may_not_read_or_write_it_is_told() -> None:
    with open_folder() as folder:
        path = folder / "gscd.lock"
        said = (
            f"NotPermitted: this user may not write {path}. Run gscd as root or as the user that the folder belongs to"
        )
        assert as_nobody(lambda: DaemonFile(path).acquire("run")) == said
        DaemonFile(path).acquire("run")
        assert as_nobody(lambda: read_daemon(path)).startswith(f"NotPermitted: this user may not read {path}.")
