"""Properties as they come and go: by pattern, lost and found, misspelt, forgotten, and over several credentials."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from gsc_daemon.emulator import Fault

SetStage = Callable[..., Any]
Until = Callable[..., None]
DAYS = 4
ONE, TWO, THREE = "sc-domain:one.example", "sc-domain:two.example", "sc-domain:three.example"
CLIENTS = {"a": 7, "b": 7, "c": 6}  # properties of each of an agency's clients
PROJECTS = {"a": "first", "b": "first", "c": "second"}


def change(stage: Any, *pairs: tuple[str, str]) -> None:
    """Other settings than the stage's own."""
    file = stage.folder / "gscd.toml"
    text = file.read_text()
    for pattern, new in pairs:
        text, changed = re.subn(pattern, new, text, flags=re.MULTILINE)
        assert changed, pattern
    file.write_text(text)


def email(name: str) -> str:
    return f"{name}@emulator.iam.gserviceaccount.com"


def sites_held(stage: Any) -> set[str]:
    return {day.site for day in stage.held()}


def open_days(stage: Any, like: str) -> int:
    asked = f"SELECT count(*) FROM day JOIN site USING (site_id) WHERE site LIKE '{like}' AND state <> 'published'"
    return int(stage.ask(asked)[0][0])


def parked(stage: Any, why: str) -> set[str]:
    return {site for (site,) in stage.ask(f"SELECT site FROM site WHERE parked_for = '{why}'")}


def agency(set_stage: SetStage) -> Any:
    """Twenty properties; three service accounts in two projects, each of which sees those of one client only."""
    sites = tuple(f"sc-domain:{client}{n}.example" for client, count in CLIENTS.items() for n in range(count))
    stage = set_stage(sites=sites, rows=100)
    tables = ""
    for name in CLIENTS:
        its = [site for site in sites if site.startswith(f"sc-domain:{name}")]
        stage.emulator.service_account_file(stage.folder / f"{name}.json", name=name, project=PROJECTS[name], sites=its)
        tables += f'[[credentials]]\nfile = "{name}.json"\nsites = ["sc-domain:{name}*"]\n'
    (stage.folder / "key.json").unlink()
    change(
        stage,
        (r'^credentials = "key.json"\n', ""),
        (r"^sites = .*$", 'sites = ["*"]'),
        (r"^user_qpm = .*$", "user_qpm = 600\nproject_qpm = 700"),
    )
    with (stage.folder / "gscd.toml").open("a") as file:
        file.write(tables)
    return stage


def test_a_revoked_credential_stops_its_own_sites_only_and_they_come_back(set_stage: SetStage, until: Until) -> None:
    stage = agency(set_stage)
    stage.wanted(DAYS)
    stage.daemon()
    until(lambda: sum(day.site.startswith("sc-domain:b") for day in stage.held()) >= 4, "days of b")
    stage.emulator.revoke("b")
    until(lambda: len(parked(stage, "credential")) == CLIENTS["b"], "b's sites parked")
    until(lambda: not open_days(stage, "sc-domain:a%") and not open_days(stage, "sc-domain:c%"), "all of a and c")
    assert open_days(stage, "sc-domain:b%") > 0
    assert {site[10] for site in parked(stage, "credential")} == {"b"}
    said = stage.gscd("status")
    assert said.returncode == 1
    assert f"Google refuses {email('b')} since" in said.stdout
    assert "7 sites of 20 wait" in said.stdout
    doctor = {
        (check["name"], check["verdict"]) for check in json.loads(stage.gscd("doctor", "--json").stdout)["checks"]
    }
    assert {("API", "problem"), ("API", "ok"), ("credentials", "ok")} <= doctor

    stage.emulator.restore("b")
    assert stage.gscd("reload").returncode == 0  # asks for the lists at once, else within a minute
    until(lambda: not open_days(stage, "%"), "all days")
    assert stage.differences(DAYS) == []
    assert stage.ask("SELECT count(*) FROM item WHERE failures > 0 OR crashes > 0") == [(0,)]
    assert stage.ask("SELECT count(*) FROM outage") == [(0,)]
    names = dict(stage.ask("SELECT site, credential FROM site"))
    assert {(site[10], name) for site, name in names.items()} == {(name, email(name)) for name in CLIENTS}

    most = stage.emulator.stats()["most_in_1s"]
    assert {name: most["user"][email(name)] <= 10 for name in CLIENTS} == dict.fromkeys(CLIENTS, True), (
        most
    )  # 8 a second
    assert set(most["project"]) == {"first", "second"}
    assert most["project"]["first"] <= 12, most  # 9.2 a second, where two users alone would have 16


def test_a_property_that_is_lost_waits_alone_and_comes_back(set_stage: SetStage, until: Until) -> None:
    stage = set_stage(sites=(ONE, TWO, THREE), rows=100)
    wrong = "https://three.example/"
    change(
        stage,
        (r"^sites = .*$", f"sites = {json.dumps([ONE, TWO, THREE, wrong])}"),
        (r"^user_qpm = .*$", "user_qpm = 240"),
    )
    stage.wanted(DAYS)
    stage.daemon()
    until(lambda: TWO in sites_held(stage), "a day of two")
    stage.emulator.configure(permissions={TWO: ""})
    assert stage.gscd("reload").returncode == 0
    until(lambda: parked(stage, "lost") == {TWO, wrong}, "two lost sites")
    until(lambda: not open_days(stage, ONE) and not open_days(stage, THREE), "the others")
    assert open_days(stage, TWO) > 0
    said = stage.gscd("status")
    assert (said.returncode, "2 sites cannot be read" in said.stdout) == (1, True)
    assert stage.log().count("cannot be read: ") == 2, "each is told once"
    reason = dict(stage.ask("SELECT site, parked FROM site WHERE parked_for = 'lost'"))
    assert reason[wrong] == f"{email('sync')} does not see it; did you mean {THREE}?"
    assert TWO in stage.gscd("doctor").stdout

    stage.emulator.configure(permissions={})
    assert stage.gscd("reload").returncode == 0
    until(lambda: not open_days(stage, TWO), "two")
    assert parked(stage, "lost") == {wrong}
    assert stage.differences(DAYS) == []


def test_properties_come_by_pattern_and_as_new_ones_do(set_stage: SetStage, until: Until) -> None:
    unverified = "sc-domain:unverified.example"
    stage = set_stage(
        sites=(ONE, TWO, THREE, unverified), rows=100, permissions={THREE: "", unverified: "siteUnverifiedUser"}
    )
    change(stage, (r"^sites = .*$", 'sites = ["*", "!*two*"]'), (r'^every = ""$', 'every = "6h"\nnew_sites = "1d"'))
    stage.daemon()
    until(lambda: ONE in sites_held(stage), "a day of one")
    stage.emulator.configure(permissions={unverified: "siteUnverifiedUser"})
    assert stage.gscd("reload").returncode == 0
    until(lambda: THREE in sites_held(stage), "a day of three")
    assert sites_held(stage) == {ONE, THREE}
    asked = {call["site"] for call in stage.emulator.requests() if call["kind"] == "query"}
    assert asked == {ONE, THREE}
    rows = {row["site"]: row["synced"] for row in json.loads(stage.gscd("sites", "--json").stdout)["sites"]}
    assert rows == {ONE: True, TWO: False, THREE: True, unverified: False}


def test_a_site_is_forgotten_while_it_is_fetched(set_stage: SetStage, until: Until) -> None:
    slow = (Fault("late", rate=1.0, site=TWO, seconds=2.0),)
    stage = set_stage(sites=(ONE, TWO), rows=100, faults=slow)
    stage.wanted(DAYS)
    stage.daemon()
    until(
        lambda: stage.ask(f"SELECT 1 FROM leases WHERE site = '{TWO}'") and not open_days(stage, ONE), "a lease of two"
    )
    said = stage.gscd("sites", "forget", TWO, "--purge", "--yes")
    assert said.returncode == 0, said.stderr
    assert stage.ask(f"SELECT count(*) FROM site WHERE site = '{TWO}'") == [(0,)]
    assert sites_held(stage) == {ONE}
    assert stage.ask("SELECT count(*) FROM item WHERE state = 'leased'") == [(0,)]
