"""`gscd emulator`: its words become the emulator's settings."""

from __future__ import annotations

import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import google.auth.transport.requests
import pytest
from click.testing import CliRunner
from google.oauth2 import service_account

from gsc_daemon import emulator as served
from gsc_daemon.cli.emulator import emulator
from gsc_daemon.emulator.config import EmulatorConfig, SiteSpec
from gsc_daemon.errors import NotPermitted, UsageError
from gsc_daemon.settings import load


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[Any, ...]]]:
    """What would have been served."""
    calls: list[tuple[Any, ...]] = []
    monkeypatch.setattr(served, "serve", lambda *given, accounts, ready: calls.append(given))
    return calls


def run(*words: str) -> Any:
    return CliRunner().invoke(emulator, words, standalone_mode=False)


def test_without_words_it_is_one_site_at_once(started: list[tuple[Any, ...]]) -> None:
    done = run()
    assert started == [(EmulatorConfig(), "127.0.0.1", 8080)]
    assert (done.stdout, done.stderr) == ("", "serving sc-domain:example.com with 40,000 rows a day; Ctrl-C ends it\n")


def test_sites_rows_latency_and_any_other_setting(started: list[tuple[Any, ...]]) -> None:
    words = ["--site", "sc-domain:a.com", "--site", "https://b.com/", "--rows", "60000", "--latency", "0.5"]
    words += [
        "--port",
        "0",
        "--seed",
        "7",
        "--qpm",
        "600",
        "--set",
        "hidden_qpm=60",
        "--set",
        'faults=[{"kind": "503", "times": 2}]',
    ]
    assert run(*words).exception is None
    ((config, host, port),) = started
    assert config.sites == (
        SiteSpec("sc-domain:a.com", rows_per_day=60_000),
        SiteSpec("https://b.com/", rows_per_day=60_000),
    )
    assert (config.latency_median_s, config.latency_p99_s, config.seed, config.hidden_qpm) == (0.5, 1.5, 7, 60)
    assert (config.site_qpm, config.user_qpm) == (600, 600)
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


@contextlib.contextmanager
def program(*words: str) -> Iterator[subprocess.Popen[str]]:
    """`gscd emulator`, ended by its pid."""
    command = [sys.executable, "-m", "gsc_daemon", "emulator", "--port", "0", "--rows", "10", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def test_it_prints_its_url_writes_key_and_settings_that_fit_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    with program("--write", str(tmp_path / "try"), "--site", "https://b.com/", "--qpm", "60") as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", url)
        settings = load(tmp_path / "try" / "gscd.toml", {})
        assert (settings.api.endpoint, settings.sync.sites, settings.rate_limit.user_qpm) == (
            url,
            ("https://b.com/",),
            60,
        )
        assert settings.api.credentials.stat().st_mode & 0o777 == 0o600
        scopes = ["https://www.googleapis.com/auth/webmasters.readonly"]
        credentials = service_account.Credentials.from_service_account_file(settings.api.credentials, scopes=scopes)
        session = google.auth.transport.requests.AuthorizedSession(credentials)
        with session.get(f"{url}/webmasters/v3/sites") as response, session:
            assert response.json() == {"siteEntry": [{"siteUrl": "https://b.com/", "permissionLevel": "siteOwner"}]}
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert said.splitlines()[-1] == "gscd: interrupted"


def test_a_folder_that_cannot_be_made_is_said_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with program("--write", str(tmp_path / "file" / "try")) as process:
        _, said = process.communicate(timeout=30)
    assert process.returncode == NotPermitted.exit_code
    assert said.splitlines()[-1].startswith(f"gscd: cannot write to {tmp_path / 'file' / 'try'}: Not a directory")
