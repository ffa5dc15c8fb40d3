"""`gscd run` and the commands around it as a person uses them: the whole program, with an emulator, Redis, Postgres."""

from __future__ import annotations

import datetime as dt
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ledger_work
import psycopg
import pytest
from as_nobody import NOBODY, as_nobody, open_folder

from gsc_daemon import cli, plan
from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.emulator import Emulator, EmulatorConfig, SiteSpec
from gsc_daemon.halt import read_daemon

SITE = "sc-domain:example.com"
LAST = plan.newest_final(pacific_today(SystemClock()))
FIRST = LAST - dt.timedelta(days=2)
RANGE = ("sync", "range", "--from", str(FIRST), "--to", str(LAST))
DAYS = 3 * 2
ROWS = 300

MORE = """\
endpoint = "{endpoint}"
[rate_limit]
storage = "{storage}"
[sink]
dsn = "{dsn}"
[telemetry]
listen = ""
"""


@dataclass(frozen=True)
class Machine:
    """A folder with settings that work, and the services that they name."""

    folder: Path
    dsn: str

    def start(self, *words: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gsc_daemon", "--config", str(self.folder / "gscd.toml"), *words]
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def gscd(self, *words: str) -> tuple[int, str, str]:
        """Exit code, stdout, stderr."""
        process = self.start(*words)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    def data(self, *words: str) -> Any:
        return json.loads(self.gscd(*words, "--json")[1])

    def await_daemon(self) -> None:
        """Until it runs."""
        deadline = time.monotonic() + 30
        while (view := read_daemon(self.folder / "gscd.lock")) is None or view.state != "running":
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def rows(self) -> int:
        with psycopg.connect(self.dsn) as connection:
            row = connection.execute("SELECT count(*) FROM gsc.search_analytics").fetchone()
            assert row is not None
            return int(row[0])


@pytest.fixture(scope="module")
def google(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Emulator]:
    with Emulator(EmulatorConfig(sites=(SiteSpec(SITE, rows_per_day=ROWS),)), tmp_path_factory.mktemp("google")) as one:
        yield one


@pytest.fixture
def machine(folder: Path, google: Emulator, redis_url: str, dsn: str) -> Machine:
    google.service_account_file(folder / "key.json")
    settings = folder / "gscd.toml"
    text = settings.read_text().replace('example.com"]\n', 'example.com"]\nevery = ""\n')
    settings.write_text(text + MORE.format(endpoint=google.url, storage=redis_url, dsn=dsn))
    return Machine(folder, dsn)


def test_a_first_sync_from_nothing_to_published(machine: Machine) -> None:
    assert machine.gscd(*RANGE)[0] == 0
    code, out, err = machine.gscd("run", "--until-idle")
    assert (code, out) == (0, ""), err
    assert machine.rows() > 0
    code, out, _ = machine.gscd("status")
    assert code == 0
    assert out.startswith(f"No daemon is running. Nothing is left to do: {DAYS} days published, the newest {LAST}")
    (row,) = machine.data("sites")["sites"]
    assert (row["site"], row["permission"], row["published"], row["oldest"]) == (SITE, "siteOwner", DAYS, str(FIRST))


def test_with_a_daemon_a_waiting_sync_ends_when_its_days_are_published(machine: Machine) -> None:
    with machine.start("run") as daemon:
        try:
            machine.await_daemon()
            code, out, err = machine.gscd("sync", "yesterday", "--wait", "--json")
            assert code == 0, err
            waited = json.loads(out)
            assert (waited["waited"]["published"], waited["daemon"]) == (2, daemon.pid)
            second = machine.gscd("run")
            assert second[:2] == (75, "")
            assert second[2].startswith(f"gscd: a gscd daemon (pid {daemon.pid}) works with this ledger already")
            status = machine.data("status")
            assert (status["verdict"]["kind"], status["daemon"]["pid"]) == ("idle", daemon.pid)
            daemon.send_signal(signal.SIGTERM)
            _, log = daemon.communicate(timeout=60)
            assert daemon.returncode == 0, log
            assert "Traceback" not in log
        finally:
            daemon.kill()


def test_until_idle_exits_75_when_halted_or_parked_and_1_for_quarantine(machine: Machine) -> None:
    machine.gscd(*RANGE)
    machine.gscd("halt")
    assert machine.gscd("run", "--until-idle")[0] == 75
    machine.gscd("resume")
    machine.gscd("sites", "park", SITE)
    assert machine.gscd("run", "--until-idle")[0] == 75
    machine.gscd("sites", "unpark", SITE)
    ledger_work.quarantine(machine.folder)
    assert machine.gscd("run", "--until-idle")[0] == 1


def test_an_interrupted_daemon_exits_130(machine: Machine) -> None:
    with machine.start("run") as daemon:
        try:
            machine.await_daemon()
            daemon.send_signal(signal.SIGINT)
            daemon.communicate(timeout=60)
            assert daemon.returncode == 130
        finally:
            daemon.kill()


def test_another_ledgers_schema_is_refused_until_it_is_taken_over(machine: Machine) -> None:
    machine.gscd(*RANGE)
    assert machine.gscd("run", "--until-idle")[0] == 0
    for file in machine.folder.glob("ledger.db*"):
        file.unlink()
    machine.gscd("sync", "yesterday")
    code, _, err = machine.gscd("run", "--until-idle")
    assert code == 78, err
    assert machine.gscd("run", "--until-idle", "--take-over")[0] == 0


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (("[workers]", "batch_size = 0"), "workers.batch_size = 0 must be from 1 to 1,000 items"),
        (("[ledger]", 'path = "none/ledger.db"'), "but there is no folder"),
    ],
)
def test_settings_that_cannot_work_exit_78(folder: Path, change: tuple[str, str], said: str) -> None:
    section, line = change
    text = (folder / "gscd.toml").read_text()
    if section in text:
        text = text.replace('path = "ledger.db"', line)
    else:
        text += f"{section}\n{line}\n"
    (folder / "gscd.toml").write_text(text)
    code, out, err = Machine(folder, "").gscd("run")
    assert (code, out) == (78, "")
    assert said in err
    assert err.count("\n") == 1


def test_bad_credentials_exit_78_before_anything_is_made(folder: Path) -> None:
    code, out, err = Machine(folder, "").gscd("run")
    assert (code, out, err.count("\n")) == (78, "", 1)
    assert "key.json" in err
    assert not (folder / "ledger.db").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, who may write everywhere else")
def test_a_snapshot_where_the_ledgers_owner_may_not_write_exits_77(
    folder: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with open_folder() as place, open_folder() as elsewhere:
        (place / "gscd.toml").write_text((folder / "gscd.toml").read_text())
        os.chown(place, NOBODY, NOBODY)
        file = str(place / "gscd.toml")
        assert as_nobody(lambda: cli.run(["--config", file, "sync", "yesterday"])) == "0"
        words = ["--config", file, "ledger", "snapshot", str(elsewhere / "copy.db")]
        assert as_nobody(lambda: cli.run(words)) == "77"
        assert f"may not write in {elsewhere}. Name a file in a folder" in capfd.readouterr().err


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to make a folder that another user may not write")
@pytest.mark.parametrize("words", [("run",), ("sync", "recent"), ("cancel",), ("ledger", "shell")])
def test_who_may_not_work_with_the_ledger_exits_77(
    folder: Path, words: tuple[str, ...], capfd: pytest.CaptureFixture[str]
) -> None:
    with open_folder() as place:
        (place / "gscd.toml").write_text((folder / "gscd.toml").read_text())
        (place / "key.json").write_text("{}")
        (place / "key.json").chmod(0o600)
        assert as_nobody(lambda: cli.run(["--config", str(place / "gscd.toml"), *words])) == "77"
        out, err = capfd.readouterr()
        assert out == ""
        assert "may not write in" in err
        assert err.count("\n") == 1
