"""`gscd sync` and `gscd cancel`: what is asked for lands in a real ledger, once, and it is said who does it."""

from __future__ import annotations

import datetime as dt
import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import ledger_work
import pytest

from gsc_daemon import plan
from gsc_daemon.cli import waiting, work
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.model import Day

SITE = "sc-domain:example.com"
TODAY = pacific_today(SystemClock())
LAST = TODAY - dt.timedelta(days=10)
FIRST = LAST - dt.timedelta(days=4)
RANGE = ("sync", "range", "--from", str(FIRST), "--to", str(LAST))
DAYS = 5 * 2  # dates × reports

Gscd = Callable[..., object]


def process(folder: Path, *words: str, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "gsc_daemon", "--config", str(folder / "gscd.toml"), *words]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def pending(folder: Path, report: str = "query_page", search_type: str = "web") -> frozenset[dt.date]:
    with ledger_work.opened(folder) as ledger:
        return ledger.pending_days(SITE, report, search_type)


def test_days_are_put_into_a_new_ledger_and_nobody_does_them_yet(gscd: Gscd, folder: Path) -> None:
    said = gscd(*RANGE)
    assert (said.code, said.out) == (0, "")
    assert said.err == (
        f"{DAYS} days new, 0 wanted again, 0 there already ({SITE})\n"
        "no daemon runs; `systemctl start gscd` or `gscd run --until-idle` does them\n"
    )
    assert pending(folder) == pending(folder, "totals") == frozenset(plan.dates(FIRST, LAST))


def test_the_same_days_twice_are_one_and_by_force_another_generation(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    assert gscd(*RANGE).err == f"0 days new, 0 wanted again, {DAYS} there already ({SITE})\n"
    assert ledger_work.publish(folder) == DAYS
    assert gscd(*RANGE, "--json").data["already"] == DAYS
    forced = gscd(*RANGE, "--force", "--json").data
    assert (forced["new"], forced["again"], forced["already"]) == (0, DAYS, 0)
    assert len(pending(folder)) == 5


def test_json_stands_alone_on_stdout(gscd: Gscd) -> None:
    said = gscd(*RANGE, "--json")
    assert said.data == {
        "sites": [SITE], "first": str(FIRST), "last": str(LAST), "new": DAYS, "again": 0, "already": 0,
        "dry_run": False, "daemon": None, "waited": None,
    }  # fmt: skip


def test_yesterday_is_the_newest_final_day_and_its_date_is_data(gscd: Gscd, folder: Path) -> None:
    said = gscd("sync", "yesterday")
    date = plan.newest_final(TODAY)
    assert (said.code, said.out) == (0, f"{date}\n")
    assert pending(folder) == {date}


def test_yesterday_goes_by_what_google_has_told(gscd: Gscd, folder: Path) -> None:
    told = TODAY - dt.timedelta(days=6)
    with ledger_work.opened(folder) as ledger:
        ledger.ensure_sites([SITE])
        ledger.note_final(SITE, "web", told, 3600.0)
    assert gscd("sync", "yesterday").out == f"{told}\n"
    assert pending(folder) == {told}
    said = gscd("sync", "yesterday", "--search-type", "web", "--search-type", "image")
    assert said.out.splitlines() == [str(plan.newest_final(TODAY)), str(told)]


def test_recent_goes_up_to_today_and_leaves_what_is_there(gscd: Gscd, folder: Path) -> None:
    with ledger_work.opened(folder) as ledger:
        ledger.ensure_sites([SITE])
        ledger.seed("seed", 5, [ledger_work.receipt(Day(SITE, "query_page", "web", LAST))])
    assert gscd("sync", "recent", "--json").data["new"] > 0
    assert pending(folder) == set(plan.dates(LAST, TODAY)) - {LAST}


def test_a_large_plan_is_announced_and_wants_a_yes(gscd: Gscd, folder: Path) -> None:
    large = ("sync", "full-history", "--search-type", "web", "--search-type", "image")
    done = process(folder, *large, stdin=subprocess.DEVNULL)
    out, err = done.communicate(timeout=60)
    assert (done.returncode, out) == (2, "")
    dates = len(plan.dates(plan.oldest_kept(TODAY), TODAY))
    announced, refused = err.splitlines()
    assert announced.startswith(f"{dates * 4:,} days: up to {dates * 6:,} requests, about 3 minutes at the budget, and")
    assert refused == "gscd: this wants a yes, and there is no terminal to ask. Say --yes"
    assert not pending(folder)
    assert gscd(*large, "--yes", "--json").data["new"] == dates * 4
    again = gscd(*large)
    assert again.code == 0, "what is there already needs no announcement"


def test_a_dry_run_makes_nothing(gscd: Gscd, folder: Path) -> None:
    said = gscd(*RANGE, "--dry-run")
    assert said.code == 0
    assert said.err.startswith(
        f"{DAYS} days would be new, 0 wanted again, 0 there already ({SITE})\n{DAYS} days: up to"
    )
    assert not (folder / "ledger.db").exists()


def test_a_dry_run_foretells_what_is_there(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    ledger_work.publish(folder)
    wider = ("sync", "range", "--from", str(FIRST - dt.timedelta(days=2)), "--to", str(LAST), "--json")
    for force in ((), ("--force",)):
        foretold = gscd(*wider, "--dry-run", *force).data
        assert pending(folder) == frozenset()
        assert (foretold["new"], foretold["again"] or foretold["already"]) == (4, DAYS)
    done = gscd(*wider, "--force").data
    assert (done["new"], done["again"]) == (4, DAYS)


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        (LAST, FIRST, f"gscd: the range {LAST} to {FIRST} is reversed. Say --from {FIRST} --to {LAST}."),
        (FIRST, TODAY + dt.timedelta(days=1), "is in the future"),
        (plan.oldest_kept(TODAY) - dt.timedelta(days=1), LAST, "is older than the 16 months that Google keeps"),
        ("yesterday", LAST, "Invalid value for '--from': 'yesterday' is no date; write it like 2026-11-24"),
        ("2026-02-30", LAST, "'2026-02-30' is no date"),
    ],
)
def test_dates_that_cannot_be_are_refused(gscd: Gscd, folder: Path, first: object, last: object, said: str) -> None:
    got = gscd("sync", "range", "--from", str(first), "--to", str(last))
    assert (got.code, got.out) == (2, "")
    assert said in got.err
    assert got.err.count("\n") == 1
    assert not (folder / "ledger.db").exists()


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("sc-domain:exmaple.com", f"Did you mean {SITE}?"),
        ("https://www.example.com/", f"Did you mean {SITE}?"),
        ("sc-domain:other.org", "There are 1; `gscd sites` lists them"),
        ("nonsense", "is not a property as Google spells it"),
    ],
)
def test_a_site_that_is_not_synced_is_refused_with_the_nearest(gscd: Gscd, typed: str, said: str) -> None:
    got = gscd("sync", "yesterday", "--site", typed)
    assert (got.code, got.out) == (2, "")
    assert said in got.err


def test_a_site_in_another_spelling_is_taken_for_what_it_is(gscd: Gscd) -> None:
    assert gscd(*RANGE, "--site", "SC-Domain:Example.com", "--json").data["sites"] == [SITE]


def test_search_types_of_the_command_go_before_those_of_the_settings(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE, "--search-type", "image", "--search-type", "news", "--search-type", "image")
    assert len(pending(folder, search_type="image")) == len(pending(folder, search_type="news")) == 5
    assert not pending(folder)
    assert gscd(*RANGE, "--search-type", "pictures").code == 2


def test_it_is_said_whether_a_daemon_is_there(gscd: Gscd, daemon: Gscd, folder: Path) -> None:
    running = daemon()
    assert f"the daemon (pid {running.pid}) does them" in gscd(*RANGE).err
    gscd("halt", "--wait")
    said = gscd("sync", "yesterday").err
    assert f"the daemon (pid {running.pid}) is halted; `gscd resume` has it do them" in said


def test_wait_is_over_when_the_days_are_published(gscd: Gscd, daemon: Gscd, folder: Path) -> None:
    daemon()
    waiting_process = process(folder, *RANGE, "--wait", "--json")
    deadline = time.monotonic() + 30
    while not (folder / "ledger.db").exists() or not pending(folder):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert waiting_process.poll() is None
    ledger_work.publish(folder)
    out, _ = waiting_process.communicate(timeout=30)
    assert waiting_process.returncode == 0
    assert json.loads(out)["waited"] == {
        "published": DAYS, "quarantined": 0, "parked": 0, "left": 0, "stopped": "", "exit_code": 0,
    }  # fmt: skip


def test_recent_waits_for_what_is_on_its_way_already(gscd: Gscd, folder: Path) -> None:
    asked = gscd("sync", "recent", "--json").data["new"]
    gscd("sites", "park", SITE)
    said = gscd("sync", "recent", "--wait", "--json")
    assert (said.data["new"], said.data["waited"]["parked"], said.code) == (0, asked, 75)


def test_wait_exits_1_for_quarantine(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    ledger_work.quarantine(folder)
    said = gscd(*RANGE, "--wait")
    assert said.code == 1
    assert said.err.endswith(f"0 days published, {DAYS} in quarantine (`gscd status` says why)\n")


def test_wait_exits_75_for_parked_sites(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    gscd("sites", "park", SITE)
    said = gscd(*RANGE, "--wait")
    assert said.code == 75
    assert said.err.endswith(f"0 days published, {DAYS} of parked sites (`gscd sites` says why)\n")


def test_wait_exits_75_when_halted(gscd: Gscd, folder: Path) -> None:
    gscd("halt")
    said = gscd(*RANGE, "--wait", "--json")
    assert (said.code, said.data["waited"]["stopped"]) == (75, "halted; `gscd resume` goes on")


def test_wait_exits_75_when_no_daemon_comes(gscd: Gscd, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "DAEMON_PATIENCE", 0.0)
    said = gscd(*RANGE, "--wait")
    assert said.code == 75
    assert said.err.endswith(f"0 days published, {DAYS} left; no daemon runs; `systemctl start gscd` goes on\n")


def test_an_interrupted_wait_exits_130_and_the_days_stay(gscd: Gscd, daemon: Gscd, folder: Path) -> None:
    daemon()
    waiting_process = process(folder, *RANGE, "--wait")
    assert waiting_process.stderr is not None
    assert f"{DAYS} days new" in waiting_process.stderr.readline()
    assert "does them" in waiting_process.stderr.readline()
    waiting_process.send_signal(signal.SIGINT)
    _, err = waiting_process.communicate(timeout=30)
    assert (waiting_process.returncode, err.strip()) == (130, "gscd: interrupted")
    assert len(pending(folder)) == 5


def test_a_ledger_that_stays_locked_exits_69(gscd: Gscd, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "PATIENCE", 0.1)
    gscd(*RANGE)
    holder = sqlite3.connect(folder / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        said = gscd("sync", "yesterday", "--json")
    finally:
        holder.close()
    assert (said.code, said.out) == (69, "")
    assert "has been locked by another process for 0.1 s" in said.err


def test_cancel_takes_back_what_is_chosen(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    said = gscd("cancel", "--site", SITE, "--from", str(LAST))
    assert (said.code, said.err) == (0, f"2 days of {SITE} from {LAST} cancelled\n")
    assert pending(folder) == set(plan.dates(FIRST, LAST)) - {LAST}
    assert gscd("cancel", "--json").data == {"cancelled": DAYS - 2, "leased": 0}
    assert pending(folder) == frozenset()
    assert gscd("cancel", "--from", str(LAST), "--to", str(FIRST)).code == 2
    assert gscd("cancel", "--site", "sc-domain:exmaple.com").code == 2


def test_cancel_says_what_still_finishes(gscd: Gscd, folder: Path) -> None:
    gscd(*RANGE)
    with ledger_work.opened(folder) as ledger:
        ledger_work.batch_of(ledger, 3)
    said = gscd("cancel")
    assert said.err == (f"{DAYS - 3} days cancelled\n3 items of all sites together are being fetched now and finish\n")


def test_cancel_without_a_ledger_says_how_to_begin(gscd: Gscd) -> None:
    said = gscd("cancel")
    assert said.code == 78
    assert said.err.startswith("gscd: there is no ledger FOLDER/ledger.db. `gscd sync recent` makes it")
