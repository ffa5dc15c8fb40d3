"""`gscd doctor` with real services, well and unwell: every check is made, whatever came of the others."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from gsc_daemon import cli, halt
from gsc_daemon.clock import SystemClock
from gsc_daemon.demo.stage import Stage, stage
from gsc_daemon.emulator import EmulatorConfig, Fault, SiteSpec
from gsc_daemon.ledger import open_ledger
from gsc_daemon.sink import PostgresSink

SITES = (
    SiteSpec("sc-domain:example.com", rows_per_day=10),
    SiteSpec("https://www.example.org/", rows_per_day=10),
    SiteSpec("https://shop.example.org/", "siteUnverifiedUser", rows_per_day=10),
)
NAMES = {
    "settings", "user", "ledger", "SQLite", "halt file", "disk", "credentials", "API", "sites", "Redis", "Postgres",
    "clock",
}  # fmt: skip


@pytest.fixture(scope="module")
def made(postgres_server: object, redis_server: object) -> Iterator[Stage]:
    """Services of our own, to be stopped; skipped where there are none."""
    with stage(EmulatorConfig(sites=SITES)) as running:
        yield running


@dataclass
class Doctor:
    """The command on one settings file."""

    stage: Stage
    config: Path
    capfd: pytest.CaptureFixture[str]
    code: int = -1

    def set(self, section: str, **values: object) -> None:
        """Change a section of the settings."""
        text = self.config.read_text()
        lines = [f"{name} = {json.dumps(value)}" for name, value in values.items()]
        head = f"[{section}]\n"
        before, _, after = text.partition(head)
        kept = [line for line in after.splitlines() if line.split(" = ")[0] not in values]
        self.config.write_text(before + head + "\n".join([*lines, *kept]) + "\n")

    def say(self) -> str:
        self.code = cli.run(["--config", str(self.config), "doctor"])
        out, err = self.capfd.readouterr()
        assert err == ""
        return out

    def checks(self) -> dict[str, list[tuple[str, str, str]]]:
        """Name → verdict, text and what to do, of each check."""
        self.code = cli.run(["--config", str(self.config), "doctor", "--json"])
        out, err = self.capfd.readouterr()
        assert err == ""
        found: dict[str, list[tuple[str, str, str]]] = {}
        for check in json.loads(out)["checks"]:
            found.setdefault(check["name"], []).append((check["verdict"], check["text"], check["do"]))
        return found


@pytest.fixture
def doctor(
    made: Stage, tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Doctor]:
    for name in [name for name in os.environ if name.startswith("GSCD_")]:
        monkeypatch.delenv(name)
    config = tmp_path / "gscd.toml"
    config.write_text(made.config.read_text())
    one = Doctor(made, config, capfd)
    one.set("ledger", path=str(tmp_path / "ledger.db"))
    one.set("halt", file=str(tmp_path / "HALT"))
    one.set("sink", schema=f"s{tmp_path.name[-8:]}".replace("-", "_").lower())
    open_ledger(tmp_path / "ledger.db", SystemClock(), create=True).close()
    yield one
    made.emulator.configure(faults=())


def problems(checks: dict[str, list[tuple[str, str, str]]]) -> set[str]:
    return {name for name, found in checks.items() if any(verdict == "problem" for verdict, _, _ in found)}


def test_all_is_well(doctor: Doctor) -> None:
    checks = doctor.checks()
    assert doctor.code == 0
    assert checks.keys() == NAMES
    assert {verdict for found in checks.values() for verdict, _, _ in found} == {"ok"}
    said = doctor.say()
    assert said.startswith("All is well\nok       settings     ")
    assert "ok       sites        1 of 1 site can be read\n" in said


def test_nothing_is_changed_by_looking(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").unlink()
    before = sorted(tmp_path.iterdir())
    checks = doctor.checks()
    assert doctor.code == 0
    assert "the first run or sync makes it" in checks["ledger"][0][1]
    assert "is made later" in checks["Postgres"][0][1]
    assert sorted(tmp_path.iterdir()) == before


def test_a_property_that_the_credential_does_not_see(doctor: Doctor) -> None:
    doctor.set("sync", sites=["https://example.com/", "https://www.example.org/", "https://shop.example.org/"])
    checks = doctor.checks()
    assert doctor.code == 1
    account = "sync@emulator.iam.gserviceaccount.com"
    unseen, unread, fine = checks["sites"]
    assert unseen[1] == "the credential does not see https://example.com/"
    assert unseen[2].startswith("Did you mean sc-domain:example.com")
    assert account in unseen[2]
    assert unread[:2] == ("problem", "https://shop.example.org/ is listed, but may not be read")
    assert account in unread[2]
    assert fine[:2] == ("ok", "1 of 3 sites can be read")


def test_an_api_that_is_not_enabled(doctor: Doctor) -> None:
    doctor.stage.emulator.configure(faults=(Fault("disabled", rate=1.0, path="sites"),))
    checks = doctor.checks()
    assert (doctor.code, problems(checks)) == (1, {"API"})
    assert "sites" not in checks
    assert "nable" in " ".join(checks["API"][0])


def test_services_that_are_away_do_not_keep_the_rest_from_being_looked_at(doctor: Doctor) -> None:
    stage = doctor.stage
    doctor.set("api", endpoint="http://127.0.0.1:9")
    stage.redis.stop()
    stage.postgres.stop()
    try:
        checks = doctor.checks()
    finally:
        stage.redis.start()
        stage.postgres.start()
    assert (doctor.code, problems(checks)) == (1, {"API", "Redis", "Postgres"})
    assert checks.keys() == NAMES - {"sites"}
    assert all(do for name in ("API", "Redis", "Postgres") for _, _, do in checks[name])
    assert checks["clock"][0][0] == "warning"


def test_settings_that_cannot_be_read_leave_this_machine_to_be_looked_at(doctor: Doctor) -> None:
    doctor.set("workers", max_concurrency=99)
    checks = doctor.checks()
    assert (doctor.code, problems(checks)) == (1, {"settings"})
    assert checks.keys() == {"settings", "user", "ledger", "SQLite", "halt file", "disk"}
    doctor.config.write_text("[ledger")
    assert doctor.checks().keys() == {"settings"}
    assert doctor.code == 1


def test_credentials_that_are_missing_or_damaged(doctor: Doctor, tmp_path: Path) -> None:
    doctor.set("api", credentials=str(tmp_path / "key.json"))
    assert problems(doctor.checks()) >= {"settings", "credentials"}
    (tmp_path / "key.json").write_text('{"type": "service_account", "private_key": "hush-hush"}')
    (tmp_path / "key.json").chmod(0o600)
    checks = doctor.checks()
    assert problems(checks) == {"credentials", "API"}
    assert "hush-hush" not in str(checks)


def test_a_halt_is_a_warning(doctor: Doctor, tmp_path: Path) -> None:
    halt.write(tmp_path / "HALT", "moving the database", "ada")
    checks = doctor.checks()
    assert doctor.code == 0
    (halted,) = checks["halt file"]
    assert halted[0] == "warning"
    assert "moving the database" in halted[1]
    assert halted[2] == "`gscd resume` goes on"


def test_a_postgres_that_another_ledger_feeds(doctor: Doctor) -> None:
    dsn = doctor.stage.settings.sink.dsn
    doctor.set("sink", schema="of_another")
    sink = PostgresSink(dsn, "of_another")
    sink.migrate()
    sink.own("another")
    sink.close()
    checks = doctor.checks()
    assert (doctor.code, problems(checks)) == (1, {"Postgres"})
    assert "--take-over" in checks["Postgres"][-1][2]


def test_a_damaged_ledger(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").write_bytes(b"this was a database once" * 1000)
    checks = doctor.checks()
    assert (doctor.code, problems(checks) >= {"ledger"}) == (1, True)
    assert "gscd ledger rebuild" in checks["ledger"][0][2]


def test_files_that_are_open_to_everyone(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "ledger.db").chmod(0o666)
    tmp_path.chmod(0o777)
    checks = doctor.checks()
    assert (doctor.code, problems(checks)) == (1, {"user", "ledger"})


def test_passwords_are_not_shown(doctor: Doctor) -> None:
    doctor.set("rate_limit", storage="redis://user:hush-hush@127.0.0.1:9/0")
    doctor.set("sink", dsn="postgresql://user:hush-hush@127.0.0.1:9/gsc")
    said = doctor.say()
    assert doctor.code == 1
    assert "PROBLEM  Redis" in said
    assert "PROBLEM  Postgres" in said
    assert "hush-hush" not in said


def test_a_look_that_fails_in_an_unforeseen_way_is_a_problem_of_its_own(
    doctor: Doctor, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_path: object) -> None:
        raise RuntimeError("password=hush-hush is no number")

    monkeypatch.setattr("gsc_daemon.doctor.machine.shutil.disk_usage", broken)
    checks = doctor.checks()
    assert (doctor.code, problems(checks)) == (1, {"disk"})
    assert checks.keys() == NAMES
    assert checks["disk"][0][1] == "could not be looked at: RuntimeError: password=*** is no number"
