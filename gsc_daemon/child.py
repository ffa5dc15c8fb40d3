"""The child's end of the line to the supervisor: orders come down, words and beats go up, one JSON object a line."""

from __future__ import annotations

import ctypes
import faulthandler
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

from gsc_daemon import failpoint

_PR_SET_PDEATHSIG: Final = 1
IGNORED: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGPIPE)

Message = dict[str, Any]


class Child:
    """One forked process as it sees itself.

    Args:
        role: ``coordinator``, ``reporter`` or ``worker``. slot: from 0, its place among its kind.
        halted: whether the daemon was halted when it was forked.
    """

    def __init__(self, role: str, slot: int, line: socket.socket, parent: int, *, halted: bool) -> None:
        self.role, self.slot, self.halted = role, slot, halted
        self.draining = self.quitting = False
        self._line, self._parent = line, parent
        self._said: Message = {}
        self._partial = b""
        self._saying = threading.Lock()

    def settle(self) -> None:
        """After the fork: die with the supervisor, leave its signals alone, dump stacks on SIGABRT."""
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != self._parent:
            os._exit(0)
        signal.set_wakeup_fd(-1)
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        faulthandler.enable(sys.stderr)

    def listen(self, on_order: Callable[[Message], None]) -> None:
        """Hear orders in a thread of their own, so that a halt is heard while the main thread is busy."""
        threading.Thread(target=self._hear, args=(on_order,), name="orders", daemon=True).start()

    def _hear(self, on_order: Callable[[Message], None]) -> None:
        while True:
            for order in self.orders(None):
                on_order(order)

    def orders(self, timeout: float | None) -> Iterator[Message]:
        """Orders that came within ``timeout`` seconds; flags are set before each is given. Leaves with the parent."""
        self._line.settimeout(timeout)
        try:
            received = self._line.recv(65536)
            failpoint.hit("order.heard", OSError)
        except (TimeoutError, BlockingIOError):
            return
        except OSError:
            received = b""
        if not received:
            os._exit(0)
        *lines, self._partial = (self._partial + received).split(b"\n")
        for line in lines:
            order: Message = json.loads(line)
            self._obey(order["do"])
            yield order

    def _obey(self, word: str) -> None:
        match word:
            case "halt":
                self.halted = True
            case "go":
                self.halted = False
            case "drain":
                self.draining = True
            case "quit":
                self.quitting = True
            case "stacks":
                faulthandler.dump_traceback(sys.stderr, all_threads=True)

    def say(self, word: str, **fields: Any) -> None:
        """Tell the supervisor; a supervisor that is gone takes this process with it anyway."""
        line = json.dumps({"say": word, **fields}).encode() + b"\n"
        with self._saying:
            try:
                failpoint.hit("word.before", OSError)
                self._line.sendall(line)
                failpoint.hit("word.after", OSError)
            except OSError:
                os._exit(0)

    def beat(self, state: str, site: str = "") -> None:
        """Alive, and what it is doing."""
        self.say("beat", state=state, site=site)
