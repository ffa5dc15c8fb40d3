"""`gscd status`: one verdict first, whatever is broken; exit 1 when a person is needed."""

from __future__ import annotations

import datetime as dt
import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import ledger_work
import pytest
from msgspec.structs import replace

from gsc_daemon import plan
from gsc_daemon.cli import status as command
from gsc_daemon.cli.statuslines import lines
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.model import QueueCounts, SiteProgress
from gsc_daemon.settings import Settings
from gsc_daemon.status import Facts, judge

SITE = "sc-domain:example.com"
LAST = plan.newest_final(pacific_today(SystemClock()))
RANGE = ("sync", "range", "--from", str(LAST - dt.timedelta(days=2)), "--to", str(LAST))
DAYS = 3 * 2

Gscd = Callable[..., object]


def test_before_anything_it_says_how_to_begin(gscd: Gscd) -> None:
    said = gscd("status")
    assert (said.code, said.err) == (0, "")
    assert said.out == (
        "No daemon is running, and there is no ledger FOLDER/ledger.db yet — "
        "type `gscd sync recent`, then `systemctl start gscd`\n"
    ).replace("FOLDER", str(Path(said.out.split("ledger ")[1].split("/ledger.db")[0])))


def test_work_without_a_daemon_needs_a_person(gscd: Gscd) -> None:
    gscd(*RANGE)
    said = gscd("status")
    assert said.code == 1
    assert said.out.startswith(f"No daemon is running, and {DAYS} days wait for one — type `systemctl start gscd`")


def test_a_daemon_at_work_is_shown_with_figures_and_sites(gscd: Gscd, daemon: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    running = daemon()
    with ledger_work.opened(folder) as ledger:
        batch = ledger_work.batch_of(ledger, 4)
        ledger.note_batch(1, batch.token, SITE, 4, 2.0, "ok")
    said = gscd("status")
    assert said.code == 0
    assert said.out.startswith(f"Working: 0 of {DAYS} days")
    text = " ".join(said.out.split())
    assert f"0 {running.pid} working {SITE}" in text
    assert f"days 0 of {DAYS} published" in text
    assert "2 days planned; items: 0 ready, 0 waiting, 4 leased in 1 batch, 0 in quarantine" in text
    assert "QPM 0 in 60 seconds, 0 in 5 minutes, 0 in 15 minutes; the budget is 960 of Google's 1,200" in text
    assert "batches 1 in the last hour: 2.00 s on average, 99% within 2.00 s" in text
    assert "formula 3 workers × 10 queries × 60 / 2.00 s a batch = 900 a minute, of 1,200 that Google allows" in text
    assert f"site published wanted oldest newest final left note {SITE} 0 {DAYS} - - - " in text


def test_quarantine_needs_a_person_and_shows_the_error(gscd: Gscd, daemon: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    daemon()
    ledger_work.quarantine(folder, "HTTP 400 badRequest")
    said = gscd("status")
    assert said.code == 1
    assert said.out.startswith(f"A person is needed: {DAYS} items in quarantine — see below why")
    assert f"  {SITE} {LAST} query_page web row 0 since " in said.out
    assert "HTTP 400 badRequest" in said.out


def test_a_halt_needs_a_person(gscd: Gscd, folder: Path) -> None:
    gscd("halt", "--reason", "moving")
    said = gscd("status")
    assert said.code == 1
    assert said.out.startswith("Halted since ")
    assert ": moving — type `gscd resume`\nalso: No daemon is running" in said.out


def test_a_locked_ledger_is_said_and_not_waited_for_long(
    gscd: Gscd, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "PATIENCE", 0.1)
    gscd(*RANGE)
    holder = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    holder.execute("PRAGMA locking_mode = EXCLUSIVE")
    holder.execute("BEGIN IMMEDIATE")
    try:
        said = gscd("status")
        assert said.code == 0 or "No daemon is running" in said.out
    finally:
        holder.close()


def test_a_damaged_ledger_is_said_with_the_way_out(gscd: Gscd, folder: Path) -> None:
    (folder / "ledger.db").write_bytes(b"not a database " * 1000)
    said = gscd("status")
    assert said.code == 1
    assert said.out.startswith(f"The ledger {folder}/ledger.db cannot be read: ")
    assert "gscd ledger rebuild" in said.out


def test_json_stands_alone_and_holds_what_is_shown(gscd: Gscd, daemon: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    daemon()
    ledger_work.quarantine(folder)
    said = gscd("status", "--json")
    assert (said.code, said.err) == (1, "")
    data = said.data
    assert (data["verdict"]["kind"], data["verdict"]["person"], data["person_needed"]) == ("quarantine", True, True)
    assert data["days"] == {"wanted": DAYS, "published": 0, "left": 0, "seconds_left": None}
    assert (data["queue"]["quarantined"], data["rate"]["budget"], data["rate"]["quota"]) == (DAYS, 960, 1200)
    assert [site["site"] for site in data["sites"]] == [SITE]
    assert len(data["quarantine"]) == DAYS
    assert data["daemon"]["state"] == "running"
    assert "settings" not in data["daemon"]


def test_it_asks_neither_redis_nor_postgres(folder: Path) -> None:
    """With both at addresses where nobody answers, and their drivers not even imported."""
    script = (
        "import sys\nfrom gsc_daemon import cli\n"
        f"cli.run(['--config', {str(folder / 'gscd.toml')!r}, 'status', '--json'])\n"
        "print(sorted({'psycopg', 'redis', 'limits', 'requests', 'google', 'psutil'} & set(sys.modules)),"
        " file=sys.stderr)\n"
    )
    with ledger_work.opened(folder):
        environ = {**os.environ, "GSCD_SINK__DSN": "postgresql://127.0.0.1:9/gsc"}
        done = subprocess.run(
            [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, env=environ
        )  # fmt: skip
    assert done.stderr == "[]\n"
    assert json.loads(done.stdout)["verdict"]["kind"] == "stopped"


def test_watch_goes_on_until_it_is_interrupted(folder: Path) -> None:
    import signal

    words = [sys.executable, "-m", "gsc_daemon", "--config", str(folder / "gscd.toml"), "status", "--watch", "--json"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for _ in range(2):
            assert json.loads(process.stdout.readline())["verdict"]["kind"] == "stopped"
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err.strip()) == (130, "gscd: interrupted")


def test_three_hundred_sites_are_counts_and_the_worst_ten() -> None:
    site = SiteProgress("", wanted=10, published=10, quarantined=0, oldest=LAST, newest=LAST)
    sites = [replace(site, site=f"sc-domain:s{number}.example") for number in range(300)]
    sites[7] = replace(sites[7], published=3, quarantined=2)
    sites[8] = replace(sites[8], published=3, parked="load quota", parked_until_ms=1_800_000_000_000)
    sites[9] = replace(sites[9], published=9)
    seen = Facts(1_800_000_000_000, Path("/l"), sites=sites, counts=QueueCounts(planned_days=1, quarantined=2))
    shown = list(lines(judge(seen, Settings())))
    summary = "300 sites: 297 complete, 2 under way, 1 parked, 1 with items in quarantine; the worst 10:"
    start = shown.index(summary)
    assert len(shown[start + 2 :]) == 10
    assert [line.split()[0] for line in shown[start + 2 : start + 5]] == [
        "sc-domain:s7.example", "sc-domain:s8.example", "sc-domain:s9.example",
    ]  # fmt: skip
    assert "2 in quarantine" in shown[start + 2]
    assert "parked until " in shown[start + 3]
