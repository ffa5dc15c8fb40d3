"""What the ledger's tests share: a clock that stands still, days by number, and one worker's doings in short."""

from __future__ import annotations

import datetime as dt
import itertools
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from gsc_daemon.model import Batch, Day, DayState, Item, NoBatch, Priority, Receipt, Send, WantedDay, WorkerIdentity
from gsc_daemon.ports import Ledger

RUN = "run-1"
SITE = "sc-domain:example.com"
OTHER = "https://www.example.org/"
NEWEST = dt.date(2026, 11, 20)
NOON_MS = int(dt.datetime(2026, 11, 24, 12, tzinfo=dt.UTC).timestamp() * 1000)


class StillClock:
    """Time goes on only when it is told to."""

    def __init__(self, now_ms: int = NOON_MS) -> None:
        self.now_ms = now_ms

    def wall_ms(self) -> int:
        return self.now_ms

    def monotonic(self) -> float:
        return self.now_ms / 1000

    def go_on(self, seconds: float) -> None:
        self.now_ms += round(seconds * 1000)


def day(number: int, site: str = SITE, report: str = "query_page", search_type: str = "web") -> Day:
    """Days back from the newest."""
    return Day(site, report, search_type, NEWEST - dt.timedelta(days=number))


def receipt(of: Day, generation: int, token: int, rows: int = 1_000, **more: bool | int) -> Receipt:
    return Receipt(of, generation, token, DayState.FINAL, rows, 10, 100, **more)  # type: ignore[arg-type]


@dataclass
class Scene:
    """A ledger with a clock and workers."""

    ledger: Ledger
    clock: StillClock
    open: Callable[[], Ledger]
    pids: Iterable[int] = field(default_factory=lambda: itertools.count(1000))

    def seeded(self) -> Scene:
        self.ledger.seed(RUN, 0, [])
        return self

    def worker(self, slot: int = 0) -> int:
        """A worker; its pid is 999 + its id."""
        return self.ledger.register_worker(WorkerIdentity(slot, next(iter(self.pids)), 7, "boot"), RUN)

    def die(self, worker_id: int) -> int:
        identity = dict(self.ledger.workers())[worker_id]
        return self.ledger.release_dead(identity.pid, identity.pid_start)

    def want(self, *days: Day, priority: Priority = Priority.RECENT, force: bool = False, allow_loss: bool = False):  # type: ignore[no-untyped-def]
        return self.ledger.add_days([WantedDay(one, priority, force, allow_loss) for one in days])

    def ready(self, *days: Day, priority: Priority = Priority.RECENT) -> None:
        """Wanted, and queued."""
        self.want(*days, priority=priority)
        self.ledger.top_up(10_000, 100_000)

    def take(self, worker_id: int, size: int = 10, in_flight: int = 100) -> Batch:
        batch = self.ask(worker_id, size, in_flight)
        assert isinstance(batch, Batch), batch
        return batch

    def ask(self, worker_id: int, size: int = 10, in_flight: int = 100) -> Batch | NoBatch:
        return self.ledger.take_batch(
            worker_id, batch_size=size, max_in_flight=in_flight, lease_seconds=180.0, run_id=RUN
        )

    def send(self, batch: Batch, *items: Item) -> None:
        """Mark items active; all of the batch if none is named."""
        now = self.clock.wall_ms()
        chosen = items or batch.items
        sends = [Send(now, batch.site, "cred", 1) for _ in chosen]
        self.ledger.start_items(batch.token, [item.item_id for item in chosen], sends, 180.0)

    def finish(self, batch: Batch, *items: Item) -> None:
        for item in items or batch.items:
            self.ledger.submit_results(batch.token, receipt(item.day, item.generation, batch.token))

    def publish(self, *days: Day) -> None:
        """All the way: wanted, queued, leased, done."""
        self.ready(*days)
        worker = self.worker()
        while isinstance(batch := self.ask(worker), Batch):
            self.finish(batch)
        self.ledger.retire_worker(worker, "done")

    def states(self) -> dict[Day, tuple[str, int, int, tuple[int, ...]]]:
        """Day → state, published generation, rows, start rows."""
        return {of: (state, generation, rows, starts) for of, state, generation, rows, starts in self._receipts()}

    def state(self, of: Day) -> str:
        return self.states()[of][0]

    def _receipts(self):  # type: ignore[no-untyped-def]
        return self.ledger.receipts(None, None, None)


def inconsistencies(plain: sqlite3.Connection) -> list[object]:
    """What may be true of no ledger, whatever was done to it."""
    found: list[object] = [row for row in plain.execute("PRAGMA quick_check") if row != ("ok",)]
    found += plain.execute("PRAGMA foreign_key_check").fetchall()
    counted = """
        SELECT site_id, 'day', state, count(*) FROM day GROUP BY site_id, state
        UNION ALL SELECT site_id, 'item', state, count(*) FROM item GROUP BY site_id, state"""
    tally = "SELECT * FROM tally WHERE n <> 0"
    found += plain.execute(f"SELECT * FROM ({tally} EXCEPT SELECT * FROM ({counted}))").fetchall()
    found += plain.execute(f"SELECT * FROM ({counted}) EXCEPT SELECT * FROM tally").fetchall()
    found += plain.execute(MISFITS).fetchall()
    return found


MISFITS = """
    SELECT 'queued, but without exactly one live first item', day_id FROM day WHERE state = 'queued' AND 1 <>
        (SELECT count(*) FROM item WHERE item.day_id = day.day_id
            AND start_row = 0 AND item.state IN ('ready', 'waiting', 'leased'))
    UNION ALL
    SELECT 'not queued, but with a live item', day_id FROM day JOIN item USING (day_id)
        WHERE day.state <> 'queued' AND item.state IN ('ready', 'waiting', 'leased')
    UNION ALL
    SELECT 'quarantined without a quarantined item, or the reverse', day_id FROM day WHERE (state = 'quarantined') <>
        EXISTS (SELECT 1 FROM item WHERE item.day_id = day.day_id AND item.state = 'quarantined')
    UNION ALL
    SELECT 'published, with an item of another generation', day_id FROM day JOIN item USING (day_id)
        WHERE day.state = 'published' AND done_generation <> published_generation
    UNION ALL
    SELECT 'published without a first item', day_id FROM day WHERE published_generation > 0 AND NOT EXISTS
        (SELECT 1 FROM item WHERE item.day_id = day.day_id AND start_row = 0 AND done_generation = published_generation)
"""
