"""The verdict of `gscd status`: what counts most comes first, with what to do; pure."""

from __future__ import annotations

import datetime as dt
import itertools
from pathlib import Path

import pytest
from msgspec.structs import replace

from gsc_daemon.errors import LedgerCorrupt, LedgerUnavailable
from gsc_daemon.halt import DaemonView, WorkerView
from gsc_daemon.model import BatchStats, Day, HaltState, Item, LeaseView, QueueCounts, SiteProgress
from gsc_daemon.settings import RateLimitSettings, Settings
from gsc_daemon.status import Facts, Kind, budget_qpm, judge, share_time

NOW = 1_800_000_000_000
DATE = dt.date(2026, 11, 22)
SITE = "sc-domain:example.com"
RUNNING = DaemonView(True, True, pid=42, state="running", since_ms=NOW - 60_000)
ENDED = DaemonView(False, False, pid=42, state="stopped", since_ms=NOW - 60_000)
HALF_DONE = SiteProgress(SITE, wanted=10, published=4, quarantined=0, oldest=DATE, newest=DATE)
DONE = replace(HALF_DONE, published=10)
WORK = QueueCounts(planned_days=6)
SETTINGS = Settings()


def facts(**given: object) -> Facts:
    return Facts(NOW, Path("/var/lib/gscd/ledger.db"), **{"daemon": RUNNING, "counts": WORK, **given})


# What is so, the kind of the verdict, a part of what is said, whether a person is needed.
CASES: dict[str, tuple[Facts, Kind, str, bool]] = {
    "working": (facts(sites=[HALF_DONE]), Kind.WORKING, "Working: 4 of 10 days", False),
    "idle": (
        facts(sites=[DONE], counts=QueueCounts(done=10)),
        Kind.IDLE,
        "Nothing is left to do: 10 days published, the newest 2026-11-22",
        False,
    ),
    "nothing asked for": (facts(counts=QueueCounts()), Kind.IDLE, "Nothing is asked for", False),
    "starting": (facts(daemon=replace(RUNNING, state="starting")), Kind.STARTING, "Starting since", False),
    "draining": (facts(daemon=replace(RUNNING, state="draining")), Kind.STOPPING, "Stopping since", False),
    "no daemon, work": (
        facts(daemon=ENDED, sites=[HALF_DONE]),
        Kind.STOPPED,
        "No daemon is running, and 6 days wait for one — type `systemctl start gscd`",
        True,
    ),
    "never a daemon, no ledger": (
        facts(daemon=None, ledger_exists=False, counts=QueueCounts()),
        Kind.STOPPED,
        "there is no ledger /var/lib/gscd/ledger.db yet — type `gscd sync recent`",
        False,
    ),
    "no daemon, no work": (
        facts(daemon=ENDED, sites=[DONE], counts=QueueCounts(done=10)),
        Kind.STOPPED,
        "No daemon is running. Nothing is left to do: 10 days published",
        False,
    ),
    "gave up": (
        facts(daemon=replace(ENDED, fault="11 crashes within 60 s"), sites=[HALF_DONE]),
        Kind.STOPPED,
        "it gave up at ",
        True,
    ),
    "supervisor dead": (
        facts(daemon=replace(RUNNING, alive=False)),
        Kind.STOPPED,
        "The daemon's supervisor (pid 42) is dead, and processes of it still live — `systemctl restart gscd`",
        True,
    ),
    "halted": (
        facts(halted=HaltState(True, "moving", "ann", NOW)),
        Kind.HALTED,
        " by ann: moving — type `gscd resume`",
        True,
    ),
    "quarantine": (
        facts(counts=replace(WORK, quarantined=2)),
        Kind.QUARANTINE,
        "A person is needed: 2 items in quarantine — see below why; `gscd ledger requeue` tries again",
        True,
    ),
    "postgres away": (
        facts(outages={"sink": (NOW, "connection refused")}),
        Kind.AWAY,
        ": connection refused — it is tried again every 10 s",
        False,
    ),
    "redis away": (facts(outages={"budget": (NOW, "no answer")}), Kind.AWAY, "Redis is away since ", False),
    "credential": (
        facts(outages={"source": (NOW, "invalid_grant")}),
        Kind.CREDENTIAL,
        ": invalid_grant — `gscd doctor` says what to do",
        True,
    ),
    "parked": (
        facts(
            sites=[replace(HALF_DONE, parked="load quota", parked_until_ms=NOW)],
            counts=replace(WORK, parked_days=6),
        ),
        Kind.PARKED,
        "1 site parked, 6 days wait with them: sc-domain:example.com until ",
        False,
    ),
    "ledger locked": (
        facts(trouble=LedgerUnavailable("locked by another program")),
        Kind.BROKEN,
        "The ledger cannot be read now: locked by another program — it may pass; look again",
        False,
    ),
    "ledger corrupt": (
        facts(trouble=LedgerCorrupt("not a database", hint="`gscd ledger rebuild` makes it anew")),
        Kind.BROKEN,
        "cannot be read: not a database. `gscd ledger rebuild` makes it anew",
        True,
    ),
}


@pytest.mark.parametrize(("seen", "kind", "said", "person"), CASES.values(), ids=list(CASES))
def test_the_verdict_says_what_is_so_and_what_to_do(seen: Facts, kind: Kind, said: str, person: bool) -> None:
    status = judge(seen, SETTINGS)
    assert status.verdict.kind == kind
    assert said in str(status.verdict)
    assert status.person_needed is person


def test_a_halt_that_has_not_reached_everyone_says_so() -> None:
    halted = HaltState(True, "", "", NOW)
    assert judge(facts(halted=halted), SETTINGS).verdict.text.startswith("Halted since ")
    halting = facts(halted=halted, daemon=replace(RUNNING, state="halting"))
    assert judge(halting, SETTINGS).verdict.text.startswith("Halting since ")


def test_a_halted_daemon_is_not_said_to_work_and_has_no_time_left() -> None:
    seen = facts(sites=[HALF_DONE], fetched=(10, 30, 45), halted=HaltState(True, "", "", NOW))
    status = judge(seen, SETTINGS)
    assert (status.also, status.seconds_left, status.sites[0].seconds_left) == ((), None, None)
    dead = judge(replace(seen, daemon=ENDED), SETTINGS)
    assert [finding.kind for finding in dead.also] == [Kind.STOPPED]


def test_what_needs_a_person_comes_first_and_nothing_is_left_out() -> None:
    seen = facts(
        outages={"sink": (NOW, "away"), "budget": (NOW, "away")},
        sites=[replace(HALF_DONE, parked="by hand")],
        counts=replace(WORK, quarantined=1, parked_days=6),
    )
    status = judge(seen, SETTINGS)
    kinds = [status.verdict.kind, *(finding.kind for finding in status.also)]
    assert kinds == [Kind.QUARANTINE, Kind.AWAY, Kind.AWAY, Kind.PARKED, Kind.IDLE]
    assert [finding.person for finding in status.also] == [False] * 4


def test_parked_days_are_not_counted_as_left() -> None:
    parked = replace(HALF_DONE, site="sc-domain:parked.example", parked="by hand")
    status = judge(facts(sites=[HALF_DONE, parked]), SETTINGS)
    assert (status.left, status.wanted, status.published) == (6, 20, 8)


def test_time_left_is_days_left_at_the_best_rate_of_the_last_minutes() -> None:
    status = judge(facts(sites=[HALF_DONE], fetched=(0, 30, 45)), SETTINGS)
    assert status.seconds_left == pytest.approx(6 / (30 / 300))
    assert "Working: 4 of 10 days, 60 seconds left" in str(status.verdict)
    assert judge(facts(sites=[HALF_DONE]), SETTINGS).seconds_left is None


def test_sites_take_turns_so_a_small_one_is_done_early() -> None:
    assert share_time({"small": 10, "large": 100, "done": 0}, 1.0) == {"small": 20.0, "large": 110.0}
    assert share_time({"small": 10}, 0.0) == {}


def test_the_worst_sites_come_first() -> None:
    sites = [
        replace(DONE, site="done"),
        replace(HALF_DONE, site="half"),
        replace(HALF_DONE, site="parked", parked="load quota"),
        replace(HALF_DONE, site="bad", quarantined=1),
        replace(HALF_DONE, site="barely", published=1),
    ]
    for order in itertools.islice(itertools.permutations(sites), 0, 120, 17):
        status = judge(facts(sites=order), SETTINGS)
        assert [site.progress.site for site in status.sites] == ["bad", "parked", "barely", "half", "done"]


def test_a_worker_is_shown_with_what_it_holds_and_whose_lease_ends_first() -> None:
    worker = WorkerView(0, 100, "working", SITE, NOW - 1000)
    idle = WorkerView(1, 101, "idle", "", NOW)
    leases = [lease(1, 100, 10, 90.0), lease(2, 100, 4, 30.0), lease(3, 999, 5, -3.0)]
    status = judge(facts(daemon=replace(RUNNING, workers=(worker, idle)), leases=leases), SETTINGS)
    assert [(one.slot, one.state, one.items, one.seconds_left) for one in status.workers] == [
        (0, "working", 14, 30.0),
        (1, "idle", 0, None),
        (2, "gone", 5, -3.0),
    ]


def lease(token: int, pid: int, items: int, seconds_left: float) -> LeaseView:
    return LeaseView(token, worker_id=token, slot=2, pid=pid, site=SITE, items=items, seconds_left=seconds_left)


def test_the_rate_is_per_minute_against_what_the_active_sites_may_use() -> None:
    rates = RateLimitSettings(site_qpm=100, user_qpm=1000, project_qpm=250, budget_share=0.5)
    settings = Settings(rate_limit=rates)
    assert [budget_qpm(settings, sites) for sites in (0, 1, 2, 3)] == [50, 50, 100, 125]
    two = [HALF_DONE, replace(HALF_DONE, site="other"), replace(DONE, site="done")]
    rate = judge(facts(sites=two, sent=(40, 100, 150)), settings).rate
    assert rate.qpm == (40.0, 20.0, 10.0)
    assert (rate.budget, rate.quota) == (100, 200)


def test_the_seeds_formula_has_the_measured_average() -> None:
    assert judge(facts(), SETTINGS).formula.qpm is None
    measured = judge(facts(batches=BatchStats(4, 40, 2.0, 3.0)), SETTINGS)
    assert measured.formula.qpm == 3 * 10 * 60 / 2.0


def test_quarantine_is_passed_on_with_its_error() -> None:
    item = Item(1, Day(SITE, "query_page", "web", DATE), 1)
    status = judge(facts(quarantine=[(item, "HTTP 400", NOW)], counts=replace(WORK, quarantined=1)), SETTINGS)
    assert status.quarantine == [(item, "HTTP 400", NOW)]
