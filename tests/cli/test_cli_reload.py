"""`gscd reload`: bad settings never reach the daemon; what wants a restart is named."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gsc_daemon.errors import Exit


def heard(folder: Path) -> bool:
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        if (folder / "SIGHUP").exists():
            return True
        time.sleep(0.01)
    return False


def test_what_changed_and_what_wants_a_restart_is_told(
    gscd: Callable[..., object], daemon: Callable[..., object], folder: Path
) -> None:
    process = daemon()
    with (folder / "gscd.toml").open("a") as file:
        file.write("deadline_seconds = 30\n[workers]\nbatch_size = 20\n")
    said = gscd("reload")
    assert said.code == 0
    assert said.err == (
        f"the daemon (pid {process.pid}) reads FOLDER/gscd.toml again\n"
        "changed: workers.batch_size\n"
        "these want a restart (`systemctl restart gscd`): api.deadline_seconds\n"
    )
    assert heard(folder)
    assert gscd("reload", "--json").data == {
        "daemon": process.pid, "changed": ["workers.batch_size"], "restart_wanted": ["api.deadline_seconds"],
    }  # fmt: skip


def test_nothing_changed_is_told(gscd: Callable[..., object], daemon: Callable[..., object], folder: Path) -> None:
    daemon()
    assert gscd("reload").err.endswith("changed: nothing that a reload puts in force\n")


@pytest.mark.parametrize("mistake", ["setting", "place"])
def test_bad_settings_do_not_reach_the_daemon(
    gscd: Callable[..., object], daemon: Callable[..., object], folder: Path, mistake: str
) -> None:
    daemon()
    if mistake == "setting":
        with (folder / "gscd.toml").open("a") as file:
            file.write("[workers]\nbatch_size = 0\n")
    else:
        (folder / "key.json").unlink()
    said = gscd("reload")
    assert said.code == Exit.CONFIG
    assert ("workers.batch_size = 0" if mistake == "setting" else "api.credentials = ") in said.err
    time.sleep(0.1)
    assert not (folder / "SIGHUP").exists()


def test_without_a_daemon_the_settings_are_checked_and_it_is_said(gscd: Callable[..., object]) -> None:
    said = gscd("reload")
    assert said.code == Exit.UNAVAILABLE
    assert said.err == (
        "gscd: the settings are good, but no daemon runs. They count from the next start on: `systemctl start gscd`\n"
    )


def test_a_daemon_with_another_file_is_not_signalled(
    gscd: Callable[..., object], daemon: Callable[..., object], folder: Path
) -> None:
    process = daemon()
    (folder / "gscd.toml").rename(folder / "other.toml")
    (folder / "gscd.toml").symlink_to("other.toml")
    assert gscd("reload").code == 0, "the same name is the same file"
    (folder / "SIGHUP").unlink(missing_ok=True)
    from gsc_daemon import cli

    assert cli.run(["--config", str(folder / "other.toml"), "reload"]) == Exit.USAGE
    assert process.poll() is None
