"""`gscd halt` and `gscd resume`: whatever is broken, work stops, and it is said what happens next."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from as_nobody import NOBODY, as_nobody, open_folder

from gsc_daemon import halt
from gsc_daemon.cli import halt as command
from gsc_daemon.halt import read_daemon


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_a_halt_is_the_file_with_reason_and_name(
    gscd: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SUDO_USER", "someone")
    said = gscd("halt", "--reason", "moving the database")
    assert (said.code, said.out) == (0, "")
    assert said.err == "halted: no daemon runs; `gscd resume` goes on\n"
    state = halt.read(folder / "HALT")
    assert state is not None
    assert (state.reason, state.by) == ("moving the database", "someone")


def test_a_halt_without_a_reason_says_who(gscd: Callable[..., object], folder: Path) -> None:
    gscd("halt")
    state = halt.read(folder / "HALT")
    assert state is not None
    assert state.reason == f"`gscd halt` by {state.by}"


def test_settings_that_are_wrong_elsewhere_keep_nobody_from_halting(gscd: Callable[..., object], folder: Path) -> None:
    with (folder / "gscd.toml").open("a") as file:
        file.write("[workers]\nbatch_size = 0\n[sink]\ndsn_file = '/none'\n")
    assert gscd("config", "check").code == 78
    assert gscd("halt").code == 0
    assert halt.present(folder / "HALT")


def test_settings_that_cannot_be_read_at_all_name_another_way(gscd: Callable[..., object], folder: Path) -> None:
    (folder / "gscd.toml").write_text("[halt\n")
    said = gscd("halt")
    assert said.code == 78
    assert said.err.startswith("gscd: FOLDER/gscd.toml:1: not valid TOML:")
    assert said.err.endswith(" A running service halts all the same by `systemctl kill -s USR1 gscd`\n")


def test_wait_returns_when_every_worker_stands_still(
    gscd: Callable[..., object], daemon: Callable[..., object]
) -> None:
    process = daemon()
    said = gscd("halt", "--wait", "--json")
    assert said.code == 0
    assert said.data["daemon"] == process.pid
    assert said.data["waited_seconds"] < 5
    assert gscd("halt", "--wait").err == "halted: every worker stands still; `gscd resume` goes on\n"


def test_wait_names_who_still_works_and_exits_75(
    gscd: Callable[..., object], daemon: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 0.2)
    process = daemon("stubborn")
    said = gscd("halt", "--wait")
    assert said.code == 75
    worker = f"worker 0 (pid {process.pid}, working sc-domain:example.com for 0 s)"
    assert f"not everything stands still: {worker}. The halt stays" in said.err
    assert halt.present(folder / "HALT")


def test_wait_names_a_supervisor_that_does_not_answer(
    gscd: Callable[..., object], daemon: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "WAIT_SECONDS", 0.2)
    process = daemon()
    gscd("halt", "--wait")
    gscd("resume")
    until(lambda: read_daemon(folder / "gscd.lock").state == "running")
    process.send_signal(signal.SIGSTOP)
    said = gscd("halt", "--wait")
    process.send_signal(signal.SIGCONT)
    assert said.code == 75
    assert f"(pid {process.pid}" in said.err


def test_wait_without_a_daemon_returns_at_once(gscd: Callable[..., object]) -> None:
    assert gscd("halt", "--wait").code == 0


@pytest.fixture
def unwritable(folder: Path, daemon: Callable[..., object]) -> Path:
    """The halt file in a folder that is not there: no file can be made, whoever asks."""
    settings = folder / "gscd.toml"
    settings.write_text(settings.read_text().replace('"HALT"', '"none/HALT"'))
    return folder


def test_without_the_file_the_running_daemon_is_told_by_signal(
    gscd: Callable[..., object], unwritable: Path, daemon: Callable[..., object]
) -> None:
    process = daemon()
    said = gscd("halt", "--wait", "--json")
    assert said.code == 0
    assert (unwritable / "SIGUSR1").exists()
    assert (said.data["held_by"], said.data["daemon"]) == (["signal"], process.pid)
    assert said.err == (
        "the halt file FOLDER/none/HALT cannot be written: there is no folder FOLDER/none. See halt.file; "
        "the running daemon was told by signal\n"
    )


def test_a_halt_that_reaches_nobody_says_so(gscd: Callable[..., object], unwritable: Path) -> None:
    said = gscd("halt")
    assert said.code == 78
    assert said.err == (
        "gscd: the halt file FOLDER/none/HALT cannot be written: there is no folder FOLDER/none. See halt.file\n"
    )


def test_resume_says_what_happens_next(
    gscd: Callable[..., object], daemon: Callable[..., object], folder: Path
) -> None:
    said = gscd("resume")
    assert (said.code, said.out) == (0, "")
    assert said.err == "it was not halted\nno daemon runs; `systemctl start gscd` or `gscd run` starts one\n"
    process = daemon()
    gscd("halt", "--wait")
    said = gscd("resume")
    assert said.code == 0
    assert said.err == (
        f"resumed\nthe daemon (pid {process.pid}, running) goes on by itself; `gscd status` shows what it does\n"
    )
    assert not halt.present(folder / "HALT")
    assert gscd("resume", "--json").data == {"was_halted": False, "halted": False, "daemon": process.pid}


def test_a_daemon_that_stands_still_after_resume_is_told(
    gscd: Callable[..., object], daemon: Callable[..., object], monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(command, "RESUME_SECONDS", 0.1)
    process = daemon()
    process.send_signal(signal.SIGUSR1)
    until(lambda: read_daemon(folder / "gscd.lock").state == "halted")
    said = gscd("resume")
    assert said.code == 75
    assert f"the daemon (pid {process.pid}) still stands still (test); `systemctl restart gscd` frees it" in said.err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who becomes the owner")
def test_root_acts_as_the_owner_of_the_ledgers_folder(folder: Path) -> None:
    with open_folder() as place:
        (place / "gscd.toml").write_text((folder / "gscd.toml").read_text())
        os.chown(place, NOBODY, NOBODY)
        done = subprocess.run(
            [sys.executable, "-m", "gsc_daemon", "--config", str(place / "gscd.toml"), "halt"],
            capture_output=True, text=True, timeout=30,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, "halted: no daemon runs; `gscd resume` goes on\n")
        status = (place / "HALT").stat()
        assert (status.st_uid, status.st_gid) == (NOBODY, NOBODY)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder that another user may not write")
def test_who_may_not_write_there_is_told_whose_it_is() -> None:
    from gsc_daemon.cli.owner import become_owner
    from gsc_daemon.settings import LedgerSettings, Settings

    with open_folder() as place:
        settings = Settings(ledger=LedgerSettings(place / "ledger.db"))
        said = as_nobody(lambda: become_owner(settings))
        assert said.startswith("NotPermitted: ")
        assert said.endswith(
            f" may not write in {place}, which belongs to root. "
            "Run this as root, as root, or as a member of a group that may"
        )
        place.chmod(0o777)
        assert as_nobody(lambda: become_owner(settings)) == "None"
        os.chown(place, NOBODY, NOBODY)
        place.chmod(0o700)
        assert as_nobody(lambda: become_owner(settings)) == "None"
        become = as_nobody(lambda: (become_owner(settings), os.getresuid(), os.getgroups()), uid=0)
        assert become == f"(None, ({NOBODY}, {NOBODY}, {NOBODY}), [{NOBODY}])"
