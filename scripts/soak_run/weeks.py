"""Soak, the weeks: the wall of a running daemon goes on by days, and every day is synced as a timer would."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from figures import Week, measure

from gsc_daemon.clock import OFFSET, SystemClock, pacific_today
from gsc_daemon.demo.stage import stage
from gsc_daemon.emulator import EmulatorConfig, SiteSpec

SITES: Final = ("sc-domain:example.com", "https://www.example.com/")
FIRST_DAYS: Final = 10


def _settings() -> dict[str, dict[str, Any]]:
    return {
        "rate_limit": {"site_qpm": 100_000, "user_qpm": 100_000, "project_qpm": 1_000_000},
        "sync": {"sites": list(SITES), "every": ""},
        "telemetry": {"listen": "127.0.0.1:0"},
    }


def pass_weeks(weeks: int, rows: int, step: int) -> Iterator[Week]:
    """One daemon through all of them, measured at the end of each; reconciled at the end. Raises `GscdError`."""
    today = pacific_today(SystemClock())
    sites = tuple(SiteSpec(name, rows_per_day=rows, seed=seed, rows_vary=0.2) for seed, name in enumerate(SITES))
    config = EmulatorConfig(sites=sites, site_qpm=10**6, user_qpm=10**6, project_qpm=10**7, today=today)
    with stage(config, **_settings()) as made:
        moved = made.folder / "offset"
        _move(moved, 0)
        os.environ[OFFSET] = str(moved)
        try:
            clock = SystemClock()
            with made.daemon() as process:
                first = today - dt.timedelta(days=FIRST_DAYS)
                made.gscd("sync", "range", "--from", str(first), "--to", str(today), "--wait")
                for week in range(1, weeks + 1):
                    for days in range((week - 1) * 7 + step, week * 7 + 1, step):
                        made.emulator.configure(today=today + dt.timedelta(days=days))
                        _move(moved, days)
                        made.gscd("sync", "recent", "--wait")
                    if process.poll() is not None:
                        raise made.failed(process)
                    yield measure(made, process.pid, week, clock.wall_ms())
                made.gscd("reconcile")
        finally:
            del os.environ[OFFSET]


def _move(file: Path, days: int) -> None:
    """Let so many days have passed; whoever looks meanwhile sees the one figure or the other."""
    new = file.with_suffix(".new")
    new.write_text(str(days * 86_400))
    new.replace(file)
