"""What the tests of the command line share: settings in a folder, a run of a command, a process that acts as daemon."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gsc_daemon import cli

SETTINGS = """\
[ledger]
path = "ledger.db"
[halt]
file = "HALT"
[sync]
sites = ["sc-domain:example.com"]
[api]
credentials = "key.json"
"""

# Holds the daemon's file, stands still while the halt file is there, and writes each signal's name beside it.
DAEMON = """
import os, signal, sys, time
from pathlib import Path
from gsc_daemon import halt
from gsc_daemon.settings import fingerprints, load
folder, stubborn = Path(sys.argv[1]), sys.argv[2] == "stubborn"
settings = load(folder / "gscd.toml", {})
held = []
def heard(number, _):
    held.append(number)
    (folder / signal.Signals(number).name).touch()
for number in (signal.SIGUSR1, signal.SIGHUP):
    signal.signal(number, heard)
file = halt.DaemonFile(folder / "gscd.lock")
file.acquire("run-1", config=settings.file, settings=fingerprints(settings, "run-1"))
worker = {"slot": 0, "pid": os.getpid(), "state": "working", "site": "sc-domain:example.com"}
file.update(state="running", workers=[worker])
print("up", flush=True)
while os.getppid() == int(sys.argv[3]):
    halted = halt.present(settings.halt.file) or signal.SIGUSR1 in held
    state = "working" if stubborn or not halted else "halted"
    file.update(state="halted" if halted else "running", reason="test", workers=[{**worker, "state": state}])
    time.sleep(0.01)
"""


@dataclass(frozen=True)
class Said:
    """What a command answered."""

    code: int
    out: str
    err: str

    @property
    def data(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with settings that are good, and the environment of nobody."""
    for name in ("GSCD_CONFIG", "CREDENTIALS_DIRECTORY", "SUDO_USER", "GSCD_DEBUG"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "gscd.toml").write_text(SETTINGS)
    key = tmp_path / "key.json"
    key.write_text("{}")
    key.chmod(0o600)
    return tmp_path


@pytest.fixture
def gscd(folder: Path, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """`gscd --config FOLDER/gscd.toml WORDS…` in this process."""

    def run(*words: str) -> Said:
        capfd.readouterr()
        code = cli.run(["--config", str(folder / "gscd.toml"), *words])
        out, err = capfd.readouterr()
        return Said(code, out, err.replace(str(folder), "FOLDER"))

    return run


@pytest.fixture
def daemon(folder: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start a process that acts as the daemon of this folder."""

    @contextmanager
    def running(kind: str) -> Iterator[subprocess.Popen[str]]:
        import os

        command = [sys.executable, "-c", DAEMON, str(folder), kind, str(os.getpid())]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            try:
                assert process.stdout is not None
                assert process.stdout.readline() == "up\n"
                yield process
            finally:
                process.kill()

    with ExitStack() as stack:
        yield lambda kind="willing": stack.enter_context(running(kind))
