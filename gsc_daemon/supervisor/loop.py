"""The supervisor, its loop. Signal handlers only record; the loop acts.

TERM and INT drain (a second one: at once), HUP reloads, USR1 halts, USR2 has every process write its stacks to stderr.
"""

from __future__ import annotations

import faulthandler
import os
import selectors
import signal
import socket
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from gsc_daemon import __version__, failpoint, halt
from gsc_daemon.child import Message
from gsc_daemon.clock import Clock
from gsc_daemon.errors import Exit, GscdError
from gsc_daemon.events import emit
from gsc_daemon.halt import DaemonFile
from gsc_daemon.supervisor.children import BOOT_SECONDS, WATCHED, Children
from gsc_daemon.supervisor.slots import Role, Slot
from gsc_daemon.systemd import Notifier

TICK: Final = 0.1  # seconds between looks at the halt file and the deadlines
DRAIN_SECONDS: Final = 15.0  # then what is leased goes back
QUIT_SECONDS: Final = 3.0  # from the order to SIGKILL
HALT_KILL_SECONDS: Final = 3.0  # a worker that has not stopped by then is killed; the design allows 5 in all
GIVE_UP: Final = (10, 60.0)  # deaths by their own fault within seconds before the daemon gives up
FROM_OUTSIDE: Final = (-signal.SIGKILL, Exit.UNAVAILABLE, Exit.TRY_AGAIN)  # ends that are no fault of the program

Reload = Callable[[], tuple[Sequence[Role], str]]


@dataclass(slots=True)
class Ending:
    """Why and how the daemon stops. deadline: monotonic seconds until which it drains."""

    code: int
    deadline: float
    at_once: bool = False
    fault: str = ""


@dataclass(slots=True)
class Halting:
    """What holds the daemon still: a file, the ledger, a signal; and since when (monotonic seconds, 0 for not)."""

    file: bool = False
    ledger: bool = False
    signal: bool = False
    since: float = 0.0
    told: bool = False

    @property
    def on(self) -> bool:
        """Whether anything does."""
        return self.file or self.ledger or self.signal


class Supervisor:
    """Runs the roles until it is told to stop.

    Args:
        reload: reads the settings again and gives the roles under them and what changed, in words; raises `GscdError`
            if they are bad, and then nothing changes.
    """

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
        self.daemon_file, self.halt_file, self.notifier = daemon_file, halt_file, notifier
        self.clock, self.reload = clock, reload
        self.selector = selectors.DefaultSelector()
        self.children = Children(roles, self.selector, clock)
        self.halting = Halting()
        self.ending: Ending | None = None
        self.crashes: deque[float] = deque()
        self._signals: tuple[socket.socket, socket.socket] | None = None
        self._shown: dict[str, Any] = {}
        self._announced = False

    def run(self) -> int:
        """The loop. Gives the exit code of the daemon."""
        self._watch_signals()
        if failpoint.armed():
            emit("daemon.failpoints")
        emit("daemon.started", pid=os.getpid(), version=__version__, run_id=self.daemon_file.run_id)
        while not (self.ending and not self.children.living()):
            for key, _ in self.selector.select(TICK):
                if key.data is None:
                    self._act_on_signals()
                else:
                    self._listen(key.data)
            self._look_at_halt()
            self._bury_the_dead()
            self.children.enforce_deadlines()
            if self.ending:
                self._wind_down(self.ending)
            else:
                self.children.fork_due(halted=self.halting.on)
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
        failpoint.hit("signal.received")
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
                    self.children.order("stacks")

    def _stop(self, code: int, *, fault: str = "", at_once: bool = False) -> None:
        """Drain; when already draining, or ``at_once``, give back what is leased and leave."""
        now = self.clock.monotonic()
        if self.ending is None and not at_once:
            self.ending = Ending(code, now + DRAIN_SECONDS, fault=fault)
            self.notifier.stopping()
            self.children.order("drain", role="worker")
        elif self.ending is None or not self.ending.at_once:
            self.notifier.stopping()
            first = self.ending
            self.ending = Ending(first.code if first else code, now, at_once=True, fault=fault)
            self.children.order("quit", role="worker")
            self.children.kill_later("worker", now + QUIT_SECONDS)

    def _reload(self) -> None:
        """HUP: read the settings; each child leaves after what it does now and is forked anew with them."""
        if self.ending:
            return
        self.notifier.reloading()
        try:
            roles, changed = self.reload()
        except GscdError as error:
            emit("daemon.reload_refused", reason=str(error))
        else:
            self.children.arrange(roles)
            for slot in self.children.living():
                slot.asked_to_leave = True
                self.children.tell(slot, "drain" if slot.role == "worker" else "quit")
            emit("daemon.reloaded", reason=changed)
        self.notifier.ready()

    # what children say, and their ends

    def _listen(self, slot: Slot) -> None:
        for said in self.children.hear(slot):
            self._heed(slot, said)

    def _heed(self, slot: Slot, said: Message) -> None:
        match said["say"]:
            case "ready":
                slot.ready = True
                if self.halting.on and slot.role == "worker":
                    self.children.tell(slot, "halt")  # the order may have come between the fork and its listening
            case "beat":
                slot.state, slot.site = said["state"], said["site"]
            case "useful":
                slot.useful = True
                slot.early_deaths = 0
            case "fault":
                self.daemon_file.fault = said["text"]
            case "kill":
                self.children.abort(said["pid"], said["reason"])
            case "halted_by_ledger":
                self.halting.ledger = said["on"]
            case "idle":
                if self.ending is None:
                    self._stop(said["code"], fault=said["reason"])

    def _bury_the_dead(self) -> None:
        for slot, code in self.children.reap():
            self._listen(slot)
            self._buried(slot, code)

    def _buried(self, slot: Slot, code: int) -> None:
        """A child is dead: have its leases freed, and see when its place is filled again."""
        pid, started, uptime = slot.pid, slot.started_ticks, self.clock.monotonic() - slot.forked_at
        wanted = slot.asked_to_leave or self.ending is not None
        blame = not (wanted or self.halting.on)
        self.children.vacate(slot)
        if slot.role == "worker":
            self.children.order("dead", role="coordinator", pid=pid, pid_start=started, blame=blame)
        if code == Exit.CONFIG and not self.ending:
            self._stop(Exit.CONFIG, fault=self.daemon_file.fault, at_once=True)
        elif not wanted or code not in (Exit.OK, -signal.SIGKILL):
            how = signal.Signals(-code).name if code < 0 else f"exit {code}"
            emit("worker.crash", role=slot.role, slot=slot.number, pid=pid, how=how, uptime=round(uptime, 1))
            self._crashed(slot, code, how)

    def _crashed(self, slot: Slot, code: int, how: str) -> None:
        """One that dies before it was useful waits longer each time; too many of those, and the daemon gives up."""
        now = self.clock.monotonic()
        slot.early_deaths = 0 if slot.useful else slot.early_deaths + 1
        if not slot.early_deaths:
            return
        slot.put_off(now, killed=code == -signal.SIGKILL)
        if code in FROM_OUTSIDE:
            return
        limit, span = GIVE_UP
        self.crashes.append(now)
        while self.crashes[0] < now - span:
            self.crashes.popleft()
        if len(self.crashes) > limit and not self.ending:
            fault = f"{len(self.crashes)} crashes within {span:.0f} s, the last: {slot.role} by {how}"
            self.daemon_file.fault = self.daemon_file.fault or fault
            self._stop(Exit.PROBLEM, fault=fault, at_once=True)

    def _wind_down(self, ending: Ending) -> None:
        """The others leave when the workers have."""
        now = self.clock.monotonic()
        if self.children.living("worker"):
            if now > ending.deadline and not ending.at_once:
                self._stop(ending.code, fault=ending.fault, at_once=True)
            return
        for slot in self.children.living():
            if not slot.asked_to_leave:
                slot.asked_to_leave = True
                self.children.tell(slot, "quit")
                slot.kill_at = now + QUIT_SECONDS

    # halt

    def _look_at_halt(self) -> None:
        halting = self.halting
        if halting.signal:
            self._make_signal_last()
        halting.file = halt.present(self.halt_file)
        now = self.clock.monotonic()
        if halting.on and not halting.since:
            halting.since, halting.told = now, False
            self.children.order("halt")
            for slot in self.children.living("worker"):
                slot.kill_at = slot.kill_at or now + HALT_KILL_SECONDS
            emit("daemon.halted", reason=self._halt_reason())
        elif not halting.on and halting.since:
            halting.since = 0.0
            if not (self.ending and self.ending.at_once):
                self.children.kill_later("worker", None)
            self.children.order("go")
            emit("daemon.resumed")
        if halting.since:
            self._await_stillness(now)

    def _make_signal_last(self) -> None:
        """USR1 is a halt like any other: to survive a restart it becomes the file as soon as the disk lets it."""
        try:
            halt.write(self.halt_file, "signal USR1", "signal")
        except GscdError as error:
            if not self.halting.since:
                emit("halt.unwritten", reason=str(error))
        else:
            self.halting.signal = False

    def _await_stillness(self, now: float) -> None:
        for slot in self.children.living("worker"):
            if slot.halted:
                slot.kill_at = None
        if not self.halting.told and self._still():
            self.halting.told = True
            emit("halt.propagation", duration=round(now - self.halting.since, 3))

    def _still(self) -> bool:
        return all(slot.halted for slot in self.children.living("worker"))

    def _halt_reason(self) -> str:
        state = halt.read(self.halt_file) if self.halting.file else None
        return state.reason if state else "the ledger says so" if self.halting.ledger else "signal USR1"

    # what others see

    def _tell_the_world(self) -> None:
        if not self._announced and all(slot.ready for slot in self.children.slots):
            self._announced = True
            self.notifier.ready()
        if self.ending:
            self._show("draining")
        elif self.halting.since:
            self._show("halted" if self._still() else "halting")
        else:
            self._show("running" if self._announced else "starting")
        silent = [slot for slot in self.children.living("coordinator") if self._silence(slot) > BOOT_SECONDS]
        if not silent:
            self.notifier.watchdog()

    def _silence(self, slot: Slot) -> float:
        return self.clock.monotonic() - slot.beat_at

    def _show(self, state: str) -> None:
        """The daemon file and systemd's status line, written only when they change."""
        workers = [
            {"slot": slot.number, "pid": slot.pid, "state": slot.state, "site": slot.site}
            for slot in self.children.living("worker")
        ]
        reason = self._halt_reason() if self.halting.since else ""
        shown: Mapping[str, Any] = {"state": state, "reason": reason, "workers": workers}
        if shown != self._shown:
            if self._shown.get("state") != state:
                self.notifier.status(f"{state}: {reason}" if reason else state)
            self._shown = dict(shown)
            self.daemon_file.update(**shown)
