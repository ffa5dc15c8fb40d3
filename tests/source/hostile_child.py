"""A process that fetches from a hostile API: `python hostile_child.py KEY_FILE URL TRANSPORT`.

Prints, as JSON, what became of one honest query, then of the hostile one, and by how many MB its memory rose meanwhile.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from source_scene import Inbox, fetch, make_query

from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import GscdError
from gsc_daemon.source import SearchConsole


def peak_mb() -> int:
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0]) // 1024


def main(key_file: str, url: str, transport: str) -> None:
    source = SearchConsole(Path(key_file), url, transport=transport, connections=4, deadline=60.0, clock=SystemClock())
    inbox = Inbox()
    said = []
    before = 0
    for number in (1, 2):
        fetch(source, inbox, [make_query(number)])
        result = inbox.one()
        said.append(str(result) if isinstance(result, GscdError) else f"{result.row_count} rows")
        before = before or peak_mb()
    sys.stdout.write(json.dumps({"said": said, "rose": peak_mb() - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
