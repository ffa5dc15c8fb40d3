"""Soak, the figures: what is measured at the end of each week, and which of it may not grow."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import psutil
import psycopg

from gsc_daemon.demo.stage import Stage, relatives

HISTORY_DAYS: Final = 30  # as docs/ledger.md states; a day more is what lies between two syncs
WAL_BYTES: Final = 16 * 2**20
SETTLED: Final = 2  # the week from which memory and tables are compared
FULL: Final = 6  # the week from which history is, all of whose 30 days are there, and connections, opened as needed
HEAD: Final = (
    "week  processes  PSS MB  files  WAL KB  ledger KB  history  oldest d  batches  sends"
    "      rows  bytes/row  dead %  catalog KB"
)
# The catalogs are where temporary tables leave their dead rows.
POSTGRES: Final = """
    SELECT (SELECT count(*) FROM gsc.search_analytics),
           (SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_user_tables WHERE schemaname = 'gsc'),
           (SELECT 100.0 * sum(n_dead_tup) / greatest(sum(n_live_tup + n_dead_tup), 1) FROM pg_stat_user_tables
             WHERE schemaname = 'gsc'),
           (SELECT sum(pg_total_relation_size(relid)) FROM pg_stat_sys_tables WHERE schemaname = 'pg_catalog')
"""
LEDGER: Final = """
    SELECT (SELECT count(*) FROM history), (SELECT (:now - min(at_ms)) / 86400e3 FROM history),
           (SELECT count(*) FROM batch), (SELECT count(*) FROM send)
"""


@dataclass(frozen=True)
class Week:
    """What was measured when a week had passed; sizes in bytes, ``oldest_days`` of the history in days."""

    number: int
    processes: int
    pss: int
    files: int
    wal: int
    ledger: int
    history: int
    oldest_days: float
    batches: int
    sends: int
    rows: int
    bytes_per_row: float
    dead_percent: float
    catalog: int

    def line(self) -> str:
        """As a line under `HEAD`."""
        return (
            f"{self.number:>4}  {self.processes:>9}  {self.pss / 2**20:>6.1f}  {self.files:>5}  {self.wal / 1024:>6.0f}"
            f"  {self.ledger / 1024:>9.0f}  {self.history:>7}  {self.oldest_days:>8.1f}  {self.batches:>7}"
            f"  {self.sends:>5}  {self.rows:>8}  {self.bytes_per_row:>9.0f}  {self.dead_percent:>6.1f}"
            f"  {self.catalog / 1024:>10.0f}"
        )


def measure(made: Stage, daemon: int, number: int, now_ms: int) -> Week:
    """Now, of the daemon with this pid and all its children."""
    family = relatives(daemon)
    path = made.settings.ledger.path
    wal = path.with_name(path.name + "-wal")
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as ledger:
        history, oldest, batches, sends = ledger.execute(LEDGER, {"now": now_ms}).fetchone()
    with psycopg.connect(made.postgres.dsn) as connection:
        row = connection.execute(POSTGRES).fetchone()
        assert row is not None
        rows, size, dead, catalog = row
    return Week(
        number=number,
        processes=len(family),
        pss=sum(process.memory_full_info().pss for process in family),
        files=sum(map(psutil.Process.num_fds, family)),
        wal=_size(wal),
        ledger=_size(path),
        history=history,
        oldest_days=oldest or 0.0,
        batches=batches,
        sends=sends,
        rows=rows,
        bytes_per_row=float(size) / max(rows, 1),
        dead_percent=float(dead),
        catalog=int(catalog),
    )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def faults(weeks: list[Week]) -> list[str]:
    """What is not flat, in words; weeks before the settled ones are for warming up."""
    found = [
        f"week {week.number}: history goes back {week.oldest_days:.1f} days, more than {HISTORY_DAYS}"
        for week in weeks
        if week.oldest_days > HISTORY_DAYS + 1
    ]
    found += [f"week {week.number}: a WAL of {week.wal} bytes" for week in weeks if week.wal > WAL_BYTES]
    # What a figure may be above its settled one: a share of it, and an absolute amount for what is small.
    rules = (
        ("processes", SETTLED, 1.0, 0),
        ("pss", SETTLED, 1.1, 8 * 2**20),
        ("files", FULL, 1.0, 6),
        ("history", FULL, 1.15, 100),
        ("batches", SETTLED, 1.25, 20),
        ("bytes_per_row", SETTLED, 1.1, 0),
        ("catalog", FULL, 1.25, 2**20),
    )
    for name, since, share, more in rules:
        settled = [week for week in weeks if week.number >= since]
        if len(settled) > 1:
            first, last = getattr(settled[0], name), getattr(settled[-1], name)
            if last > first * share + more:
                found.append(f"{name} grew from {first:.0f} in week {settled[0].number} to {last:.0f} at the end")
    return found
