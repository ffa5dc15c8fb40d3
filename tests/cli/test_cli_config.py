"""`gscd config`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from gsc_daemon.settings import load
from gsc_daemon.settings.schema import every_setting


def test_good_settings_are_told_with_the_budget_formula(gscd: Callable[..., object]) -> None:
    said = gscd("config", "check")
    assert (said.code, said.out) == (0, "")
    assert said.err == (
        "FOLDER/gscd.toml: the settings are good\n"
        "3 workers × 10 queries × 60 / average seconds ≤ 1,200 a minute holds from 1.5 s a batch on; "
        "none measured yet\n"
    )


def test_good_settings_as_json(gscd: Callable[..., object], folder: Path) -> None:
    data = gscd("config", "check", "--json").data
    assert (data["ok"], data["file"], data["warnings"]) == (True, str(folder / "gscd.toml"), [])
    assert (data["budget_formula"]["qpm"], data["budget_formula"]["quota"]) == (None, 1200)


@pytest.mark.parametrize(
    ("toml", "said"),
    [
        (
            "[workers]\nbatch_size = 0\n",
            "gscd: FOLDER/gscd.toml:10: workers.batch_size = 0 must be from 1 to 1,000 items\n",
        ),
        (
            "[workers]\nmax_concurrency = 9\n",
            "gscd: FOLDER/gscd.toml:10: max_in_flight = 10 holds back max_concurrency",
        ),
        ("=\n", "gscd: FOLDER/gscd.toml:9: not valid TOML: Invalid statement, column 1."),
    ],
)
def test_bad_settings_are_one_line_and_exit_78(gscd: Callable[..., object], folder: Path, toml: str, said: str) -> None:
    with (folder / "gscd.toml").open("a") as file:
        file.write(toml)
    got = gscd("config", "check")
    assert (got.code, got.out) == (78, "")
    assert got.err.startswith(said)
    assert got.err.count("\n") == 1


def test_places_are_looked_at(gscd: Callable[..., object], folder: Path) -> None:
    (folder / "key.json").unlink()
    said = gscd("config", "check")
    assert said.code == 78
    assert (
        "api.credentials = FOLDER/key.json: No such file or directory. Put the service account's key file" in said.err
    )


def test_warnings_do_not_fail(gscd: Callable[..., object], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GSCD_WORKERS__MAX_QUEUE_SIZE", "100")
    said = gscd("config", "check")
    assert said.code == 0
    assert "\nwarning: max_queue_size = 100 is filled to 80%" in said.err


def test_show_says_where_each_value_comes_from(
    gscd: Callable[..., object], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GSCD_WORKERS__BATCH_SIZE", "20")
    monkeypatch.setenv("GSCD_SINK__DSN", "postgresql://u:hush@h/gsc")
    said = gscd("config", "show")
    assert (said.code, said.err) == (0, "")
    lines = {line.split()[0]: line.split()[1:] for line in said.out.splitlines()}
    assert lines["workers.batch_size"] == ["20", "GSCD_WORKERS__BATCH_SIZE"]
    assert lines["workers.max_concurrency"] == ["3", "default"]
    assert lines["sync.sites"] == ["sc-domain:example.com", f"{folder}/gscd.toml:6"]
    assert lines["sink.dsn"] == ["postgresql://u:***@h/gsc", "GSCD_SINK__DSN"]
    assert "hush" not in said.out
    data = gscd("config", "show", "--json").data
    assert set(data) == {*every_setting(), "reports", "credentials"}
    assert data["sink.dsn"] == {"value": "postgresql://u:***@h/gsc", "origin": "GSCD_SINK__DSN"}


def test_the_example_is_a_settings_file_and_wants_none(gscd: Callable[..., object], folder: Path) -> None:
    (folder / "gscd.toml").unlink()
    said = gscd("config", "example")
    assert (said.code, said.err) == (0, "")
    assert tomllib.loads(said.out)["sync"] == {"sites": ["sc-domain:example.com"]}
    (folder / "gscd.toml").write_text(said.out)
    load(folder / "gscd.toml", {})
