"""Programs for the tests of forking and leaving: `python source_processes.py fork|leave KEY_FILE URL`."""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from source_scene import Inbox, fetch, make_query

from gsc_daemon.clock import SystemClock
from gsc_daemon.source import SearchConsole, check_credentials


def make(key_file: str, url: str) -> SearchConsole:
    return SearchConsole(Path(key_file), url, transport="parallel", connections=4, deadline=600.0, clock=SystemClock())


def fork(key_file: str, url: str) -> int:
    """As the daemon does it: checked before the fork, made after it; three processes fetch five days each."""
    check_credentials(Path(key_file))
    pids = []
    for _ in range(3):
        pid = os.fork()
        if pid:
            pids.append(pid)
            continue
        code = 1
        try:
            source, inbox = make(key_file, url), Inbox()
            fetch(source, inbox, [make_query(n) for n in range(5)])
            code = 0 if [response.row_count for response in inbox.take(5)] == [1] * 5 else 2
        except BaseException:  # noqa: BLE001 - a child ends here, whatever happens
            traceback.print_exc()
        finally:
            os._exit(code)
    return max(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)


def leave(key_file: str, url: str) -> int:
    """Ask for something that never comes, and leave when told to on standard input."""
    fetch(make(key_file, url), Inbox(), [make_query()])
    sys.stdin.readline()
    return 0


if __name__ == "__main__":
    sys.exit({"fork": fork, "leave": leave}[sys.argv[1]](*sys.argv[2:]))
