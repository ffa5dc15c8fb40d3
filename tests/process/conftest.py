"""The whole of gscd on a stage of its own: emulator, Redis, Postgres, settings, and the daemon as users start it."""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from gsc_daemon import servers
from gsc_daemon.clock import OFFSET, SystemClock, pacific_today
from gsc_daemon.emulator import Emulator, EmulatorConfig, SiteSpec
from gsc_daemon.halt import DaemonView, daemon_path, read_daemon
from gsc_daemon.model import Day
from gsc_daemon.sink import PostgresSink

SITE = "sc-domain:example.com"
LAST = pacific_today(SystemClock()) - dt.timedelta(days=10)  # every day of the tests is final

SETTINGS = """\
[ledger]
path = "ledger.db"
[halt]
file = "HALT"
[workers]
max_concurrency = {workers}
batch_size = {batch_size}
[api]
endpoint = "{endpoint}"
credentials = "key.json"
transport = "{transport}"
[rate_limit]
storage = "{redis}"
site_qpm = 6000
user_qpm = 6000
[sink]
dsn = "{dsn}"
[sync]
sites = {sites}
{sync}
[telemetry]
listen = ""
log_level = "debug"
"""


@dataclass
class Stage:
    """One folder with settings, ledger and key; the servers behind it; the daemons started on it."""

    folder: Path
    emulator: Emulator
    dsn: str
    redis: str
    sites: tuple[str, ...]
    offset_days: int = 0
    daemons: list[subprocess.Popen[str]] = field(default_factory=list)
    variables: dict[str, str] = field(default_factory=dict)
    last: dt.date = LAST

    def settings(
        self, *, workers: int = 3, batch_size: int = 4, transport: str = "parallel", sync: str = 'every = ""'
    ) -> None:
        """Write the settings file."""
        text = SETTINGS.format(
            workers=workers,
            batch_size=batch_size,
            transport=transport,
            endpoint=self.emulator.url,
            redis=self.redis,
            dsn=self.dsn,
            sites=json.dumps(self.sites),
            sync=sync,
        )
        (self.folder / "gscd.toml").write_text(text)

    def gscd(self, *words: str, timeout: float = 60.0) -> subprocess.CompletedProcess[str]:
        """One command, to its end."""
        return subprocess.run(
            self._command(*words), capture_output=True, text=True, timeout=timeout, env=self._environment()
        )

    def pass_to(self, date: dt.date, **config: Any) -> None:
        """Let it be that Pacific date, for Google and for us; only forward."""
        self.offset_days = (date - pacific_today(SystemClock())).days
        self.emulator.configure(today=date, **config)

    def span(self, days: int) -> tuple[str, ...]:
        """The newest days, as options."""
        return "--from", str(self.last - dt.timedelta(days=days - 1)), "--to", str(self.last)

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start a command and do not wait for it."""
        return self._start(*words)

    def wanted(self, days: int, *more: str) -> None:
        """Put the newest days into the ledger."""
        said = self.gscd("sync", "range", *self.span(days), *more)
        assert said.returncode == 0, said.stderr

    def daemon(self, *words: str) -> subprocess.Popen[str]:
        """Start `gscd run` in a session of its own; its words go to daemon.log."""
        return self._start("run", *words)

    def _start(self, *words: str) -> subprocess.Popen[str]:
        log = (self.folder / "daemon.log").open("a")
        process = subprocess.Popen(
            self._command(*words), stdout=log, stderr=log, text=True, start_new_session=True, env=self._environment()
        )
        log.close()
        self.daemons.append(process)
        return process

    def finish(self) -> int:
        """Run until nothing is left to do; the exit code."""
        return self.daemon("--until-idle").wait(timeout=90)

    def log(self) -> str:
        """What the daemons said."""
        return (self.folder / "daemon.log").read_text()

    def view(self) -> DaemonView:
        """What the daemon's file says."""
        view = read_daemon(daemon_path(self.folder / "ledger.db"))
        return view if view is not None else DaemonView(locked=False, alive=False)

    def workers(self) -> list[int]:
        """Pids of the workers that live."""
        return [worker.pid for worker in self.view().workers]

    def children(self, process: subprocess.Popen[str]) -> list[int]:
        """Pids of a daemon's living children."""
        listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
        return [int(pid) for pid in listed.split()]

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """Ask the ledger, as an operator would."""
        with contextlib.closing(sqlite3.connect(f"file:{self.folder}/ledger.db?mode=ro", uri=True)) as ledger:
            return ledger.execute(query).fetchall()

    def queries(self) -> int:
        """Queries that the emulator was asked."""
        seen = self.emulator.stats()["seen"]
        return int(seen["query"]["count"]) if "query" in seen else 0

    def held(self) -> list[Day]:
        """Days that Postgres holds."""
        sink = PostgresSink(self.dsn, "gsc")
        try:
            made = sink.facts().schema_version > 0
            return [one.day for one in sink.audit(None, None, None) if one.receipt is not None] if made else []
        finally:
            sink.close()

    def differences(self, days: int) -> list[str]:
        """Every difference between Postgres and the emulator's truth, day by day: rows, sums, and every value."""
        first = self.last - dt.timedelta(days=days - 1)
        found = []
        sink = PostgresSink(self.dsn, "gsc")
        try:
            held = {
                (one.day.site, one.day.report, str(one.day.date)): one
                for one in sink.audit(None, None, None, digests=True)
            }
        finally:
            sink.close()
        for site in self.sites:
            for truth in self.emulator.truth(site, first, self.last):
                day = held.pop((site, "query_page", truth["date"]), None)
                totals = held.pop((site, "totals", truth["date"]), None)
                if day is None or totals is None:
                    found.append(f"{site} {truth['date']} is missing")
                    continue
                if (day.rows, day.clicks, day.impressions, day.digest) != _figures(truth):
                    found.append(f"{day} is not {truth}")
                if (totals.clicks, totals.impressions) != (truth["total_clicks"], truth["total_impressions"]):
                    found.append(f"{totals} is not {truth}")
        return found + [f"{one} is too many" for one in held.values()]

    @staticmethod
    def signal(pid: int, number: int) -> None:
        """To one process."""
        os.kill(pid, number)

    def _command(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "gsc_daemon", "--config", str(self.folder / "gscd.toml"), *words]

    def _environment(self) -> dict[str, str]:
        moved = {OFFSET: str(self.offset_days * 86_400)}
        return {"PATH": os.environ["PATH"], "HOME": str(self.folder), **moved, **self.variables}

    def close(self) -> None:
        """Nobody outlives the test."""
        for process in self.daemons:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _figures(truth: dict[str, Any]) -> tuple[int, ...]:
    return truth["rows"], truth["clicks"], truth["impressions"], truth["digest"]


@pytest.fixture
def until() -> Callable[..., None]:
    """Wait until something is so; fails with what was waited for."""

    def wait(condition: Callable[[], Any], what: str = "it", seconds: float = 45.0) -> None:
        deadline = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < deadline, f"{what} did not come to be"
            time.sleep(0.02)

    return wait


@pytest.fixture
def set_stage(tmp_path: Path, dsn: str, redis_url: str) -> Iterator[Callable[..., Stage]]:
    """A stage with an emulator of these settings, each time one is asked for."""
    with contextlib.ExitStack() as stack:

        def build(
            *,
            sites: tuple[str, ...] = (SITE,),
            rows: int | tuple[int, ...] = 3_000,
            dsn: str = dsn,
            redis: str = redis_url,
            about_sites: Mapping[str, Any] = types.MappingProxyType({}),
            **config: Any,
        ) -> Stage:
            each = rows if isinstance(rows, tuple) else (rows,) * len(sites)
            specs = tuple(
                SiteSpec(site_url=site, rows_per_day=count, seed=seed, **about_sites)
                for seed, (site, count) in enumerate(zip(sites, each, strict=True))
            )
            settings = EmulatorConfig(sites=specs, site_qpm=60_000, user_qpm=60_000, **config)
            emulator = stack.enter_context(Emulator(settings, tmp_path))
            stage = Stage(tmp_path, emulator, dsn, redis, sites)
            emulator.service_account_file(tmp_path / "key.json")
            stage.settings()
            stack.callback(stage.close)
            return stage

        yield build


@pytest.fixture
def own_servers() -> Iterator[tuple[servers.Postgres, servers.Redis]]:
    """A Postgres and a Redis of this test alone, to stop, kill and freeze."""
    with servers.postgres(private=True) as postgres, servers.redis(private=True) as redis:
        yield postgres, redis
