"""Beside the way of the data: one private server process in a folder of its own, gone when its starter is gone.

A shell script (``guard.sh``) waits on a pipe that only the starter holds open. When the starter ends, be it by SIGKILL,
the script kills the server and removes the folder.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil

from gsc_daemon.errors import Unavailable
from gsc_daemon.servers.programs import Program

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0
SOCKET_ROOM: Final = 60  # a Unix socket's path ends at 107 bytes (104 on macOS), the folder's name included

# The shell notes its own pid and becomes the server: at no time does a server run whose pid the guard cannot read.
_LAUNCH: Final = 'echo $$ >pid && exec "$@"'
_GUARD: Final = Path(__file__).with_name("guard.sh")
# Whatever PATH, PGDATA or the like the starter has, the guard finds rm and the server only what we tell it.
_ENVIRONMENT: Final = {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

_pipes: set[int] = set()
_watching_forks = False


@dataclass(frozen=True, slots=True)
class Account:
    """Whom the server runs as when we are root, because Postgres refuses to be root."""

    uid: int
    gid: int

    def popen(self) -> dict[str, Any]:
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def can_reach(self, path: Path) -> bool:
        probe = subprocess.run(["/bin/sh", "-c", 'test -x "$1"', "sh", str(path)], cwd="/", check=False, **self.popen())
        return probe.returncode == 0


def server_account() -> Account | None:
    """``postgres`` or ``nobody`` if we are root, else None: whoever we are. Raises `Unavailable`."""
    if os.geteuid() != 0:
        return None
    for name in ("postgres", "nobody"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid)
    raise Unavailable("root may not run Postgres, and there is no user postgres or nobody", hint="Run this as a user")


class PrivateServer:
    """A folder (0700), its guard, and at most one server in it at a time.

    Args:
        program: what to run; copied into the folder if the server's account cannot reach it.
        stop_signal: what makes the server end tidily. guard_signal: what makes it end fast but leave nothing behind.
    """

    def __init__(self, program: Program, *, stop_signal: str, guard_signal: str) -> None:
        self._owner_pid = os.getpid()
        self._stop_signal = getattr(signal, f"SIG{stop_signal}")
        self._process: subprocess.Popen[bytes] | None = None
        self._account = server_account()
        self.folder = _make_folder(self._account)
        self._pipe, self._guard = _start_guard(self.folder, guard_signal)
        self.program = program.path
        if self._account is not None and not self._account.can_reach(program.path):
            self.program = self._copy(program)

    def _copy(self, program: Program) -> Path:
        copy = self.folder / "program"
        for part in filter(lambda part: (program.root / part).exists(), program.parts):
            source, target = program.root / part, copy / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("include"))
            else:
                shutil.copy2(source, target)
        for folder, _, _ in os.walk(copy):
            Path(folder).chmod(0o755)
        return copy / program.path.relative_to(program.root)

    @property
    def log(self) -> Path:
        """What the server has written."""
        return self.folder / "log"

    @property
    def pid(self) -> int | None:
        """The server's process, or None while it is stopped."""
        return None if self._process is None else self._process.pid

    def run(self, command: Sequence[str | Path]) -> None:
        """Run a command that ends by itself. Raises `Unavailable` with the end of the log if it fails."""
        process = self._launch(command)
        status = process.wait(START_SECONDS)
        self._forget_pid()
        if status != 0:
            raise self._failed(command[0], f"ended with status {status}")

    def start(self, command: Sequence[str | Path], is_ready: Callable[[int], bool]) -> None:
        """Start the server and wait until ``is_ready(pid)``. Raises `Unavailable` with the end of the log."""
        if self._process is not None:
            return
        process = self._process = self._launch(command)
        deadline = time.monotonic() + START_SECONDS
        while not is_ready(process.pid):
            status = process.poll()
            if status is not None:
                self._process = None
                self._forget_pid()
                raise self._failed(command[0], f"ended with status {status}")
            if time.monotonic() > deadline:
                self.kill()
                raise self._failed(command[0], f"was not ready after {START_SECONDS:.0f} s")
            time.sleep(0.01)

    def stop(self) -> None:
        """Let the server end tidily; it can be started again at the same address."""
        if self._process is None:
            return
        self.thaw()
        self._process.send_signal(self._stop_signal)
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return
        self._process = None
        self._forget_pid()

    def kill(self) -> None:
        """SIGKILL to all its processes at once, as a crash of the machine would; it can be started again."""
        if self._process is None:
            return
        self.freeze()  # so that the first process can neither replace nor warn the others
        children = self._children()
        for child in children:
            _signal(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        for child in children:
            _wait_gone(child)
        self._process = None
        self._forget_pid()

    def freeze(self) -> None:
        """SIGSTOP to all its processes: connections stay open and nothing answers."""
        if self._process is None:
            return
        self._process.send_signal(signal.SIGSTOP)
        for child in self._children():
            _signal(child, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let frozen processes go on."""
        if self._process is None:
            return
        for child in self._children():
            _signal(child, signal.SIGCONT)
        self._process.send_signal(signal.SIGCONT)

    def close(self) -> None:
        """Stop the server and remove its folder; nothing in a forked child, where it is not ours to stop."""
        if os.getpid() != self._owner_pid or self._pipe not in _pipes:
            return
        self.stop()
        _pipes.discard(self._pipe)
        os.close(self._pipe)
        self._guard.wait(STOP_SECONDS)

    def _launch(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                ["/bin/sh", "-c", _LAUNCH, "sh", *command],
                cwd=self.folder,
                env=_ENVIRONMENT,
                umask=0o077,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,  # Ctrl-C at the terminal is for us, not for the server
                **(self._account.popen() if self._account is not None else {}),
            )

    def _children(self) -> list[psutil.Process]:
        assert self._process is not None
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    def _forget_pid(self) -> None:
        """A pid that has been waited for may be anybody's next."""
        (self.folder / "pid").unlink(missing_ok=True)

    def _failed(self, program: str | Path, what: str) -> Unavailable:
        lines = self.log.read_text(errors="replace").splitlines()[-5:]
        return Unavailable(f"{Path(program).name} {what}: {' | '.join(lines)}")


@contextlib.contextmanager
def guarded_folder() -> Iterator[Path]:
    """A folder (0700) of our own for the length of the ``with`` block, gone however this process ends."""
    folder = Path(tempfile.mkdtemp(prefix="gscd-"))
    pipe, guard = _start_guard(folder, "KILL")
    try:
        yield folder
    finally:
        _pipes.discard(pipe)
        os.close(pipe)
        guard.wait(STOP_SECONDS)


def _make_folder(account: Account | None) -> Path:
    """A new folder for the server alone, where its account can reach it and its socket's path is short enough."""
    for base in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):  # noqa: S108
        if len(os.fsencode(base)) <= SOCKET_ROOM and (account is None or account.can_reach(base)):
            folder = Path(tempfile.mkdtemp(prefix="gscd-", dir=base))
            if account is not None:
                os.chown(folder, account.uid, account.gid)
            return folder
    raise Unavailable("no temporary folder is fit for a server's socket", hint="Set TMPDIR to a short path")


def _start_guard(folder: Path, guard_signal: str) -> tuple[int, subprocess.Popen[bytes]]:
    global _watching_forks
    reading, writing = os.pipe()
    _pipes.add(writing)
    if not _watching_forks:
        os.register_at_fork(after_in_child=_close_pipes)
        _watching_forks = True
    guard = subprocess.Popen(
        ["/bin/sh", _GUARD, folder, guard_signal],
        cwd="/",
        env=_ENVIRONMENT,
        stdin=reading,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    os.close(reading)
    return writing, guard


def _close_pipes() -> None:
    """In a forked child: only the starter's end counts, so a worker that outlives it must not hold the pipe."""
    while _pipes:
        os.close(_pipes.pop())


def _signal(process: psutil.Process, number: signal.Signals) -> None:
    try:
        process.send_signal(number)
    except psutil.NoSuchProcess:
        return


def _wait_gone(process: psutil.Process) -> None:
    deadline = time.monotonic() + STOP_SECONDS
    try:
        # A zombie holds nothing any more, and in a container nobody may ever collect it.
        while process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
            if time.monotonic() > deadline:
                raise Unavailable(f"process {process.pid} does not die of SIGKILL")
            time.sleep(0.005)
    except psutil.NoSuchProcess:
        return
