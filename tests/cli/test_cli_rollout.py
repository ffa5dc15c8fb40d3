"""`gscd rollout`: one more worker only if everything recorded speaks for it; else it says what does not."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import ledger_work
import pytest
from msgspec.structs import replace

from gsc_daemon.cli.rollout import Recorded, judged
from gsc_daemon.emulator.process import service_account, write_secret
from gsc_daemon.halt import DaemonView
from gsc_daemon.model import BatchStats, Pace, QueueCounts, WorkerIdentity
from gsc_daemon.settings import Settings, WorkersSettings
from gsc_daemon.status import Facts, judge

NOW = 1_800_000_000_000
RUNNING = DaemonView(True, True, pid=42, state="running")
QUIET = Facts(NOW, Path("/l"), daemon=RUNNING)
STATUS = judge(QUIET, Settings())
GOOD = Recorded(STATUS, BatchStats(500, 5000, 1.0, 2.0), 0, Pace(), (300_000_000, 6))

Gscd = Callable[..., object]


def test_all_good_says_yes() -> None:
    assert [check.name for check in judged(GOOD, Settings()) if not check.good] == []


@pytest.mark.parametrize(
    ("recorded", "name", "said"),
    [
        (replace(GOOD, batches=BatchStats(99, 990, 1.0, 2.0)), "measured", "99 batches measured"),
        (replace(GOOD, batches=BatchStats(500, 5000, 1.0, 5.0)), "latency", "99% within 5.00 s, of 5 s"),
        (replace(GOOD, deaths=1), "crashes", "1 worker died"),
        (replace(GOOD, pace=Pace(300.0, NOW)), "refusals", "lowered the pace to 300 a minute"),
        (
            replace(GOOD, status=judge(replace(QUIET, sent=(900, 900, 900)), Settings())),
            "budget",
            "900 queries a minute used of 960",
        ),
        (replace(GOOD, memory=(450_000_000, 6)), "memory", "about 525 MB with one more, of 500 MB"),
        (replace(GOOD, memory=(0, 0)), "memory", "known only while the daemon runs"),
        (
            replace(GOOD, status=judge(replace(QUIET, outages={"sink": (NOW, "x")}), Settings())),
            "state",
            "sink is away",
        ),
        (
            replace(GOOD, status=judge(replace(QUIET, counts=QueueCounts(quarantined=1)), Settings())),
            "state",
            "1 item in quarantine",
        ),
    ],
)
def test_each_thing_alone_says_no(recorded: Recorded, name: str, said: str) -> None:
    bad = [check for check in judged(recorded, Settings()) if not check.good]
    assert [check.name for check in bad] == [name]
    assert said in bad[0].figure


def test_a_pace_above_the_budget_is_no_refusal() -> None:
    assert all(check.good for check in judged(replace(GOOD, pace=Pace(5000.0, NOW)), Settings()))


def test_limits_that_would_cancel_each_other_are_named() -> None:
    settings = Settings(workers=WorkersSettings(max_concurrency=5, max_in_flight=10))
    (bad,) = [check for check in judged(GOOD, settings) if not check.good]
    assert (bad.name, bad.figure) == ("limits", "first set max_in_flight = 12 or more")


def credentials(folder: Path) -> None:
    key, _ = service_account("sync", "http://127.0.0.1:9")
    write_secret(folder / "key.json", key)


@pytest.fixture
def measured(folder: Path) -> Path:
    """A folder with good credentials and a ledger that has seen a day's batches."""
    credentials(folder)
    with ledger_work.opened(folder) as ledger:
        for _ in range(120):
            ledger.note_batch(1, 1, "sc-domain:example.com", 10, 1.0, "ok")
    return folder


def test_what_is_recorded_decides(gscd: Gscd, daemon: Gscd, measured: Path) -> None:
    daemon()
    said = gscd("rollout")
    assert said.code == 0, said.err
    assert said.err == "max_concurrency may go from 3 to 4: set it in FOLDER/gscd.toml, then `gscd reload`\n"
    data = gscd("rollout", "--json").data
    assert (data["max_concurrency"], data["may_be"]) == (3, 4)
    with ledger_work.opened(measured) as ledger:
        identity = WorkerIdentity(0, os.getpid(), 7, "boot")
        ledger.register_worker(identity, "run")
        ledger.release_dead(identity.pid, identity.pid_start)
        assert (ledger.worker_deaths(60), ledger.worker_deaths(-60)) == (1, 0)
    said = gscd("rollout")
    assert said.code == 1
    assert said.err == "max_concurrency stays 3: 1 worker died in the last day\n"
    assert gscd("rollout", "--json").data["may_be"] == 3


def test_without_a_ledger_there_is_nothing_to_judge_by(gscd: Gscd, folder: Path) -> None:
    credentials(folder)
    assert gscd("rollout").code == 78
