"""What each fact means to the doctor, and what it says to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from gsc_daemon.doctor import Verdict, machine, services
from gsc_daemon.doctor.check import Check
from gsc_daemon.model import BudgetFacts, LedgerFacts, SinkFacts, SiteEntry

LEDGER = Path("/var/lib/gscd/ledger.db")
WHO = "sync@project.iam.gserviceaccount.com"


def verdicts(checks: list[Check]) -> list[Verdict]:
    return [check.verdict for check in checks]


@pytest.mark.parametrize(
    ("version", "has_it"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.44.5", True),
        ("3.44.6", False),
        ("3.45.0", True),
        ("3.50.6", True),
        ("3.50.7", False),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.52.0", False),
    ],
)
def test_which_sqlite_has_the_wal_reset_bug(version: str, has_it: bool) -> None:
    check = machine.judge_sqlite(version)
    assert machine.has_wal_reset_bug(version) is has_it
    assert check.verdict is Verdict.OK
    assert ("gscd ledger shell --write" in check.do) is has_it


def facts(**changes: object) -> LedgerFacts:
    plain: dict[str, object] = {
        "sqlite": "3.51.3", "schema_version": 1, "journal_mode": "wal", "bytes": 5_000_000, "wal_bytes": 0,
        "problems": (),
    }  # fmt: skip
    return LedgerFacts(**(plain | changes))  # type: ignore[arg-type]


def test_a_sound_ledger() -> None:
    (check,) = machine.judge_ledger(LEDGER, facts())
    assert (check.verdict, check.text) == (Verdict.OK, f"{LEDGER}: 5.0 MB, schema 1, sound")


@pytest.mark.parametrize(
    ("changes", "found", "do"),
    [
        ({"problems": ("row 7 missing from index",)}, [Verdict.PROBLEM], "gscd ledger rebuild"),
        ({"journal_mode": "delete"}, [Verdict.PROBLEM, Verdict.OK], "sets WAL"),
        ({"wal_bytes": 200_000_000}, [Verdict.WARNING, Verdict.OK], "end long-running sqlite3 sessions"),
    ],
)
def test_what_is_wrong_with_a_ledger(changes: dict[str, object], found: list[Verdict], do: str) -> None:
    checks = list(machine.judge_ledger(LEDGER, facts(**changes)))
    assert verdicts(checks) == found
    assert do in checks[0].do


@pytest.mark.parametrize(
    ("free", "verdict"),
    [(99_999_999, Verdict.PROBLEM), (100_000_000, Verdict.WARNING), (1_000_000_000, Verdict.OK)],
)
def test_room_on_the_disk(free: int, verdict: Verdict) -> None:
    assert machine.judge_room(Path("/var/lib/gscd"), free).verdict is verdict


ENTRIES = [
    SiteEntry("sc-domain:example.com", "siteOwner"),
    SiteEntry("https://www.example.org/", "siteRestrictedUser"),
    SiteEntry("https://shop.example.org/", "siteUnverifiedUser"),
]


def test_sites_that_can_be_read() -> None:
    (check,) = services.judge_sites(["sc-domain:example.com", "https://www.example.org/"], ENTRIES, WHO)
    assert (check.verdict, check.text) == (Verdict.OK, "2 of 2 sites can be read")


@pytest.mark.parametrize(
    ("wanted", "meant"),
    [
        ("https://www.example.com/", "sc-domain:example.com"),
        ("http://www.example.org/", "https://www.example.org/"),
        ("https://www.example.org", "https://www.example.org/"),
        ("sc-domain:exampel.com", "sc-domain:example.com"),
    ],
)
def test_a_property_that_is_spelled_otherwise_is_suggested(wanted: str, meant: str) -> None:
    (check,) = services.judge_sites([wanted], ENTRIES, WHO)
    assert (check.verdict, check.text) == (Verdict.PROBLEM, f"the credential does not see {wanted}")
    assert check.do.startswith(f"Did you mean {meant}")
    assert WHO in check.do


def test_a_property_unlike_any_other_wants_the_account_as_its_user() -> None:
    (check,) = services.judge_sites(["sc-domain:elsewhere.net"], ENTRIES, WHO)
    assert check.do == f"Add {WHO} as a user in Search Console (Settings, Users and permissions)"


def test_a_property_that_is_listed_and_may_not_be_read() -> None:
    problem, fine = services.judge_sites(["https://shop.example.org/", "sc-domain:example.com"], ENTRIES, WHO)
    assert problem.text == "https://shop.example.org/ is listed, but may not be read"
    assert problem.do.startswith(f"Add {WHO}")
    assert fine.text == "1 of 2 sites can be read"


def test_of_very_many_properties_the_first_ten_are_named() -> None:
    wanted = [f"sc-domain:{number}.net" for number in range(300)]
    checks = list(services.judge_sites(wanted, ENTRIES, WHO))
    assert len(checks) == services.SITES_SHOWN + 1
    assert checks[-1].text == "290 more cannot be read either"


def test_all_properties() -> None:
    warned, fine = services.judge_sites(None, ENTRIES, WHO)
    assert (warned.verdict, "https://shop.example.org/" in warned.text) == (Verdict.WARNING, True)
    assert fine.text == "all properties are wanted, 2 can be read"
    assert verdicts(list(services.judge_sites(None, [], WHO))) == [Verdict.PROBLEM]


def redis(**changes: object) -> list[Check]:
    plain: dict[str, object] = {
        "server": "Redis 7.0.15", "version": (7, 0, 15), "eviction": "noeviction", "round_trip_ms": 0.2,
    }  # fmt: skip
    return list(services.judge_redis(BudgetFacts(**(plain | changes))))  # type: ignore[arg-type]


def test_a_redis_that_will_do() -> None:
    (check,) = redis()
    assert (check.verdict, check.text) == (Verdict.OK, "Redis 7.0.15 answers in 0.2 ms")
    assert verdicts(redis(version=(6, 2))) == [Verdict.OK]
    assert verdicts(redis(eviction="", version=())) == [Verdict.OK]


@pytest.mark.parametrize(
    ("changes", "verdict", "do"),
    [
        ({"version": (6, 0, 16)}, Verdict.PROBLEM, "Redis 6.2 or newer"),
        ({"eviction": "allkeys-lru"}, Verdict.PROBLEM, "noeviction"),
        ({"eviction": "volatile-ttl"}, Verdict.PROBLEM, "noeviction"),
        ({"round_trip_ms": 10.1}, Verdict.WARNING, "on this machine"),
    ],
)
def test_a_redis_that_will_not_do(changes: dict[str, object], verdict: Verdict, do: str) -> None:
    check = redis(**changes)[0]
    assert check.verdict is verdict
    assert do in check.do


def postgres(**changes: object) -> list[Check]:
    plain: dict[str, object] = {
        "server": "PostgreSQL 15.18", "version": 150018, "schema_version": 1, "owner": "", "read_only": False,
        "may_create": True, "bytes": 7_000_000,
    }  # fmt: skip
    return list(services.judge_postgres(SinkFacts(**(plain | changes)), "gsc"))  # type: ignore[arg-type]


def test_a_postgres_that_will_do() -> None:
    (check,) = postgres()
    assert (check.verdict, check.text) == (Verdict.OK, "PostgreSQL 15.18, schema gsc has version 1, 7 MB")
    assert verdicts(postgres(may_create=False)) == [Verdict.OK]
    assert verdicts(postgres(schema_version=0)) == [Verdict.OK]


@pytest.mark.parametrize(
    ("changes", "do"),
    [
        ({"version": 140011}, "PostgreSQL 15 or newer"),
        ({"read_only": True}, "Name the primary"),
        ({"schema_version": 0, "may_create": False}, "CREATE SCHEMA gsc"),
    ],
)
def test_a_postgres_that_will_not_do(changes: dict[str, object], do: str) -> None:
    check = postgres(**changes)[0]
    assert check.verdict is Verdict.PROBLEM
    assert do in check.do


def test_another_ledgers_postgres() -> None:
    assert list(services.judge_owner("one", "one")) == []
    (check,) = services.judge_owner("one", "other")
    assert (check.verdict, "--take-over" in check.do) == (Verdict.PROBLEM, True)


@pytest.mark.parametrize(
    ("ahead", "verdict", "said"),
    [
        (0.9, Verdict.OK, "agrees"),
        (-1.0, Verdict.OK, "agrees"),
        (5.5, Verdict.WARNING, "5 s ahead of the API's"),
        (-4.5, Verdict.WARNING, "5 s behind the API's"),
        (90.5, Verdict.PROBLEM, "90 s ahead of"),
    ],
)
def test_the_clock(ahead: float, verdict: Verdict, said: str) -> None:
    check = services.judge_clock(ahead)
    assert check.verdict is verdict
    assert said in check.text
