"""The supervisor: forks, reaps, restarts, forwards signals, talks to systemd. It has no threads and no connections.

Signal handlers only record; the loop acts. TERM and INT drain (a second one: at once), HUP reloads, USR1 halts,
USR2 has every process write its stacks to stderr.
"""

from __future__ import annotations

import contextlib
import errno
import faulthandler
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol

from gsc_daemon import halt
from gsc_daemon.child import Child, Message, pid_start
from gsc_daemon.clock import Clock
from gsc_daemon.errors import Exit, GscdError
from gsc_daemon.events import emit
from gsc_daemon.halt import DaemonFile
from gsc_daemon.systemd import Notifier

TICK: Final = 0.1  # seconds between looks at the halt file and the deadlines
BOOT_SECONDS: Final = 30.0  # from fork to a child's first word
DRAIN_SECONDS: Final = 15.0  # then what is leased goes back
QUIT_SECONDS: Final = 3.0  # from the order to SIGKILL
HALT_KILL_SECONDS: Final = 3.0  # a worker that has not stopped by then is killed; DESIGN allows 5 in all
ABORT_SECONDS: Final = 2.0  # for the stacks of a hung child, then SIGKILL
BACKOFF: Final = (0.1, 30.0)  # seconds until a slot is forked again, doubling with each early death
GIVE_UP: Final = (10, 60.0)  # deaths by their own fault within seconds before the daemon gives up
WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


@dataclass(frozen=True, slots=True)
class Role:
    """A kind of child.

    Args:
        run: its whole life after the fork; gives the exit code. stale_seconds: a child silent for longer is hung.
    """

    name: str
    run: Callable[[Child], int]
    slots: int
    stale_seconds: float


@dataclass(slots=True, eq=False)
class Slot:
    """A child's place: who sits there, and when the next may."""

    role: str
    number: int
    pid: int = 0
    started_ticks: int = 0
    line: socket.socket | None = None
    partial: bytes = b""
    forked_at: float = 0.0
    beat_at: float = 0.0
    state: str = "starting"
    site: str = ""
    ready: bool = False
    useful: bool = False  # has finished something: its death is no crash loop
    asked_to_leave: bool = False
    halted: bool = False
    kill_at: float | None = None
    early_deaths: int = 0
    fork_at: float = 0.0


@dataclass(slots=True)
class Ending:
    """Why and how the daemon stops."""

    code: int
    deadline: float
    at_once: bool = False
    fault: str = ""


class Reload(Protocol):
    """Reads the settings again; raises `GscdError` if they are bad, and then nothing changes."""

    def __call__(self) -> Sequence[Role]: ...


@dataclass(slots=True)
class Halting:
    """What holds the daemon still: a file, the ledger, a signal; and since when (monotonic seconds)."""

    file: bool = False
    ledger: bool = False
    signal: bool = False
    since: float = 0.0
    told: bool = False

    @property
    def on(self) -> bool:
        return self.file or self.ledger or self.signal


class Supervisor:
    """Runs the roles until it is told to stop; `run` gives the exit code."""

    def __init__(
        self,
        roles: Sequence[Role],
        *,
        daemon_file: DaemonFile,
        halt_file: Path,
        notifier: Notifier,
        clock: Clock,
        reload: Reload,
    ) -> None:
        self.roles: dict[str, Role] = {role.name: role for role in roles}
        self.daemon_file, self.halt_file, self.notifier = daemon_file, halt_file, notifier
        self.clock, self.reload = clock, reload
        self.slots: list[Slot] = []
        self.halting = Halting()
        self.ending: Ending | None = None
        self.crashes: deque[float] = deque()
        self.selector = selectors.DefaultSelector()
        self._signals: tuple[socket.socket, socket.socket] | None = None
        self._shown: dict[str, Any] = {}
        self._announced = False

    def run(self) -> int:
        """The loop. Gives the exit code of the daemon."""
        self._watch_signals()
        self._arrange_slots()
        emit("daemon.started", pid=os.getpid())
        while not (self.ending and not any(slot.pid for slot in self.slots)):
            for key, _ in self.selector.select(TICK):
                if key.data is None:
                    self._act_on_signals()
                else:
                    self._hear(key.data)
            self._look_at_halt_file()
            self._reap()
            self._enforce_deadlines()
            self._fork_due()
            self._tell_the_world()
        self._show("stopped")
        emit("daemon.stopping", reason=self.ending.fault or "asked to", code=self.ending.code)
        return self.ending.code

    # signals

    def _watch_signals(self) -> None:
        receiver, sender = socket.socketpair()
        receiver.setblocking(False)
        sender.setblocking(False)
        self._signals = (receiver, sender)
        for number in WATCHED:
            signal.signal(number, lambda *_: None)
        signal.set_wakeup_fd(sender.fileno(), warn_on_full_buffer=False)
        self.selector.register(receiver, selectors.EVENT_READ, None)

    def _act_on_signals(self) -> None:
        assert self._signals is not None
        try:
            numbers = self._signals[0].recv(4096)
        except BlockingIOError:
            return
        for number in numbers:
            match number:
                case signal.SIGTERM:
                    self._stop(Exit.OK)
                case signal.SIGINT:
                    self._stop(Exit.INTERRUPTED)
                case signal.SIGHUP:
                    self._reload()
                case signal.SIGUSR1:
                    self.halting.signal = True
                case signal.SIGUSR2:
                    faulthandler.dump_traceback(sys.stderr)
                    self._order("stacks")

    def _stop(self, code: int, *, fault: str = "", at_once: bool = False) -> None:
        """Drain; when already draining, or ``at_once``, give back what is leased and leave."""
        now = self.clock.monotonic()
        if self.ending is None and not at_once:
            self.ending = Ending(code, now + DRAIN_SECONDS, fault=fault)
            self.notifier.stopping()
            self._order("drain", role="worker")
            return
        if self.ending is None or not self.ending.at_once:
            self.notifier.stopping()
            first = self.ending
            self.ending = Ending(first.code if first else code, now, at_once=True, fault=fault)
            self._order("quit", role="worker")
            self._kill_later(now + QUIT_SECONDS, role="worker")

    def _reload(self) -> None:
        """HUP: read the settings; each child leaves after what it does now and is forked anew with them."""
        if self.ending:
            return
        self.notifier.reloading()
        try:
            roles = self.reload()
        except GscdError as error:
            emit("daemon.reloaded", ok=False, reason=str(error))
        else:
            self.roles = {role.name: role for role in roles}
            self._arrange_slots()
            for slot in self.slots:
                slot.asked_to_leave = bool(slot.pid)
                self._tell(slot, "drain" if slot.role == "worker" else "quit")
            emit("daemon.reloaded", ok=True, reason="")
        self.notifier.ready()

    def _arrange_slots(self) -> None:
        """A slot for each child wanted; those beyond are not filled again."""
        for role in self.roles.values():
            present = {slot.number for slot in self.slots if slot.role == role.name}
            self.slots += [Slot(role.name, number) for number in range(role.slots) if number not in present]
        self.slots = [slot for slot in self.slots if slot.pid or slot.number < self.roles[slot.role].slots]

    # children

    def _fork_due(self) -> None:
        if self.ending:
            self._wind_down()
            return
        now = self.clock.monotonic()
        coordinated = any(slot.ready for slot in self.slots if slot.role == "coordinator")
        for slot in self.slots:
            if slot.pid == 0 and now >= slot.fork_at and (coordinated or slot.role == "coordinator"):
                self._fork(slot)

    def _fork(self, slot: Slot) -> None:
        """Signals stay blocked across the fork: one that lands before the child has set its own is not lost."""
        ours, theirs = socket.socketpair()
        role, parent = self.roles[slot.role], os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._become(role, Child(role.name, slot.number, theirs, parent, halted=self.halting.on))
        started = pid_start(pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        ours.setblocking(False)
        now = self.clock.monotonic()
        early = slot.early_deaths
        fresh = Slot(slot.role, slot.number, pid, started, ours, forked_at=now, beat_at=now, early_deaths=early)
        self.slots[self.slots.index(slot)] = fresh
        self.selector.register(ours, selectors.EVENT_READ, fresh)

    def _become(self, role: Role, child: Child) -> None:
        """In the child: never returns. No exit handler and no thread of a library holds up its end."""
        code = 1
        try:
            for slot in self.slots:
                if slot.line is not None:
                    slot.line.close()
            self.selector.close()
            child.settle()
            code = role.run(child)
        except GscdError as error:
            child.say("fault", text=str(error))
            code = int(error.exit_code)
        except BaseException as error:  # noqa: BLE001 - told to the supervisor, and this process ends
            traceback.print_exc(file=sys.stderr)
            child.say("fault", text=f"{type(error).__name__}: {error}")
        finally:
            with contextlib.suppress(OSError, ValueError):
                sys.stderr.flush()
            os._exit(code)

    def _reap(self) -> None:
        for slot in list(self.slots):
            if slot.pid == 0:
                continue
            try:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = slot.pid, 1 << 8
            if pid:
                self._hear(slot)
                self._buried(slot, os.waitstatus_to_exitcode(status))

    def _buried(self, slot: Slot, code: int) -> None:
        """A child is dead: have its leases freed, and see when its place is filled again."""
        if slot.line is not None:
            self.selector.unregister(slot.line)
            slot.line.close()
            slot.line = None
        pid, slot.pid = slot.pid, 0
        slot.ready = False
        if slot.role == "worker":
            self._order("dead", role="coordinator", pid=pid, pid_start=slot.started_ticks)
        wanted = slot.asked_to_leave or self.ending is not None
        now = self.clock.monotonic()
        slot.asked_to_leave = False
        slot.fork_at = now
        if code == Exit.CONFIG and not self.ending:
            self._stop(Exit.CONFIG, fault=self.daemon_file.fault, at_once=True)
        elif not wanted or code not in (0, -signal.SIGKILL):
            self._crashed(slot, pid, code, now)
        if slot.number >= self.roles[slot.role].slots:
            self.slots.remove(slot)

    def _crashed(self, slot: Slot, pid: int, code: int, now: float) -> None:
        how = signal.Signals(-code).name if code < 0 else f"exit {code}"
        emit("worker.crash", role=slot.role, slot=slot.number, pid=pid, how=how, uptime=round(now - slot.forked_at, 1))
        slot.early_deaths = 0 if slot.useful else slot.early_deaths + 1
        first, most = BACKOFF
        if slot.early_deaths and code != -signal.SIGKILL:
            slot.fork_at = now + min(most, first * 2 ** (slot.early_deaths - 1))
            self.crashes.append(now)
        limit, span = GIVE_UP
        while self.crashes and self.crashes[0] < now - span:
            self.crashes.popleft()
        if len(self.crashes) > limit and not self.ending:
            fault = f"{len(self.crashes)} crashes within {span:.0f} s, the last: {slot.role} by {how}"
            self.daemon_file.fault = self.daemon_file.fault or fault
            self._stop(Exit.PROBLEM, fault=fault, at_once=True)

    def _wind_down(self) -> None:
        """While ending: the others leave when the workers have."""
        assert self.ending is not None
        now = self.clock.monotonic()
        if any(slot.pid for slot in self.slots if slot.role == "worker"):
            if now > self.ending.deadline and not self.ending.at_once:
                self._stop(self.ending.code, fault=self.ending.fault, at_once=True)
            return
        for slot in self.slots:
            if slot.pid and not slot.asked_to_leave:
                slot.asked_to_leave = True
                self._tell(slot, "quit")
                slot.kill_at = now + QUIT_SECONDS

    # the line to the children

    def _order(self, word: str, *, role: str | None = None, **fields: Any) -> None:
        for slot in self.slots:
            if role in (None, slot.role):
                self._tell(slot, word, **fields)

    def _tell(self, slot: Slot, word: str, **fields: Any) -> None:
        if slot.line is None:
            return
        try:
            slot.line.send(json.dumps({"do": word, **fields}).encode() + b"\n")
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):  # it has not listened for long: hung
                slot.kill_at = slot.kill_at or self.clock.monotonic()

    def _hear(self, slot: Slot) -> None:
        if slot.line is None:
            return
        try:
            received = slot.line.recv(65536)
        except OSError:
            return
        *lines, slot.partial = (slot.partial + received).split(b"\n")
        for line in lines:
            self._heed(slot, json.loads(line))

    def _heed(self, slot: Slot, said: Message) -> None:
        slot.beat_at = self.clock.monotonic()
        match said["say"]:
            case "ready":
                slot.ready = True
                if self.halting.on and slot.role == "worker":
                    self._tell(slot, "halt")  # the order may have come between the fork and its listening
            case "beat":
                slot.state, slot.site = said["state"], said["site"]
                slot.halted = slot.state == "halted"
            case "useful":
                slot.useful = True
                slot.early_deaths = 0
            case "fault":
                self.daemon_file.fault = said["text"]
            case "kill":
                self._abort(said["pid"], said["reason"])
            case "halted_by_ledger":
                self.halting.ledger = said["on"]
            case "idle":
                if self.ending is None:
                    self._stop(said["code"])

    # halt

    def _look_at_halt_file(self) -> None:
        halting = self.halting
        if halting.signal:
            self._make_signal_last()
        halting.file = halt.present(self.halt_file)
        now = self.clock.monotonic()
        if halting.on and not halting.since:
            halting.since, halting.told = now, False
            self._order("halt")
            for slot in self.slots:
                slot.kill_at = slot.kill_at or (now + HALT_KILL_SECONDS if slot.role == "worker" and slot.pid else None)
            emit("daemon.halted", reason=self._halt_reason())
        elif not halting.on and halting.since:
            halting.since = 0.0
            for slot in self.slots:
                if slot.role == "worker":
                    slot.kill_at = None
            self._order("go")
            emit("daemon.resumed")
        if halting.since:
            self._await_stillness(now)

    def _make_signal_last(self) -> None:
        """USR1 is a halt like any other: to survive a restart it becomes the file as soon as the disk lets it."""
        try:
            halt.write(self.halt_file, "signal USR1", "signal")
        except GscdError as error:
            if not self.halting.since:
                emit("ledger.trouble", reason=f"the halt file cannot be written: {error}")
        else:
            self.halting.signal = False

    def _await_stillness(self, now: float) -> None:
        for slot in self.slots:
            if slot.role == "worker" and slot.halted:
                slot.kill_at = None
        if not self.halting.told and self._still():
            self.halting.told = True
            emit("halt.propagation", duration=round(now - self.halting.since, 3))

    def _still(self) -> bool:
        return all(slot.halted or not slot.pid for slot in self.slots if slot.role == "worker")

    def _halt_reason(self) -> str:
        state = halt.read(self.halt_file) if self.halting.file else None
        return state.reason if state else "the ledger says so" if self.halting.ledger else "signal USR1"

    # deadlines

    def _enforce_deadlines(self) -> None:
        now = self.clock.monotonic()
        for slot in self.slots:
            if not slot.pid:
                continue
            if slot.kill_at is not None and now >= slot.kill_at:
                self._kill(slot)
            elif slot.kill_at is None and now - slot.beat_at > self._patience(slot):
                self._abort(slot.pid, "silent for too long")

    def _patience(self, slot: Slot) -> float:
        return self.roles[slot.role].stale_seconds if slot.ready else BOOT_SECONDS

    def _kill_later(self, at: float, *, role: str) -> None:
        for slot in self.slots:
            if slot.role == role and slot.pid:
                slot.kill_at = at

    def _abort(self, pid: int, reason: str) -> None:
        """Have a hung child of ours write its stacks, then kill it; a pid that is not ours is left alone."""
        for slot in self.slots:
            if slot.pid == pid and slot.kill_at is None:
                emit("worker.hung", role=slot.role, slot=slot.number, pid=pid, reason=reason)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGABRT)
                slot.kill_at = self.clock.monotonic() + ABORT_SECONDS

    def _kill(self, slot: Slot) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.pid, signal.SIGKILL)
        slot.kill_at = self.clock.monotonic() + ABORT_SECONDS

    # what others see

    def _tell_the_world(self) -> None:
        ready = [slot.ready for slot in self.slots if slot.pid]
        if not self._announced and ready and all(ready) and len(ready) == len(self.slots):
            self._announced = True
            self.notifier.ready()
        if self.ending:
            self._show("draining")
        elif self.halting.since:
            self._show("halted" if self._still() else "halting")
        else:
            self._show("running" if self._announced else "starting")
        coordinator = next((slot for slot in self.slots if slot.role == "coordinator"), None)
        if coordinator is None or not coordinator.pid or self.clock.monotonic() - coordinator.beat_at < BOOT_SECONDS:
            self.notifier.watchdog()

    def _show(self, state: str) -> None:
        """The daemon file and systemd's status line, written only when they change."""
        workers = [
            {"slot": slot.number, "pid": slot.pid, "state": slot.state, "site": slot.site}
            for slot in self.slots
            if slot.role == "worker" and slot.pid
        ]
        reason = self._halt_reason() if self.halting.since else ""
        shown: Mapping[str, Any] = {"state": state, "reason": reason, "workers": workers}
        if shown != self._shown:
            if self._shown.get("state") != state:
                self.notifier.status(f"{state}: {reason}" if reason else state)
            self._shown = dict(shown)
            self.daemon_file.update(**shown)
