"""The halt file: its being there is the halt, on a full disk too, whoever made it and however little it says."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from as_nobody import as_nobody, open_folder

from gsc_daemon import halt
from gsc_daemon.errors import ConfigError, Unavailable
from gsc_daemon.halt import DaemonFile, read_daemon


@pytest.fixture
def full_disk() -> Iterator[Path]:
    """A mounted tmpfs with no byte left, but room for names."""
    if os.geteuid() != 0:
        pytest.skip("NOT TESTED: a full disk, since only root can mount one")
    with tempfile.TemporaryDirectory(prefix="gscd-full-") as place:
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "gscd-test", place], capture_output=True, text=True, timeout=10
        )
        if mounted.returncode:
            pytest.skip(f"NOT TESTED: a full disk, since no tmpfs can be mounted here: {mounted.stderr.strip()}")
        try:
            yield Path(place)
        finally:
            subprocess.run(["umount", place], check=True, timeout=10)


def fill(folder: Path) -> None:
    def write_for_ever() -> None:
        with (folder / "filler").open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 1024)

    with pytest.raises(OSError, match="No space left on device"):
        write_for_ever()


def test_a_halt_is_written_read_and_cleared(tmp_path: Path) -> None:
    path = tmp_path / "HALT"
    assert not halt.present(path)
    assert halt.read(path) is None
    before = time.time_ns() // 1_000_000
    halt.write(path, 'moving "the" database\nto Zürich', "operator")
    assert halt.present(path)
    state = halt.read(path)
    assert state is not None
    assert (state.halted, state.reason, state.by) == (True, 'moving "the" database\nto Zürich', "operator")
    assert before <= state.since_ms <= time.time_ns() // 1_000_000
    assert path.stat().st_mode & 0o777 == 0o640
    assert halt.clear(path) is True
    assert halt.clear(path) is False
    assert not halt.present(path)


def test_a_second_halt_takes_the_place_of_the_first(tmp_path: Path) -> None:
    path = tmp_path / "HALT"
    halt.write(path, "a long reason " * 20, "first")
    halt.write(path, "short", "second")
    state = halt.read(path)
    assert state is not None
    assert (state.reason, state.by) == ("short", "second")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", ""),
        (b"moving the\n database\n", "moving the database"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"[1, 2]", "[1, 2]"),
        (b'{"reason": "x"}', '{"reason": "x"}'),
        (b"3", "3"),
    ],
)
def test_a_file_made_by_hand_halts_whatever_it_says(tmp_path: Path, content: bytes, reason: str) -> None:
    path = tmp_path / "HALT"
    path.write_bytes(content)
    assert halt.present(path)
    state = halt.read(path)
    assert state is not None
    assert (state.halted, state.reason, state.by) == (True, reason, "")
    assert state.since_ms == int(path.stat().st_mtime * 1000)


def test_on_a_full_disk_the_file_is_empty_and_halts(full_disk: Path) -> None:
    fill(full_disk)
    path = full_disk / "HALT"
    halt.write(path, "the disk is full", "operator")
    assert halt.present(path)
    assert path.read_bytes() == b""
    state = halt.read(path)
    assert state is not None
    assert state.halted
    assert halt.clear(path)


def test_on_a_disk_without_room_for_a_name_it_is_told(full_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(full_disk)], check=True, timeout=10)
    with pytest.raises(Unavailable) as caught:
        halt.write(full_disk / "HALT", "x", "y")
    assert str(caught.value) == f"the halt file {full_disk}/HALT cannot be written: Read-only file system"


def test_without_its_folder_it_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        halt.write(tmp_path / "none" / "HALT", "x", "y")
    assert str(caught.value) == (
        f"the halt file {tmp_path}/none/HALT cannot be written: there is no folder {tmp_path}/none. See halt.file"
    )
    assert halt.clear(tmp_path / "none" / "HALT") is False
    with pytest.raises(ConfigError, match="it is a folder"):
        halt.write(tmp_path, "x", "y")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder that another user may not write")
def test_who_may_not_write_or_remove_it_is_told() -> None:
    with open_folder() as folder:
        path = folder / "HALT"
        said = f"NotPermitted: the halt file {path} cannot be %s: this user may not. Run it as root or as the daemon's"
        said += " user"
        assert as_nobody(lambda: halt.write(path, "x", "y")) == said % "written"
        halt.write(path, "x", "y")
        assert as_nobody(lambda: halt.present(path)) == "True"
        assert as_nobody(lambda: halt.clear(path)) == said % "removed"
        assert "cannot be read: Permission denied" in as_nobody(lambda: halt.read(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder that another user may not look into")
def test_what_cannot_be_looked_at_counts_as_halted() -> None:
    with open_folder() as folder:
        (folder / "private").mkdir(mode=0o700)
        assert as_nobody(lambda: halt.present(folder / "private" / "HALT")) == "True"


def test_the_daemons_file_is_rewritten_on_a_full_disk(full_disk: Path) -> None:
    path = full_disk / "gscd.lock"
    file = DaemonFile(path)
    file.acquire("run")
    fill(full_disk)
    assert file.update(state="halted", reason="the disk is full", workers=[])
    view = read_daemon(path)
    assert view is not None
    assert (view.alive, view.state, view.reason) == (True, "halted", "the disk is full")
    file.release()


def test_a_daemon_cannot_start_where_its_file_finds_no_room(full_disk: Path) -> None:
    fill(full_disk)
    file = DaemonFile(full_disk / "gscd.lock")
    with pytest.raises(Unavailable, match=r"gscd\.lock cannot be written: the disk is full or read-only"):
        file.acquire("run")
