"""`gscd emulator`: its words become the emulator's settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from click.testing import CliRunner

from gsc_daemon import emulator as served
from gsc_daemon.cli.emulator import emulator
from gsc_daemon.emulator.config import EmulatorConfig, SiteSpec
from gsc_daemon.errors import UsageError


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """What would have been served."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(served, "serve", lambda *given: calls.append(given), raising=False)
    return calls


def run(*words: str) -> Any:
    return CliRunner().invoke(emulator, words, standalone_mode=False)


def test_without_words_it_is_one_site_at_once(started: list[tuple[Any, ...]]) -> None:
    done = run()
    assert started == [(EmulatorConfig(), "127.0.0.1", 8080)]
    assert (done.stdout, done.stderr) == ("", "serving sc-domain:example.com with 40,000 rows a day; Ctrl-C ends it\n")


def test_sites_rows_latency_and_any_other_setting(started: list[tuple[Any, ...]]) -> None:
    words = ["--site", "sc-domain:a.com", "--site", "https://b.com/", "--rows", "60000", "--latency", "0.5"]
    words += ["--port", "0", "--seed", "7", "--set", "hidden_qpm=60", "--set", 'faults=[{"kind": "503", "times": 2}]']
    assert run(*words).exception is None
    ((config, host, port),) = started
    assert config.sites == (
        SiteSpec("sc-domain:a.com", rows_per_day=60_000),
        SiteSpec("https://b.com/", rows_per_day=60_000),
    )
    assert (config.latency_median_s, config.latency_p99_s, config.seed, config.hidden_qpm) == (0.5, 1.5, 7, 60)
    assert (config.faults[0].kind, config.faults[0].times, host, port) == ("503", 2, "127.0.0.1", 0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--site", "example.com"], '--site "example.com" is not as Google spells it; write "sc-domain:example.com"'),
        (["--set", "hidden_qpm"], "--set hidden_qpm: write NAME=JSON"),
        (["--set", "hidden_qpm=sixty"], "--set hidden_qpm=sixty: write NAME=JSON"),
        (["--set", "nonsense=1"], "the emulator has no setting 'nonsense'"),
    ],
)
def test_wrong_words_start_nothing(started: list[tuple[Any, ...]], words: list[str], said: str) -> None:
    error = run(*words).exception
    assert isinstance(error, UsageError)
    assert str(error).startswith(said)
    assert started == []
