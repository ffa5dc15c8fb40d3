"""Emulator, process: the child of `Emulator`: settings come on stdin, the port goes out on stdout."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import sys
from typing import Final

from gsc_daemon.emulator.config import EmulatorConfig, from_json
from gsc_daemon.emulator.server import serve

_PR_SET_PDEATHSIG: Final = 1


def _ready(port: int) -> None:
    print(port, flush=True)  # noqa: T201 - this is how the parent hears it


def main() -> None:
    """Die with the parent, whatever becomes of it; serve."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    given = json.load(sys.stdin)
    if os.getppid() != given["parent"]:
        return
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is for the parent
    secret = bytes.fromhex(given["secret"])
    config = from_json(EmulatorConfig, given["config"])
    with contextlib.suppress(KeyboardInterrupt):
        serve(config, given["host"], given["port"], accounts=given["accounts"], secret=secret, ready=_ready)


if __name__ == "__main__":
    main()
