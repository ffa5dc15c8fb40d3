"""The emulator's process: gone with whoever started it, back on the same port, plain about what it cannot do."""

from __future__ import annotations

import datetime as dt
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest
from emulator_client import DAY, SITE, Client, Start, config

from gsc_daemon.emulator import Emulator, EmulatorConfig, Fault, SiteSpec
from gsc_daemon.emulator.config import FIXED, changed, from_json, to_json
from gsc_daemon.errors import Unavailable, UsageError

STARTER = """
import sys, time
from gsc_daemon.emulator import Emulator, EmulatorConfig, SiteSpec
with Emulator(EmulatorConfig(sites=(SiteSpec(rows_per_day=5),)), sys.argv[1]) as emulator:
    print(emulator.pid, flush=True)
    time.sleep(600)
"""


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_dies_with_its_starter(tmp_path: Path, number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True) as starter:
        assert starter.stdout is not None
        emulator = psutil.Process(int(starter.stdout.readline()))
        assert emulator.is_running()
        starter.send_signal(number)
        starter.wait()
    deadline = time.monotonic() + 10
    while emulator.is_running() and emulator.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline


def test_after_the_block_nothing_listens(tmp_path: Path) -> None:
    with Emulator(config(), tmp_path) as emulator:
        pid, port = emulator.pid, emulator.port
    assert not psutil.pid_exists(pid)
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    with pytest.raises(Unavailable, match="does not answer"):
        emulator.stats()
    emulator.stop()


def test_it_can_be_stopped_and_started_again_on_its_port_with_what_was_set(start: Start) -> None:
    client = start()
    client.emulator.configure(site_qpm=1)
    client.ask()
    port = client.emulator.port
    client.emulator.stop()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port))
    client.emulator.start()
    client.session.close()
    assert client.emulator.port == port
    assert [client.ask().status_code for _ in range(2)] == [200, 403]


def test_a_port_that_is_taken_is_told(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        emulator = Emulator(config(), tmp_path)
        emulator.port = taken.getsockname()[1]
        with pytest.raises(
            Unavailable, match=rf"cannot listen on 127\.0\.0\.1:{emulator.port}: Address already in use"
        ):
            emulator.start()


def test_it_takes_less_than_its_share_of_memory_for_the_default_scale(tmp_path: Path) -> None:
    settings = EmulatorConfig(today=dt.date(2026, 11, 20), site_qpm=100_000, user_qpm=100_000)
    with Emulator(settings, tmp_path) as emulator:
        client = Client(emulator, tmp_path)
        for number in range(4):
            date = f"{DAY - dt.timedelta(days=number)}"
            asked = {"startDate": date, "endDate": date, "rowLimit": 25_000}
            assert client.ask(**asked, dimensions=["query", "page", "country", "device"]).status_code == 200
            assert client.ask(**asked, dimensions=["query", "page"]).status_code == 200
        client.close()
        emulator.truth(SITE, DAY - dt.timedelta(days=30), DAY)
        assert psutil.Process(emulator.pid).memory_full_info().uss < 200 * 2**20


def test_settings_survive_the_wire() -> None:
    settings = config(faults=(Fault("503", rate=0.5, site=SITE),), permissions={SITE: ""}, today=None)
    settings = changed(settings, {"sites": ()}) if "sites" not in FIXED else settings
    assert from_json(EmulatorConfig, to_json(settings)) == settings
    dated = config(sites=(SiteSpec(SITE, first_day=DAY),))
    assert from_json(EmulatorConfig, to_json(dated)) == dated


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"seed": 2}, "'seed' cannot change while the emulator runs"),
        ({"nonsense": 1}, "has no setting 'nonsense'"),
        ({"refusal": "418"}, "knows no refusal '418'"),
        ({"permissions": {"sc-domain:other.com": ""}}, "knows no site 'sc-domain:other.com'"),
        ({"permissions": {SITE: "boss"}}, "knows no permission of sc-domain:example.com 'boss'"),
        ({"faults": [{"kind": "503", "odds": 1}]}, "has no setting 'odds'"),
    ],
)
def test_what_cannot_be_set_is_said_and_changes_nothing(served: Client, changes: dict[str, Any], said: str) -> None:
    before = served.emulator.config
    with pytest.raises(UsageError, match=re.escape(said)):
        served.emulator.configure(**changes)
    response = served.session.post(f"{served.emulator.url}/emulator/config", json=changes)
    assert response.status_code == 400
    assert said in response.json()["error"]
    assert served.emulator.config == before


def test_questions_that_make_no_sense_are_answered_so(served: Client) -> None:
    get = lambda path: served.session.get(f"{served.emulator.url}/emulator/{path}")  # noqa: E731
    for path, said in (
        ("truth", "needs 'first'"),
        ("truth?first=x&last=y&site=z", "a date is YYYY-MM-DD"),
        (f"truth?first={DAY}&last={DAY}&site=z", "has no site 'z'"),
        (f"rows?date={DAY}&site={SITE}&dimensions=city", "city"),
        (f"truth?first={DAY}&last={DAY}&site={SITE}&search_type=podcast", "podcast"),
        (f"truth?first={DAY}&last={DAY}&site={SITE}&state=fresh", "fresh"),
    ):
        response = get(path)
        assert response.status_code == 400
        assert said in response.json()["error"]
    assert served.session.post(f"{served.emulator.url}/emulator/config", data=b"{").status_code == 400
    assert served.session.post(f"{served.emulator.url}/emulator/explode", json={}).status_code == 404


def test_the_settings_in_force_can_be_asked_for(served: Client) -> None:
    told = served.session.get(f"{served.emulator.url}/emulator/config").json()
    assert told == to_json(served.emulator.config)


def test_its_log_stays_empty_while_all_is_well(served: Client) -> None:
    assert (served.emulator.folder / "emulator.log").read_text() == ""


def test_a_starter_that_has_left_meanwhile_is_noticed() -> None:
    given = b'{"parent": 1, "secret": "00", "config": {}, "host": "127.0.0.1", "port": 0, "accounts": []}'
    done = subprocess.run([sys.executable, "-m", "gsc_daemon.emulator"], input=given, capture_output=True, check=True)
    assert os.getpid() != 1
    assert done.stdout == b""
