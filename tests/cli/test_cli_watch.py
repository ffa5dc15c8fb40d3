"""`gscd status --watch` on a terminal: fits, draws again only what has changed, and leaves the terminal as it was."""

from __future__ import annotations

import io
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from fcntl import ioctl
from pathlib import Path

import pytest
from msgspec.structs import replace

from gsc_daemon.cli.watch import Look, Painter, screen
from gsc_daemon.halt import DaemonView, WorkerView
from gsc_daemon.model import BatchStats, LeaseView, QueueCounts, SiteProgress
from gsc_daemon.settings import Settings
from gsc_daemon.status import Facts, Status, judge

NOW = 1_700_000_000_000
PLAIN = Look(colour=False, blocks=False)
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def seen(sites: int = 3, sent: int = 950) -> Status:
    worker = WorkerView(0, 4321, "working", "sc-domain:site0.example", NOW - 3000)
    one = SiteProgress("sc-domain:site0.example", 150, 60, 0, None, None)
    many = [replace(one, site=f"sc-domain:site{number}.example", published=number % 150) for number in range(sites)]
    many[-1] = replace(many[-1], quarantined=2)
    facts = Facts(
        NOW,
        Path("ledger.db"),
        daemon=DaemonView(locked=True, alive=True, pid=4320, state="running", workers=(worker,)),
        counts=QueueCounts(ready=600, waiting=10, leased=7, batches=1, quarantined=2),
        sites=many,
        sent=(sent, 5 * sent, 15 * sent),
        leases=[LeaseView(5, 1, 0, 4321, "sc-domain:site0.example", 7, 60.0)],
        batches=BatchStats(40, 400, 2.04, 3.95),
    )
    return judge(facts, Settings())


def drawn(status: Status, look: Look = PLAIN, width: int = 80, height: int = 24) -> list[str]:
    return screen(status, look, width=width, height=height, most_queued=1000)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (60, 12), (200, 50)])
@pytest.mark.parametrize("sites", [1, 300])
def test_it_fits_whatever_there_is(width: int, height: int, sites: int) -> None:
    lines = drawn(seen(sites), width=width, height=height)
    assert len(lines) < height
    assert max(map(len, lines)) <= width
    assert all(line.isprintable() for line in lines)


def test_it_shows_what_there_is() -> None:
    text = "\n".join(drawn(seen(300)))
    assert "950 a minute, of 960 (Google's quota: 1,200)" in text
    assert "610 of 1,000 items; 7 leased in 1 batch" in text
    assert re.search(r"worker 0 +working +3 seconds +7 items +sc-domain:site0\.example", text)
    assert "2.04 s on average, 99% within 3.95 s" in text
    assert re.search(r"and 29\d sites more", text)


def test_bars_are_as_long_as_their_share_and_coloured_only_if_wanted() -> None:
    look = Look(colour=True, blocks=True)
    assert ESCAPES.sub("", look.bar(0.5, 10)) == "█████░░░░░"
    assert look.bar(0.001, 10).count("█") == 1
    assert PLAIN.bar(2.0, 10) == "#" * 10
    assert PLAIN.bar(0.0, 10) == "." * 10
    assert not any("\x1b" in line for line in drawn(seen()))
    assert any("\x1b[31m" in line for line in drawn(seen(sent=1000), look)), "above the budget is red"


def test_only_what_has_changed_is_sent_over_the_line() -> None:
    out = io.StringIO()
    painter = Painter(out)
    painter.draw(["one", "two", "three"], (80, 24))
    out.truncate(0)
    painter.draw(["one", "2"], (80, 24))
    assert out.getvalue().lstrip("\0") == "\x1b[2;1H\x1b[2K2\x1b[3;1H\x1b[2K"
    out.truncate(0)
    painter.draw(["one", "2"], (90, 24))
    assert "one" in out.getvalue()


def test_on_a_real_terminal(folder: Path) -> None:
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ |= {"TERM": "xterm", "LC_ALL": "C.UTF-8", "PYTHONIOENCODING": "utf-8"}
        words = ["-m", "gsc_daemon", "--config", str(folder / "gscd.toml"), "status", "--watch"]
        os.execv(sys.executable, [sys.executable, *words])
    ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    said = _read_until(terminal, "there is no ledger")
    os.kill(pid, signal.SIGINT)
    said += _read_until(terminal, "\x1b[?1049l")
    assert said.startswith("\x1b[?1049h")
    assert "Traceback" not in said
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 130


def _read_until(terminal: int, words: str) -> str:
    said, until = "", time.monotonic() + 30
    while words not in said:
        assert time.monotonic() < until, said
        if select.select([terminal], [], [], 0.2)[0]:
            said += os.read(terminal, 65_536).decode()
    return said
