"""Chaos, the report: every row against the truth, how long leases stayed with the dead, who was left over."""

from __future__ import annotations

import contextlib
import datetime as dt
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import psutil
from faults import Faults, Kill
from work import DATES, LAST, Work

from gsc_daemon.demo.stage import Stage
from gsc_daemon.reconcile import look
from gsc_daemon.wiring import make_sink, open_ledger

ALONE_MS: Final = 1_500  # a coordinator, or a whole daemon, killed within this time before may still be starting


@dataclass(frozen=True, slots=True)
class Report:
    """What a run has shown.

    Args:
        missing, doubled: rows. wrong: days with other values. differences: of ledger and Postgres. recovery: seconds
            from a worker's SIGKILL to its leases being free (where coordinator and supervisor lived): median, 99%,
            longest; the same of halts.
        wasted: queries that were served beyond what was published in the end. orphans: processes left.
    """

    faults: dict[str, int]
    kills: int
    starts: int
    published: int
    rows_audited: int
    missing: int
    doubled: int
    wrong: int
    differences: int
    recovered: int
    recovery: tuple[float, float, float]
    halts: int
    halt: tuple[float, float, float]
    wasted: int
    orphans: int
    commands_failed: tuple[str, ...]

    @property
    def clean(self) -> bool:
        """Whether nothing was lost, doubled, wrong or left over."""
        return not (self.missing or self.doubled or self.wrong or self.differences or self.orphans)

    @staticmethod
    def of(made: Stage, work: Work, faults: Faults) -> Report:
        """Audit everything."""
        rows, missing, doubled, wrong = _audit(made)
        recovery = _recovery(made.settings.ledger.path, faults.kills)
        ledger, sink = open_ledger(made.settings), make_sink(made.settings)
        try:
            differences = len(look(ledger, sink).differences)
        finally:
            sink.close()
            ledger.close()
        published, served = _published(made.settings.ledger.path), _served(made)
        work.close()
        return Report(
            faults=dict(faults.done.most_common()),
            kills=len(faults.kills),
            starts=work.starts,
            published=published,
            rows_audited=rows,
            missing=missing,
            doubled=doubled,
            wrong=wrong,
            differences=differences,
            recovered=len(recovery),
            recovery=_spread(recovery),
            halts=len(faults.halts),
            halt=_spread(faults.halts),
            wasted=served - published,
            orphans=_orphans(made.config),
            commands_failed=tuple(sorted(set(work.commands_failed))),
        )

    def as_json(self) -> dict[str, Any]:
        """For other programs."""
        return asdict(self)

    def text(self) -> str:
        """For a person."""
        lines = [f"{number:8,}  {what}" for what, number in self.faults.items()]
        lines += [
            "",
            f"{self.kills:,} kills, {self.starts} starts",
            f"{self.published:,} times a day was published; {self.rows_audited:,} rows audited",
            f"{self.missing} missing, {self.doubled} double, {self.wrong} days wrong; "
            f"{self.differences} differences of ledger and Postgres",
            "recovery of {:,} dead workers' leases: {:.3f} s median, {:.3f} s 99%, {:.3f} s at most".format(
                self.recovered, *self.recovery
            ),
            "{:,} halts: {:.2f} s median, {:.2f} s 99%, {:.2f} s at most".format(self.halts, *self.halt),
            f"{self.wasted:,} first requests of days were served for nothing; {self.orphans} processes left over",
            *(f"failed: {words}" for words in self.commands_failed[:5]),
            "clean" if self.clean else "NOT CLEAN",
        ]
        return "\n".join(lines)


def _audit(made: Stage) -> tuple[int, int, int, int]:
    """Rows, missing ones, double ones, days with other values."""
    sink = make_sink(made.settings)
    try:
        held = {
            (one.day.site, str(one.day.date)): one
            for one in sink.audit(None, None, None, digests=True)
            if one.day.report == "query_page"
        }
    finally:
        sink.close()
    rows = missing = doubled = wrong = 0
    for site, dates in DATES.items():
        for truth in made.emulator.truth(site, LAST - dt.timedelta(days=dates - 1), LAST):
            one = held.get((site, truth["date"]))
            has = one.rows if one else 0
            rows += has
            missing += max(0, truth["rows"] - has)
            doubled += max(0, has - truth["rows"])
            figures = (one.clicks, one.impressions, one.digest) if one else None
            wrong += figures != (truth["clicks"], truth["impressions"], truth["digest"])
    return rows, missing, doubled, wrong


def _recovery(ledger: Path, kills: Sequence[Kill]) -> list[float]:
    """Seconds from each worker's death to its leases being free, unless who would free them was killed besides."""
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as side:
        query = "SELECT pid, max(gone_ms) FROM worker WHERE gone_ms IS NOT NULL GROUP BY pid"
        gone = dict(side.execute(query).fetchall())
    others = [kill.at_ms for kill in kills if kill.whom != "worker"]
    found = []
    for kill in kills:
        if kill.whom == "worker" and kill.pid in gone:
            took = max(0, gone[kill.pid] - kill.at_ms)
            if not any(kill.at_ms - ALONE_MS < at < kill.at_ms + took for at in others):
                found.append(took / 1000)
    return found


def _published(ledger: Path) -> int:
    with contextlib.closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as side:
        return int(side.execute("SELECT sum(published_generation) FROM day").fetchone()[0])


def _served(made: Stage) -> int:
    return sum(one["served"] for one in made.emulator.stats()["fetches"] if one["start_row"] == 0)


def _spread(values: Sequence[float]) -> tuple[float, float, float]:
    if not values:
        return 0.0, 0.0, 0.0
    rising = sorted(values)
    return rising[len(rising) // 2], rising[int(len(rising) * 0.99)], rising[-1]


def _orphans(config: Path) -> int:
    """Processes that still work with these settings."""
    time.sleep(0.5)
    return sum(
        str(config) in " ".join(process.info["cmdline"] or ()) and "run" in (process.info["cmdline"] or ())
        for process in psutil.process_iter(["cmdline"])
    )
