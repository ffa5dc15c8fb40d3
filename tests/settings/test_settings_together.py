"""Limits that cancel each other are refused with the numbers; a reload changes what it may and nothing else."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path

import pytest
from as_nobody import as_nobody, open_folder

from gsc_daemon.errors import ConfigError
from gsc_daemon.model import TOTALS
from gsc_daemon.settings import (
    Settings,
    budget_formula,
    changed_since,
    changes,
    check_places,
    fingerprints,
    load,
    make_state_folder,
    reloaded,
    warnings,
)

SITES = '[sync]\nsites = ["sc-domain:example.com"]\n'


def settings(tmp_path: Path, toml: str = "", environ: dict[str, str] | None = None) -> Settings:
    file = tmp_path / "gscd.toml"
    file.write_text(SITES + toml)
    return load(file, environ or {})


REFUSED = [
    (
        "[workers]\nmax_concurrency = 6",
        "FILE:4: max_in_flight = 10 holds back max_concurrency = 6: each worker overlaps two batches, "
        "so at least 12 must be allowed. Set max_in_flight = 12 or more",
    ),
    (
        "[workers]\nmax_in_flight = 5",
        "FILE:4: max_in_flight = 5 holds back max_concurrency = 3: each worker overlaps two batches, "
        "so at least 6 must be allowed. Set max_in_flight = 6 or more",
    ),
    (
        "[workers]\nmax_queue_size = 36",
        "FILE:4: max_queue_size = 36 is filled to 80% (28 items), which is less than one batch for each worker "
        "(3 × 10 = 30). Set max_queue_size = 150 or more",
    ),
    (
        "[api]\ndeadline_seconds = 149",
        "FILE:4: lease_seconds = 180 ends leases that are well: 2 s of pacing, deadline_seconds = 149 and "
        "2 × 15 s of writing are 181 s. Set lease_seconds = 181 or more",
    ),
    (
        "[rate_limit]\nproject_qpm = 12",
        "FILE:4: project_qpm = 12 × budget_share = 0.8 allows 9 queries a minute, so a batch of batch_size = 10 "
        "could never be sent. Set batch_size = 9 or less",
    ),
    (
        "[rate_limit]\nbudget_share = 0.0001",
        "FILE:4: site_qpm = 1200 × budget_share = 0.0001 allows 0 queries a minute, so a batch of batch_size = 10 "
        "could never be sent. Raise one of them",
    ),
    (
        "[rate_limit]\nstorage = 'memory://'",
        "FILE:4: storage = memory:// is not shared, but max_concurrency = 3 workers must share one budget. "
        "Use Redis, or max_concurrency = 1",
    ),
    (
        "[ledger]\npath = '/x/a'\n[halt]\nfile = '/x/a'",
        "FILE:6: halt.file and ledger.path are both /x/a",
    ),
]


@pytest.mark.parametrize(("toml", "said"), REFUSED, ids=[said[:60] for _, said in REFUSED])
def test_settings_that_cancel_each_other_are_refused_with_the_numbers(tmp_path: Path, toml: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, toml)
    assert str(caught.value).replace(str(tmp_path / "gscd.toml"), "FILE") == said


@pytest.mark.parametrize(
    "toml",
    [
        "[workers]\nmax_in_flight = 6",
        "[workers]\nmax_queue_size = 38",
        "[api]\ndeadline_seconds = 148",
        "[rate_limit]\nproject_qpm = 13",
        "[rate_limit]\nstorage = 'memory://'\n[workers]\nmax_concurrency = 1",
        "[workers]\nmax_concurrency = 1\nbatch_size = 1\nmax_in_flight = 2",
    ],
)
def test_the_very_edge_is_taken(tmp_path: Path, toml: str) -> None:
    settings(tmp_path, toml)


def test_a_refusal_by_the_environment_names_the_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^GSCD_WORKERS__MAX_CONCURRENCY: max_in_flight = 10 holds back"):
        settings(tmp_path, environ={"GSCD_WORKERS__MAX_CONCURRENCY": "8"})


def test_a_queue_that_is_merely_short_is_a_warning(tmp_path: Path) -> None:
    assert warnings(settings(tmp_path)) == ()
    discover = warnings(settings(tmp_path, "search_types = ['web', 'discover']"))
    assert discover == ("the report query_page is not fetched for discover: discover has no device and no query",)
    (told,) = warnings(settings(tmp_path, "[workers]\nmax_queue_size = 100"))
    assert told == "max_queue_size = 100 is filled to 80% (80 items), less than the 120 that keep 3 workers busy"


def test_the_seeds_formula_is_shown_and_only_warns(tmp_path: Path) -> None:
    got = settings(tmp_path)
    within = budget_formula(got, 1.5)
    assert (within.qpm, within.quota, within.over) == (1200.0, 1200, False)
    assert within.text == "3 workers × 10 queries × 60 / 1.50 s a batch = 1,200 a minute, of 1,200 that Google allows"
    beyond = budget_formula(got, 1.0)
    assert beyond.over
    assert beyond.text.endswith("= 1,800 a minute, over 1,200: the limiter holds them back")
    for nothing in (None, 0.0):
        unknown = budget_formula(got, nothing)
        assert (unknown.qpm, unknown.over) == (None, False)
        assert "holds from 1.5 s a batch on; none measured yet" in unknown.text


def test_places_that_are_not_there_are_told(tmp_path: Path) -> None:
    key = tmp_path / "key.json"
    key.write_text("{}")
    key.chmod(0o600)
    toml = "[ledger]\npath = 'l.db'\n[halt]\nfile = '{}'\n[api]\ncredentials = '{}'\n"
    check_places(settings(tmp_path, toml.format("HALT", "key.json")))
    check_places(settings(tmp_path, toml.format("HALT", "application-default")))
    for halt, credentials, said in (
        ("no/HALT", "key.json", r"gscd\.toml:6: halt\.file = .*/no/HALT, but there is no folder .*/no\. Make it"),
        (str(tmp_path), "key.json", r"gscd\.toml:6: halt\.file = .* is a folder, but must be a file"),
        ("HALT", "none.json", r"gscd\.toml:8: api\.credentials = .*none\.json: No such file or directory\. Put the"),
        ("HALT", str(tmp_path), r"gscd\.toml:8: api\.credentials = .* is no file"),
    ):
        with pytest.raises(ConfigError, match=said):
            check_places(settings(tmp_path, toml.format(halt, credentials)))
    key.chmod(0o644)
    with pytest.raises(ConfigError, match=r"everyone on this machine may read this key\. Run `chmod o= "):
        check_places(settings(tmp_path, toml.format("HALT", "key.json")))


def test_the_users_own_state_folder_is_made_private(tmp_path: Path) -> None:
    state = tmp_path / "a" / "gscd"
    got = dataclasses.replace(
        settings(tmp_path, f"[ledger]\npath = '{state}/l.db'\n[halt]\nfile = '{state}/HALT'"), state_folder=state
    )
    make_state_folder(got)
    make_state_folder(got)
    assert state.stat().st_mode & 0o777 == 0o700


def test_changes_are_told_apart_by_whether_a_reload_is_enough(tmp_path: Path) -> None:
    old = settings(tmp_path)
    new = settings(
        tmp_path,
        "lookback_days = 7\n[workers]\nbatch_size = 5\n[api]\ntransport = 'multipart'\n"
        "[telemetry]\nlog_level = 'debug'\nlisten = ''\n[[reports]]\nname = 'totals'\n",
    )
    live = ["workers.batch_size", "sync.lookback_days", "telemetry.log_level", "reports"]
    restart = ["api.transport", "telemetry.listen"]
    assert changes(old, new) == (live, restart)
    mixed = reloaded(old, new)
    assert (mixed.workers.batch_size, mixed.sync.lookback_days, mixed.reports) == (5, 7, (TOTALS,))
    assert (mixed.api.transport, mixed.telemetry.listen) == ("parallel", "127.0.0.1:9464")
    assert mixed.telemetry.log_level == "debug"
    assert mixed.origin("workers.batch_size").endswith(":5")
    assert mixed.origin("api.transport") == "default"
    assert changes(new, mixed) == ([], restart)


def test_what_needs_a_restart_and_what_does_not_is_as_designed() -> None:
    from gsc_daemon.settings.schema import every_setting

    live = {name for name, about in every_setting().items() if about.reload}
    assert live == {
        *(f"workers.{key}" for key in ("max_concurrency", "batch_size", "max_in_flight", "max_queue_size")),
        "workers.lease_seconds",
        *(f"rate_limit.{key}" for key in ("site_qpm", "user_qpm", "project_qpm", "budget_share")),
        *(
            f"sync.{key}"
            for key in ("sites", "search_types", "every", "new_sites", "lookback_days", "stop_after_empty_days")
        ),
        "telemetry.log_level",
    }


def test_a_reload_that_would_cancel_itself_is_refused(tmp_path: Path) -> None:
    old = settings(tmp_path, "[api]\ndeadline_seconds = 140")
    new = settings(tmp_path, "[workers]\nlease_seconds = 100")
    with pytest.raises(ConfigError, match="lease_seconds = 100 ends leases that are well"):
        reloaded(old, new)


@pytest.mark.parametrize(
    "other",
    ["dimensions = ['page', 'country']", "filters = ['country equals deu']", "aggregation = 'byPage'"],
)
def test_a_report_does_not_become_another_by_a_reload(tmp_path: Path, other: str) -> None:
    mine = "[[reports]]\nname = 'mine'\n"
    page = "dimensions = ['page']\n"
    old = settings(tmp_path, mine + page)
    new = settings(tmp_path, mine + ("" if "dimensions" in other else page) + other)
    with pytest.raises(ConfigError, match="the report mine was made with other dimensions, filters or aggregation"):
        reloaded(old, new)
    for_others = settings(tmp_path, f"{mine}{page}search_types = ['web', 'discover']")
    assert reloaded(old, for_others).reports[0].search_types == ("web", "discover")


def test_fingerprints_tell_that_a_value_changed_and_no_value(tmp_path: Path) -> None:
    old = settings(tmp_path, "[sink]\ndsn = 'host=h password=hush'")
    before = fingerprints(old, "run")
    assert "hush" not in str(before)
    assert changed_since(before, old, "run") == ([], [])
    new = settings(tmp_path, "[sink]\ndsn = 'host=h password=quiet'\n[workers]\nbatch_size = 5")
    assert changed_since(before, new, "run") == (["workers.batch_size"], ["sink.dsn"])
    assert fingerprints(old, "other run")["sink.dsn"] != before["sink.dsn"]


def test_values_from_the_environment_are_not_compared_with_another_process(tmp_path: Path) -> None:
    daemon = settings(tmp_path, environ={"GSCD_WORKERS__BATCH_SIZE": "5"})
    assert changed_since(fingerprints(daemon, "run"), settings(tmp_path), "run") == ([], [])


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can make a folder that another user cannot look into")
def test_what_only_the_daemons_user_sees_is_held_against_nobody() -> None:
    toml = "[ledger]\npath = '{0}/l.db'\n[halt]\nfile = '{0}/x/HALT'\n[api]\ncredentials = '{0}/key.json'\n"
    with open_folder() as folder:
        (folder / "private").mkdir(mode=0o700)
        got = settings(folder, toml.format("private"))
        assert as_nobody(lambda: check_places(got)) == "None"
        with pytest.raises(ConfigError, match=r"there is no folder .*/private/x\."):
            check_places(got)
        (folder / "private" / "x").mkdir()
        with pytest.raises(ConfigError, match=r"private/key\.json: No such file"):
            check_places(got)
