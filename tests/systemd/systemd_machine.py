"""A machine with a real systemd, to install gscd on and to run its unit; see systemd_machine.sh for how it is made."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from packaging.requirements import Requirement

HERE = Path(__file__).parent
CHECKOUT = HERE.parents[1]
TOOLS = ("unshare", "nsenter", "setsid", "pivot_root", "systemctl", "journalctl")
MASKED = ("getty.target", "systemd-modules-load.service", "systemd-timesyncd.service", "systemd-logind.service")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
PATIENCE = 60.0  # seconds for what takes one or two


class Machine:
    """Talks to it; each command's words are run on it as root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *words: str, check: bool = True, input: str = "") -> str:
        """What a command says on stdout; with ``check`` it must end with 0."""
        ended = self.ended(*words, input=input)
        if check and ended.returncode != 0:
            pytest.fail(f"{' '.join(words)}: {ended.returncode}\n{ended.stdout}\n{ended.stderr}\n{self.journal()}")
        return ended.stdout.strip()

    def ended(self, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        command = [
            "nsenter",
            f"--target={self._init()}",
            "--all",
            "env",
            "-i",
            "--chdir=/",
            f"PATH={PATH}",
            "LANG=C",
            *words,
        ]
        # A session of its own: `kill 0` over there must not reach this process.
        return subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=60, input=input, start_new_session=True
        )

    def wait_until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not holds():
            if time.monotonic() > deadline:
                pytest.fail(f"not within {PATIENCE:.0f} s: {what}\n{self.journal()}")
            time.sleep(0.05)

    def journal(self) -> str:
        return self.ended("journalctl", "--no-pager", "--lines=60", "--unit=gscd").stdout

    def show(self, what: str) -> str:
        """A property of the unit, as systemd has it."""
        return self.run("systemctl", "show", "--value", f"--property={what}", "gscd.service")

    def await_boot(self) -> None:
        self.wait_until("systemd has started everything", self._up)

    def reboot(self) -> None:
        before = self._init()
        self.run("systemctl", "reboot", check=False)
        self.wait_until("the machine goes down", lambda: self._init() != before)
        self.await_boot()

    def _init(self) -> str:
        """Its process 1 as this machine sees it; "" while there is none."""
        try:
            return (self.folder / "init").read_text().strip()
        except FileNotFoundError:
            return ""

    def _up(self) -> bool:
        if not self._init():
            return False
        return self.ended("systemctl", "is-system-running").stdout.strip() in ("running", "degraded")


def reason_not_to() -> str:
    """Why no such machine can be had here; "" if it can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "needs root on Linux"
    missing = [tool for tool in TOOLS if shutil.which(tool, path=PATH) is None]
    if missing or not Path("/lib/systemd/systemd").exists():
        return f"needs systemd and {', '.join(missing) or 'nothing else'}"
    words = ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "sh", "-c"]
    layers = "lowerdir=/,upperdir=/mnt/u,workdir=/mnt/w"
    tried = f"mount -t tmpfs t /mnt && mkdir /mnt/u /mnt/w && mount -t overlay -o {layers} o /mnt"
    ended = subprocess.run([*words, tried], capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        return f"needs namespaces and overlays: {ended.stderr.strip()}"
    return "" if os.access("/sys/fs/cgroup", os.W_OK) else "needs cgroups that may be written"


def give_python(files: Path) -> Path:
    """The Python of this test, as found over there; one in a home folder, which the unit does not see, is copied."""
    prefix, name = Path(sys.base_prefix), f"python{sys.version_info.major}.{sys.version_info.minor}"
    if prefix.parts[1] not in ("root", "home"):
        return prefix / "bin" / name
    leave_out = shutil.ignore_patterns("test", "tests", "site-packages", "idlelib", "tkinter", "lib2to3", "config-*")
    shutil.copytree(prefix / "lib" / name, files / "opt/python/lib" / name, ignore=leave_out)
    for library in (prefix / "lib").glob("libpython*.so*"):
        shutil.copy(library, files / "opt/python/lib")
    (files / "opt/python/bin").mkdir()
    shutil.copy(prefix / "bin" / name, files / "opt/python/bin")
    return Path("/opt/python/bin", name)


def needed(name: str) -> Iterator[importlib.metadata.Distribution]:
    """The packages that a package needs, and those that they need."""
    seen: set[str] = set()
    wanted = [name]
    while wanted:
        distribution = importlib.metadata.distribution(wanted.pop())
        for text in distribution.requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is not None and not any(marker.evaluate({"extra": extra}) for extra in ("", "binary")):
                continue  # psycopg[binary] is the only extra that gscd asks for
            if requirement.name not in seen:
                seen.add(requirement.name)
                wanted.append(requirement.name)
                yield importlib.metadata.distribution(requirement.name)


def copy_program(packages: Path) -> None:
    """What pip would put there: gscd of this checkout and the packages it needs, from those that run this test."""
    for distribution in needed("gscd"):
        for file in distribution.files or ():
            source, target = Path(str(distribution.locate_file(file))), packages / file
            if ".." not in file.parts and source.exists() and "__pycache__" not in file.parts:
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(source, target)
    shutil.copytree(CHECKOUT / "gsc_daemon", packages / "gsc_daemon", ignore=shutil.ignore_patterns("__pycache__"))


def make_files(files: Path) -> None:
    """What lies over / at the first start: the checkout, and a virtual environment as it is after pip."""
    checkout = files / "opt/checkout"
    for name in ("scripts", "systemd", "gsc_daemon"):
        shutil.copytree(CHECKOUT / name, checkout / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.cfg", "pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(CHECKOUT / name, checkout)
    venv = files / "opt/gscd/venv"
    python = give_python(files)
    (venv / "bin").mkdir(parents=True)
    (venv / "bin/python").symlink_to(python)
    (venv / "pyvenv.cfg").write_text(f"home = {python.parent}\n")
    packages = venv / f"lib/{python.name}/site-packages"
    copy_program(packages)
    gscd = venv / "bin/gscd"
    start = "from gsc_daemon.cli import main; main()"
    gscd.write_text(f"#!/bin/sh\nLD_LIBRARY_PATH=/opt/python/lib exec /opt/gscd/venv/bin/python -c '{start}' \"$@\"\n")
    gscd.chmod(0o755)
    # Nothing can be fetched there, and all is there already.
    (packages / "pip").mkdir()
    (packages / "pip/__main__.py").write_text("")
    masked = files / "etc/systemd/system"
    masked.mkdir(parents=True)
    for unit in MASKED:
        (masked / unit).symlink_to("/dev/null")
    for path in (files, files / "opt", files / "etc", masked.parent, masked):
        path.chmod(0o755)


@contextmanager
def booted() -> Iterator[Machine]:
    """It is up; it dies with this process, whatever becomes of that."""
    reason = reason_not_to()
    if reason:
        pytest.skip(reason)
    folder = Path(tempfile.mkdtemp(prefix="gscd-machine-"))
    make_files(folder / "files")
    guard = subprocess.Popen(["/bin/sh", str(HERE / "systemd_machine.sh"), str(folder)], stdin=subprocess.PIPE)
    try:
        machine = Machine(folder)
        machine.await_boot()
        yield machine
    finally:
        assert guard.stdin is not None
        guard.stdin.close()
        guard.wait(timeout=30)
