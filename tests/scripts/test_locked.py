"""What the scripts install is what is locked, by hash; what is locked is what the program asks for."""

from __future__ import annotations

import configparser
import hashlib
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CHECKOUT = Path(__file__).parents[2]
LOCKED = CHECKOUT / "scripts" / "locked"
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)(?: ; (.*?))?( \\)?$", re.MULTILINE)


def pins(text: str) -> set[tuple[str, str]]:
    return {(canonicalize_name(name), version) for name, version, *_ in PIN.findall(text)}


@pytest.mark.parametrize("file", sorted(LOCKED.glob("*.txt")), ids=lambda file: file.stem)
def test_everything_that_is_locked_has_a_version_of_the_one_set_and_hashes(file: Path) -> None:
    text = file.read_text()
    assert pins(text)
    assert pins(text) <= pins((CHECKOUT / "scripts/constraints.txt").read_text())
    blocks = re.split(r"\n(?=\S)", text.rstrip())[1:]
    assert len(blocks) == len(PIN.findall(text))
    assert all(re.search(r"--hash=sha256:[0-9a-f]{64}", block) for block in blocks)


def test_what_the_program_asks_for_is_locked() -> None:
    config = configparser.ConfigParser()
    config.read(CHECKOUT / "setup.cfg")
    wanted = {"gscd": config["options"]["install_requires"], **config["options.extras_require"]}
    for name, lines in wanted.items():
        locked = dict(pins((LOCKED / f"{name}.txt").read_text()))
        for line in filter(None, lines.splitlines()):
            requirement = Requirement(line)
            assert requirement.specifier.contains(locked[canonicalize_name(requirement.name)]), line


@pytest.fixture
def tiny(tmp_path: Path) -> Path:
    """A wheel of nothing."""
    wheel = tmp_path / "tiny-1-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("tiny.py", "")
        archive.writestr("tiny-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1\n")
        archive.writestr("tiny-1.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr("tiny-1.dist-info/RECORD", "")
    return wheel


def test_a_package_that_does_not_have_its_hash_is_not_installed(tmp_path: Path, tiny: Path) -> None:
    shutil.copy(CHECKOUT / "scripts/lib.sh", tmp_path)
    folder = tmp_path / "scripts" / "locked"
    folder.mkdir(parents=True)
    (folder / "gscd.txt").write_text("")
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    install = ["/bin/sh", "-c", f'. ./lib.sh; pip_locked venv gscd -- "{tiny}"']
    environment = {"PATH": "/usr/bin:/bin", "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    digest = hashlib.sha256(tiny.read_bytes()).hexdigest()
    for given, status in ((digest[::-1], 1), (digest, 0)):
        (folder / "build.txt").write_text(f"tiny==1 --hash=sha256:{given}\n")
        ended = subprocess.run(install, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert ended.returncode == status, ended.stderr
        assert ("DO NOT MATCH THE HASHES" in ended.stderr) is bool(status)
