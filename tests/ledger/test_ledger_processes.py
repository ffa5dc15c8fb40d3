"""Several processes on one ledger: nothing is leased twice, nobody starves, and kills at any moment lose nothing."""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import time
from collections import Counter
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ledger_scene import OTHER, RUN, SITE, day, inconsistencies, receipt

from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import LeaseLost
from gsc_daemon.ledger import SqliteLedger, open_ledger
from gsc_daemon.model import Batch, Day, NoBatch, Send, WantedDay, WorkerIdentity

SITES = (SITE, OTHER, "sc-domain:third.example")


def fill(path: Path, days: int) -> list[Day]:
    """A ledger with so many ready days of each site."""
    wanted = [day(number, site) for site in SITES for number in range(days)]
    with closing(open_ledger(path, SystemClock(), create=True)) as ledger:
        ledger.seed(RUN, 0, [])
        ledger.add_days(WantedDay(one) for one in wanted)
        ledger.top_up(100_000, 1_000_000)
    return wanted


def forked(work: Callable[[], None]) -> int:
    """A child that does the work and ends; gives its pid."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        finally:
            os._exit(code)
    return pid


def ended_well(*pids: int) -> bool:
    """Waits for all of them."""
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    return set(codes) == {0}


def work_off(path: Path, slot: int, log: Path | None) -> None:
    """A worker's whole life: claim, send, finish, until nothing is ready; each finished day goes into the log."""
    with closing(open_ledger(path, SystemClock())) as ledger:
        worker = ledger.register_worker(WorkerIdentity(slot, os.getpid(), 1, "boot"), RUN)
        while (batch := claim(ledger, worker)) is not NoBatch.EMPTY:
            assert isinstance(batch, Batch)
            finish(ledger, batch, log)


def claim(ledger: SqliteLedger, worker: int) -> Batch | NoBatch:
    return ledger.take_batch(worker, batch_size=10, max_in_flight=100, lease_seconds=60.0, run_id=RUN)


def finish(ledger: SqliteLedger, batch: Batch, log: Path | None) -> None:
    now = time.time_ns() // 1_000_000
    ids = [item.item_id for item in batch.items]
    ledger.start_items(batch.token, ids, [Send(now, batch.site, "cred", 1) for _ in ids], 60.0)
    for item in batch.items:
        rows = 1_000
        if item.day.date.day % 3 == 0:  # a day of two requests
            ledger.add_next_item(batch.token, item.item_id)
            rows = 26_000
        ledger.submit_results(batch.token, receipt(item.day, item.generation, batch.token, rows=rows))
        if log is not None:
            with log.open("a") as file:
                file.write(json.dumps([item.item_id, item.generation, batch.token, os.getpid()]) + "\n")


def check_all_done(path: Path, wanted: list[Day]) -> None:
    with closing(open_ledger(path, SystemClock())) as ledger:
        assert ledger.facts().problems == ()
        found = {of: (state, starts) for of, state, _, _, starts in ledger.receipts(None, None, None)}
    expected = {of: ("published", (0, 25_000) if of.date.day % 3 == 0 else (0,)) for of in wanted}
    assert found == expected
    with closing(sqlite3.connect(path)) as plain:
        assert inconsistencies(plain) == []
        assert plain.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_processes_that_contend_lease_nothing_twice_and_none_starves(path: Path, tmp_path: Path) -> None:
    wanted = fill(path, 300)
    log = tmp_path / "log"
    pids = [forked(lambda slot=slot: work_off(path, slot, log)) for slot in range(4)]  # type: ignore[misc]
    assert ended_well(*pids)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert len(lines) == len({item for item, *_ in lines}) == len(wanted)
    tokens: dict[int, int] = {}
    assert all(tokens.setdefault(token, pid) == pid for _, _, token, pid in lines)
    shares = Counter(pid for *_, pid in lines)
    assert set(shares) == set(pids)
    assert min(shares.values()) > len(wanted) / 40
    check_all_done(path, wanted)


class Killer:
    """Keeps workers at work, and kills them at random moments, as the supervisor sees and tells their deaths."""

    def __init__(self, path: Path, seed: int) -> None:
        self.path, self.random = path, random.Random(seed)
        self.kills = self.slots = 0
        self.living: set[int] = set()

    def run(self, ledger: SqliteLedger, wanted: list[Day], kills: int) -> None:
        """Until all is done; as long as kills are wanting, it is all wanted again."""
        while self.kills < kills or not ledger.counts().idle:
            if ledger.counts().idle:
                ledger.add_days(WantedDay(one, force=True) for one in wanted)
            ledger.requeue_quarantined(None, None, None)  # innocents that were killed three times alone
            ledger.top_up(100_000, 1_000_000)
            while len(self.living) < 3:
                self.slots += 1
                self.living.add(forked(lambda: work_off(self.path, self.slots, None)))
            victim = self.random.choice(sorted(self.living))
            if self.kills < kills:
                time.sleep(self.random.uniform(0.0, 0.03))  # any moment will do
                os.kill(victim, signal.SIGKILL)
                self.kills += 1
            self.bury(ledger, victim)

    def bury(self, ledger: SqliteLedger, pid: int) -> None:
        os.waitpid(pid, 0)
        self.living.remove(pid)
        ledger.release_dead(pid, 1)


@pytest.mark.parametrize("seed", [1, 2])
def test_kills_at_any_moment_lose_and_double_nothing(path: Path, seed: int) -> None:
    wanted = fill(path, 100)
    killer = Killer(path, seed)
    with closing(open_ledger(path, SystemClock())) as ledger:
        try:
            killer.run(ledger, wanted, kills=40)
        finally:
            for pid in killer.living:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
                ledger.release_dead(pid, 1)
        assert ledger.leases() == []
        assert ledger.workers() == []
        assert ledger.quarantine() == []
    check_all_done(path, wanted)


def test_a_worker_that_outlives_its_lease_commits_nothing(path: Path) -> None:
    """Stopped, declared dead, and continued: what it does then is refused."""
    fill(path, 1)
    ready, go = os.pipe()
    held, told = os.pipe()

    def stale() -> None:
        with closing(open_ledger(path, SystemClock())) as ledger:
            worker = ledger.register_worker(WorkerIdentity(0, os.getpid(), 1, "boot"), RUN)
            batch = claim(ledger, worker)
            os.write(told, b"x")
            os.read(ready, 1)
            with pytest.raises(LeaseLost):
                finish(ledger, batch, None)  # type: ignore[arg-type]

    pid = forked(stale)
    os.read(held, 1)
    with closing(open_ledger(path, SystemClock())) as ledger:
        assert ledger.release_dead(pid, 1) == 1
        os.write(go, b"x")
        assert ended_well(pid)
        assert (ledger.counts().ready, ledger.counts().done) == (3, 0)
    for end in (ready, go, held, told):
        os.close(end)


def test_halting_and_planning_find_their_turn_among_busy_workers(path: Path) -> None:
    wanted = fill(path, 150)
    pids = [forked(lambda slot=slot: work_off(path, slot, None)) for slot in range(3)]  # type: ignore[misc]
    with closing(open_ledger(path, SystemClock(), patience=10.0)) as ledger:
        for number in range(50):
            ledger.note_outage("sink", f"the {number}th time")
            ledger.add_days([WantedDay(day(1_000 + number))])
            assert ledger.counts().leased <= 30
            ledger.checkpoint()
        assert ended_well(*pids)
        ledger.cancel_days(SITE, None, day(1_000).date)
        assert ledger.counts().done >= len(wanted)
