"""Demo, the stage: emulator, private Redis and Postgres, a settings file, and the real program as a child of this one.

Whatever ends this process, a SIGKILL too, ends all of it and removes its folders.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import psutil

from gsc_daemon import servers
from gsc_daemon.clock import OFFSET
from gsc_daemon.emulator import Emulator, EmulatorConfig
from gsc_daemon.errors import GscdError
from gsc_daemon.settings import Settings, load

_PR_SET_PDEATHSIG: Final = 1
LEAVE_SECONDS: Final = 10.0  # for killed processes to be gone
LOG_LINES: Final = 3  # of the daemon's log, told when it fails
# What another service manager or shell has set for a gscd of its own.
_FOREIGN: Final = ("CREDENTIALS_DIRECTORY", "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "JOURNAL_STREAM")


@dataclass(frozen=True)
class Stage:
    """All that is needed to run gscd for real, and nothing of which outlives the ``with`` block.

    Args:
        folder: of our own, 0700. site: the one property that is synced.
    """

    folder: Path
    site: str
    emulator: Emulator
    redis: servers.Redis
    postgres: servers.Postgres

    @property
    def config(self) -> Path:
        """The settings file."""
        return self.folder / "gscd.toml"

    @property
    def key(self) -> Path:
        """The service account's key file."""
        return self.folder / "key.json"

    @cached_property
    def credential(self) -> str:
        """The name of the credential in budget scopes and in the ledger."""
        return str(json.loads(self.key.read_text())["client_email"])

    @property
    def log(self) -> Path:
        """What the daemon says."""
        return self.folder / "daemon.log"

    @cached_property
    def settings(self) -> Settings:
        """The settings in force."""
        return load(self.config, {})

    def gscd(self, *words: str) -> str:
        """Run a command of the program to its end; gives its stdout. Raises `GscdError` if it fails."""
        done = subprocess.run(
            self._command(words), capture_output=True, text=True, env=_environment(), stdin=subprocess.DEVNULL
        )
        if done.returncode != 0:
            said = done.stderr.strip().rpartition("\n")[2]
            raise GscdError(f"`gscd {' '.join(words)}` exited with {done.returncode}: {said}")
        return done.stdout

    @contextlib.contextmanager
    def daemon(self, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """``gscd run WORDS…`` as a child; killed with all of its own at the end of the block, if it still runs."""
        parent = os.getpid()
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                self._command(("run", *words)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
                start_new_session=True,  # Ctrl-C at the terminal is for us
                preexec_fn=lambda: _die_with(parent),
            )
        try:
            yield process
        finally:
            family = relatives(process.pid)
            process.kill()
            process.wait()
            psutil.wait_procs(family, timeout=LEAVE_SECONDS)

    def failed(self, process: subprocess.Popen[bytes]) -> GscdError:
        """What to raise for a daemon that left too early."""
        return GscdError(f"the daemon exited with {process.returncode}: {self.last_words}")

    @property
    def last_words(self) -> str:
        """The end of what the daemon has said, in one line; its log goes with the stage."""
        lines = self.log.read_text(errors="replace").splitlines()[-LOG_LINES:]
        return " | ".join(lines) or "it said nothing"

    def _command(self, words: tuple[str, ...]) -> list[str]:
        return [sys.executable, "-m", "gsc_daemon", "--config", str(self.config), *words]


@contextlib.contextmanager
def stage(config: EmulatorConfig, **sections: dict[str, Any]) -> Iterator[Stage]:
    """A stage for the length of the block. Raises `Unavailable` with what to install.

    Args:
        config: what the emulator serves; its first site is synced.
        sections: settings beyond those that the stage needs itself, such as ``workers={"batch_size": 5}``.
    """
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(servers.guarded_folder())
        redis = stack.enter_context(servers.redis(private=True))
        postgres = stack.enter_context(servers.postgres(private=True))
        emulator = stack.enter_context(Emulator(config, folder))
        made = Stage(folder, config.sites[0].site_url, emulator, redis, postgres)
        emulator.service_account_file(made.key)
        made.config.write_text(_settings(made, sections), encoding="utf-8")
        yield made


def _settings(made: Stage, sections: dict[str, dict[str, Any]]) -> str:
    own: dict[str, dict[str, Any]] = {
        "ledger": {"path": str(made.folder / "ledger.db")},
        "halt": {"file": str(made.folder / "HALT")},
        "api": {"endpoint": made.emulator.url, "credentials": str(made.key)},
        "rate_limit": {"storage": made.redis.url},
        "sink": {"dsn": made.postgres.dsn},
        "sync": {"sites": [made.site], "every": ""},
        "telemetry": {"listen": ""},
    }
    lines = []
    for section in own.keys() | sections.keys():
        lines.append(f"[{section}]")
        # JSON's texts, numbers and lists are TOML's as well.
        lines += [
            f"{key} = {json.dumps(value)}" for key, value in (own.get(section, {}) | sections.get(section, {})).items()
        ]
    return "\n".join(lines) + "\n"


def _environment() -> dict[str, str]:
    """This process's, without what would change the settings or speak to another service manager."""
    return {
        name: value
        for name, value in os.environ.items()
        if name == OFFSET or not (name.startswith("GSCD_") or name in _FOREIGN)
    }


def _die_with(parent: int) -> None:
    """In the child before it becomes the daemon: be killed when the process that started it is gone."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def relatives(pid: int) -> list[psutil.Process]:
    """A process and all its children that live."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []
