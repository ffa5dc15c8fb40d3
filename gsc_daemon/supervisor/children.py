"""The supervisor, its children: fork, talk, reap, kill. What a child says and how it ends is for `loop` to judge."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import selectors
import signal
import socket
import sys
import traceback
from collections.abc import Iterator, Sequence
from typing import Any, Final

from gsc_daemon import failpoint
from gsc_daemon.child import Child, Message
from gsc_daemon.clock import Clock
from gsc_daemon.errors import Exit, GscdError
from gsc_daemon.events import emit
from gsc_daemon.process import pid_start
from gsc_daemon.supervisor.slots import Role, Slot

BOOT_SECONDS: Final = 30.0  # from fork to a child's first word
FORK_RETRY: Final = 1.0
ABORT_SECONDS: Final = 2.0  # for the stacks of a hung child, then SIGKILL
WATCHED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGCHLD)


class Children:
    """A slot for each child that the roles want, and the lines to those who live.

    Args:
        selector: has each line registered, with its slot as data.
    """

    def __init__(self, roles: Sequence[Role], selector: selectors.BaseSelector, clock: Clock) -> None:
        self.roles: dict[str, Role] = {}
        self.slots: list[Slot] = []
        self.selector, self.clock = selector, clock
        self.arrange(roles)

    def arrange(self, roles: Sequence[Role]) -> None:
        """A slot for each child wanted; those beyond are not filled again."""
        self.roles = {role.name: role for role in roles}
        for role in roles:
            present = {slot.number for slot in self.slots if slot.role == role.name}
            self.slots += [Slot(role.name, number) for number in range(role.slots) if number not in present]
        self.slots = [slot for slot in self.slots if slot.pid or self.is_wanted(slot)]

    def is_wanted(self, slot: Slot) -> bool:
        """Whether the settings still have this place."""
        return slot.number < self.roles[slot.role].slots

    def living(self, role: str | None = None) -> list[Slot]:
        """Slots in which somebody sits."""
        return [slot for slot in self.slots if slot.pid and role in (None, slot.role)]

    # fork

    def fork_due(self, *, halted: bool) -> None:
        """Fill the empty slots whose time has come; nobody comes before the coordinator is ready."""
        now = self.clock.monotonic()
        coordinated = any(slot.ready for slot in self.slots if slot.role == "coordinator")
        for slot in self.slots:
            if slot.pid == 0 and now >= slot.fork_at and (coordinated or slot.role == "coordinator"):
                self._fork(slot, halted)

    def _fork(self, slot: Slot, halted: bool) -> None:
        """Signals stay blocked across the fork: one that lands before the child has set its own is not lost."""
        ours, theirs = socket.socketpair()
        role, parent = self.roles[slot.role], os.getpid()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, WATCHED)
        try:
            failpoint.hit("fork.before", BlockingIOError)
            pid = os.fork()
        except OSError as error:  # no memory or no process left for now
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            ours.close()
            theirs.close()
            slot.fork_at = self.clock.monotonic() + FORK_RETRY
            emit("worker.unforked", role=slot.role, slot=slot.number, reason=str(error))
            return
        if pid == 0:
            ours.close()
            self._become(role, Child(role.name, slot.number, theirs, parent, halted=halted))
        slot.started_ticks = pid_start(pid)
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        ours.setblocking(False)
        slot.pid, slot.line, slot.useful = pid, ours, False
        slot.forked_at = slot.beat_at = self.clock.monotonic()
        self.selector.register(ours, selectors.EVENT_READ, slot)
        failpoint.hit("fork.after")

    def _become(self, role: Role, child: Child) -> None:
        """In the child: never returns. No exit handler and no thread of a library holds up its end."""
        code = 1
        try:
            for slot in self.slots:
                if slot.line is not None:
                    slot.line.close()
            self.selector.close()
            child.settle()
            failpoint.hit("fork.child", OSError)
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

    # the lines

    def order(self, word: str, *, role: str | None = None, **fields: Any) -> None:
        """Tell every child (of a role)."""
        for slot in self.living(role):
            self.tell(slot, word, **fields)

    def tell(self, slot: Slot, word: str, **fields: Any) -> None:
        """Tell one child; one that has not listened for so long that its line is full is hung, and killed."""
        if slot.line is None:
            return
        try:
            failpoint.hit("order.before", OSError)
            slot.line.send(json.dumps({"do": word, **fields}).encode() + b"\n")
            failpoint.hit("order.after", OSError)
        except OSError as error:
            if error.errno in (errno.EAGAIN, errno.EWOULDBLOCK):
                slot.kill_at = slot.kill_at or self.clock.monotonic()

    def hear(self, slot: Slot) -> list[Message]:
        """What a child has said since; nothing when its line is closed, for then it is reaped soon."""
        if slot.line is None:
            return []
        try:
            received = slot.line.recv(65536)
        except OSError:
            return []
        if received:
            slot.beat_at = self.clock.monotonic()
        *lines, slot.partial = (slot.partial + received).split(b"\n")
        return [json.loads(line) for line in lines]

    # the end

    def reap(self) -> Iterator[tuple[Slot, int]]:
        """Slots whose child is dead, with its exit code (negative: the signal). Foreign children are left alone."""
        for slot in self.living():
            try:
                pid, status = os.waitpid(slot.pid, os.WNOHANG)
            except ChildProcessError:
                pid, status = slot.pid, int(Exit.PROBLEM) << 8
            if pid:
                yield slot, os.waitstatus_to_exitcode(status)

    def vacate(self, slot: Slot) -> None:
        """After its child was reaped."""
        if slot.line is not None:
            self.selector.unregister(slot.line)
            slot.line.close()
        slot.vacate(self.clock.monotonic())
        if not self.is_wanted(slot):
            self.slots.remove(slot)

    def enforce_deadlines(self) -> None:
        """Kill whoever should have left or stopped by now; have those write their stacks who are silent."""
        now = self.clock.monotonic()
        for slot in self.living():
            patience = self.roles[slot.role].stale_seconds if slot.ready else failpoint.patience(BOOT_SECONDS)
            if slot.kill_at is not None and now >= slot.kill_at:
                self._kill(slot)
            elif slot.kill_at is None and now - slot.beat_at > patience:
                self.abort(slot.pid, f"silent for more than {patience:.0f} s")

    def kill_later(self, role: str, at: float | None) -> None:
        """Give the children of a role until then; None: any time they like."""
        for slot in self.living(role):
            slot.kill_at = at

    def abort(self, pid: int, reason: str) -> None:
        """Have a hung child of ours write its stacks, then kill it; a pid that is not ours is left alone."""
        for slot in self.living():
            if slot.pid == pid and slot.kill_at is None:
                emit("worker.hung", role=slot.role, slot=slot.number, pid=pid, reason=reason)
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGABRT)
                slot.kill_at = self.clock.monotonic() + ABORT_SECONDS

    def _kill(self, slot: Slot) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(slot.pid, signal.SIGKILL)
        slot.kill_at = self.clock.monotonic() + ABORT_SECONDS
