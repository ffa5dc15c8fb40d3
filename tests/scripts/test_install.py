"""scripts/install makes a program that runs, twice is as good as once, and scripts/uninstall keeps what is precious."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from as_nobody import NOBODY, open_folder

CHECKOUT = Path(__file__).parents[2]


def script(name: str, *words: str) -> subprocess.CompletedProcess[str]:
    command = [CHECKOUT / "scripts" / name, *words]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Where to install; skips where pip can fetch nothing."""
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", tmp_path / "probe", "setuptools"]
    probe = subprocess.run(pip, capture_output=True, text=True, check=False)
    if probe.returncode != 0:
        pytest.skip(f"no package index can be reached: {probe.stderr[-200:]}")
    return tmp_path / "root"


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_install_twice_then_uninstall(root: Path) -> None:
    first = script("install", "--root", str(root))
    assert first.returncode == 0, first.stderr
    program = root / "usr/local/bin/gscd"
    settings = root / "etc/gscd/gscd.toml"
    said = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, cwd="/").stdout
    assert "gscd" in said
    assert (mode(settings), mode(settings.parent), mode(root / "var/lib/gscd")) == (0o640, 0o750, 0o750)
    assert "max_concurrency" in settings.read_text()
    assert (root / "etc/systemd/system/gscd.service").read_text() == (CHECKOUT / "systemd/gscd.service").read_text()

    settings.write_text("# mine\n")
    (root / "var/lib/gscd/ledger.db").write_text("precious")
    (part,) = root.glob("opt/gscd/venv/lib/*/site-packages/gsc_daemon/__main__.py")
    part.unlink()
    second = script("install", "--root", str(root))
    assert second.returncode == 0, second.stderr
    assert part.exists()
    assert settings.read_text() == "# mine\n"

    assert script("uninstall", "--root", str(root)).returncode == 0
    assert not (root / "opt/gscd").exists()
    assert not program.is_symlink()
    assert (root / "var/lib/gscd/ledger.db").read_text() == "precious"
    assert settings.exists()
    assert script("uninstall", "--purge", "--root", str(root)).returncode == 0
    assert not (root / "var/lib/gscd").exists()
    assert not settings.parent.exists()


def test_a_dry_run_says_and_changes_nothing(tmp_path: Path) -> None:
    for name in ("install", "uninstall"):
        ran = script(name, "--dry-run", "--root", str(tmp_path / "root"))
        assert ran.returncode == 0, ran.stderr
        assert str(tmp_path / "root/opt/gscd") in ran.stdout
    assert list(tmp_path.iterdir()) == []


def test_only_root_may_install() -> None:
    nobody = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    with open_folder() as folder:
        shutil.copytree(CHECKOUT / "scripts", folder / "scripts")
        for name in ("install", "uninstall"):
            ran = subprocess.run(
                [folder / "scripts" / name], capture_output=True, text=True, check=False, cwd="/", **nobody
            )
            assert (ran.returncode, ran.stdout) == (77, "")
            assert "must be run as root" in ran.stderr


def test_unknown_words_are_refused() -> None:
    for name in ("install", "uninstall"):
        ran = script(name, "--everything")
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "--everything" in ran.stderr
