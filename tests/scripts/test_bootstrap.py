"""The scripts make their environment where there is Python and nothing else: no ensurepip, no pip, no network."""

from __future__ import annotations

import ensurepip
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]


@pytest.fixture
def pip_wheel() -> Path:
    """A pip wheel that came with Python."""
    folders = [Path(ensurepip.__file__).parent / "_bundled", Path("/usr/share/python-wheels")]
    wheels = [wheel for folder in folders for wheel in folder.glob("pip-*-py3-none-any.whl")]
    if not wheels:
        pytest.skip("this Python came without a pip wheel to make an index of")
    return wheels[0]


@pytest.fixture
def index(tmp_path: Path, pip_wheel: Path) -> Path:
    """The page of a package index with that pip, and with newer ones that must not be taken."""
    folder = tmp_path / "index" / "pip"
    folder.mkdir(parents=True)
    shutil.copy(pip_wheel, folder)
    digest = hashlib.sha256(pip_wheel.read_bytes()).hexdigest()
    page = folder / "index.html"
    page.write_text(
        "<!DOCTYPE html><a href='pip-999-py3-none-any.whl#sha256=00' data-yanked=''>yanked</a>"
        "<a href='pip-998-py3-none-any.whl#sha256=00' data-requires-python='&gt;=3.99'>another Python's</a>"
        "<a href='pip-997.tar.gz#sha256=00'>no wheel</a> <a href='pip-996rc1-py3-none-any.whl#sha256=00'>not final</a>"
        f"<a href='pip-0.1-py3-none-any.whl#sha256=00'>old</a><a href='{pip_wheel.name}#sha256={digest}'>this</a>"
    )
    return page


def run(command: list[str | Path], **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "PYTHON"))}
    return subprocess.run(command, cwd=CHECKOUT, env=clean | environment, capture_output=True, text=True, check=False)


def index_settings(index: Path) -> dict[str, str]:
    return {"PIP_INDEX_URL": index.parents[1].as_uri(), "PIP_CONFIG_FILE": os.devnull}


def masked_ensurepip(tmp_path: Path) -> str:
    """A PYTHONPATH that hides ensurepip, as on a Debian without python3-venv."""
    folder = tmp_path / "mask"
    folder.mkdir()
    (folder / "ensurepip.py").write_text("raise ImportError('ensurepip is not installed')\n")
    return str(folder)


def python_without_pip(tmp_path: Path) -> Path:
    wrapper = tmp_path / "python3"
    wrapper.write_text(f'#!/bin/sh\n[ "$1 $2" != "-m pip" ] || exit 1\nexec {sys.executable} "$@"\n')
    wrapper.chmod(0o755)
    return wrapper


def make_venv(venv: Path, python: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return run(["/bin/sh", "-euc", '. scripts/lib.sh; make_venv "$1" "$2"', "sh", venv, python], **environment)


def test_an_environment_without_ensurepip_and_pip_takes_pip_from_the_index(tmp_path: Path, index: Path) -> None:
    settings = index_settings(index) | {"PYTHONPATH": masked_ensurepip(tmp_path)}
    made = make_venv(tmp_path / "venv", python_without_pip(tmp_path), **settings)
    assert made.returncode == 0, made.stderr
    assert "no ensurepip here" in made.stderr
    assert run([tmp_path / "venv/bin/python", "-m", "pip", "--version"]).returncode == 0


def test_an_environment_without_ensurepip_takes_pip_by_the_machines_pip(tmp_path: Path, index: Path) -> None:
    settings = index_settings(index) | {"PYTHONPATH": masked_ensurepip(tmp_path)}
    made = make_venv(tmp_path / "venv", sys.executable, **settings)
    assert made.returncode == 0, made.stderr
    assert run([tmp_path / "venv/bin/python", "-m", "pip", "--version"]).returncode == 0


def test_a_wheel_that_does_not_match_its_hash_is_not_run(tmp_path: Path, index: Path, pip_wheel: Path) -> None:
    (index.parent / pip_wheel.name).write_bytes(pip_wheel.read_bytes() + b"\0")
    settings = index_settings(index) | {"PYTHONPATH": masked_ensurepip(tmp_path)}
    made = make_venv(tmp_path / "venv", python_without_pip(tmp_path), **settings)
    assert made.returncode == 69
    assert "does not have the SHA-256" in made.stderr
    assert run([tmp_path / "venv/bin/python", "-m", "pip", "--version"]).returncode != 0


def test_without_any_index_it_is_said_what_helps(tmp_path: Path) -> None:
    settings = {"PIP_CONFIG_FILE": os.devnull, "PYTHONPATH": masked_ensurepip(tmp_path)}
    made = make_venv(tmp_path / "venv", python_without_pip(tmp_path), **settings)
    assert made.returncode == 69
    assert "apt-get install python3-venv, or set PIP_INDEX_URL" in made.stderr


def test_no_fit_python_is_said_in_one_line(tmp_path: Path) -> None:
    old = tmp_path / "old"
    old.write_text("#!/bin/sh\nexit 1\n")
    old.chmod(0o755)
    for script in ("test", "demo"):
        shutil.copytree(CHECKOUT / "scripts", tmp_path / script / "scripts", dirs_exist_ok=True)
        ran = run([tmp_path / script / "scripts" / script], PYTHON=str(old))
        assert ran.returncode == 69
        assert ran.stderr.count("\n") == 1
        assert "needs Python 3.11 or newer" in ran.stderr


def test_the_newest_fit_python_on_path_is_taken(tmp_path: Path) -> None:
    for name, status in (("python3.14", 1), ("python3.13", 0), ("python3.12", 0)):
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)
    found = run(["/bin/sh", "-euc", ". scripts/lib.sh; find_python"], PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert found.stdout.strip() == str(tmp_path / "python3.13")


def test_the_demonstration_says_when_the_disk_is_short(tmp_path: Path) -> None:
    fake = tmp_path / "df"
    fake.write_text("#!/bin/sh\necho header\necho /dev/x 9 9 102400 9% /\n")
    fake.chmod(0o755)
    ran = run([CHECKOUT / "scripts/demo"], PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert ran.returncode == 69
    assert "4096 MB" in ran.stderr
    assert "100 MB" in ran.stderr
