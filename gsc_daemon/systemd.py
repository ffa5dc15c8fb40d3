"""systemd: how the supervisor tells that it is ready, alive, reloading or stopping. sd_notify(3) by hand.

By hand since it is little, and the packages for it lose texts that are not Latin-1.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping
from typing import Final

PATIENCE: Final = 1.0  # seconds that a change of state may wait for a busy systemd; all else is dropped at once


class Notifier:
    """Speaks to the socket that systemd gave; without one, every word is False and costs nothing.

    Each method gives whether systemd has been told. Nothing is kept open, so it may live through a fork.
    """

    def __init__(self, environ: Mapping[str, str] = os.environ) -> None:
        address = environ.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self.watchdog_seconds = _watchdog_seconds(environ)
        self._ping_at = 0.0

    def ready(self) -> bool:
        """Start or reload is done."""
        return self._send("READY=1", PATIENCE)

    def reloading(self) -> bool:
        """A reload has begun; `ready` ends it. The time is what Type=notify-reload asks for."""
        return self._send(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}", PATIENCE)

    def stopping(self) -> bool:
        """The end has begun."""
        return self._send("STOPPING=1", PATIENCE)

    def status(self, text: str) -> bool:
        """One line for `systemctl status`."""
        return self._send("STATUS=" + " ".join(text.split()))

    def main_pid(self, pid: int) -> bool:
        """Which process is the service."""
        return self._send(f"MAINPID={pid}", PATIENCE)

    def watchdog(self) -> bool:
        """Alive. May be called as often as one likes: it is told twice in each watchdog interval."""
        now = time.monotonic()
        if self.watchdog_seconds is None or now < self._ping_at:
            return False
        told = self._send("WATCHDOG=1")
        if told:
            self._ping_at = now + self.watchdog_seconds / 2
        return told

    def _send(self, message: str, patience: float = 0.0) -> bool:
        if not self._address.startswith(("/", "\0")):
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as line:
            line.settimeout(patience)  # 0 does not block
            try:
                line.sendto(message.encode("utf-8", "replace"), self._address)
            except OSError:  # systemd is busy or being replaced; the caller goes on
                return False
        return True


def _watchdog_seconds(environ: Mapping[str, str]) -> float | None:
    """Seconds after which systemd kills a silent service; None if it does not watch this process."""
    microseconds, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not microseconds.isdecimal() or int(microseconds) == 0 or (pid and pid != str(os.getpid())):
        return None
    return int(microseconds) / 1_000_000
