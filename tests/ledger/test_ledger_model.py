"""The ledger against a simple model of it, through random doings: no day is lost or done twice, no token goes down."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from ledger_scene import OTHER, RUN, SITE, Scene, StillClock, day, inconsistencies

from gsc_daemon.errors import LeaseLost, Refusal, SourceError
from gsc_daemon.ledger import open_ledger
from gsc_daemon.model import Batch, Day, NoBatch

DAYS = [day(number, site) for site in (SITE, OTHER) for number in range(4)]
LIVE = ("ready", "waiting", "leased")
ITEM = """SELECT item_id, item.state FROM item JOIN day USING (day_id) JOIN site ON site.site_id = day.site_id
WHERE site = ? AND report = ? AND search_type = ? AND date = ? AND start_row = 0"""
some_days = st.lists(st.sampled_from(DAYS), min_size=1, max_size=4)


@dataclass
class Known:
    """What the model knows of a day."""

    state: str = "planned"
    generation: int = 1
    again: bool = False
    published: int = 0
    token: int = 0
    failures: int = 0
    suspect: bool = False

    def afresh(self) -> None:
        self.state, self.generation, self.again = "planned", self.generation + 1, False


class LedgerMachine(RuleBasedStateMachine):
    """Days by name, workers by id, and the batches that are out."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="gscd-test-"))
        self.path = self.folder / "ledger.db"
        self.clock = StillClock()
        self.ledger = open_ledger(self.path, self.clock, create=True)
        self.scene = Scene(self.ledger, self.clock, lambda: self.ledger).seeded()
        self.days: dict[Day, Known] = {}
        self.batches: dict[int, Batch] = {}
        self.stale: list[Batch] = []
        self.sent: set[Day] = set()
        self.workers = [self.scene.worker(0), self.scene.worker(1)]
        self.token = 0
        self.halted = self.edited = False

    def teardown(self) -> None:
        self.ledger.close()
        try:
            with closing(sqlite3.connect(self.path)) as plain:
                assert inconsistencies(plain) == []
                (by_hand,) = plain.execute("SELECT count(*) FROM history WHERE by = 'by hand'").fetchone()
                assert (by_hand > 0) == self.edited
        finally:
            shutil.rmtree(self.folder)

    def of_token(self, token: int) -> list[Known]:
        return [known for known in self.days.values() if known.state == "leased" and known.token == token]

    # 1 and 2

    @rule(days=some_days, force=st.booleans())
    def want(self, days: list[Day], force: bool) -> None:
        self.scene.want(*days, force=force)
        for one in days:
            known = self.days.get(one)
            if known is None:
                self.days[one] = Known()
            elif known.state == "cancelled" or (force and known.state in ("published", "quarantined")):
                known.afresh()
            elif force and known.state in LIVE:
                known.again = True

    @rule(site=st.sampled_from([None, SITE, OTHER]))
    def cancel(self, site: str | None) -> None:
        taken = 0
        for one, known in self.days.items():
            if site not in (None, one.site):
                continue
            known.again = False
            if known.state in ("planned", "ready", "waiting", "quarantined"):
                known.state = "published" if known.published else "cancelled"
                known.failures, known.suspect = 0, False
                taken += 1
        assert self.ledger.cancel_days(site, None, None) == taken

    @rule()
    def top_up(self) -> None:
        planned = [known for known in self.days.values() if known.state == "planned"]
        assert self.ledger.top_up(1_000, 10_000) == len(planned)
        for known in planned:
            known.state, known.failures, known.suspect = "ready", 0, False

    @rule(seconds=st.sampled_from([1, 40]))
    def wait(self, seconds: int) -> None:
        self.clock.go_on(seconds)
        if seconds == 40:
            self.ledger.promote()
            for known in self.days.values():
                known.state = "ready" if known.state == "waiting" else known.state

    # 3 to 6

    @rule(which=st.integers(0, 1), size=st.integers(1, 3))
    def take(self, which: int, size: int) -> None:
        taken = self.scene.ask(self.workers[which], size, 3)
        ready = [known for known in self.days.values() if known.state == "ready"]
        if isinstance(taken, NoBatch):
            expected = {
                NoBatch.HALTED: self.halted,
                NoBatch.IN_FLIGHT: len(self.batches) >= 3,
                NoBatch.EMPTY: not ready or any(known.suspect for known in self.days.values()),
            }
            assert expected[taken]
            return
        assert not self.halted
        assert taken.token > self.token
        assert {item.day.site for item in taken.items} == {taken.site}
        assert 1 <= len(taken.items) <= size
        suspects = [item for item in taken.items if self.days[item.day].suspect]
        assert not suspects or len(taken.items) == 1
        self.token, self.batches[taken.token] = taken.token, taken
        for item in taken.items:
            known = self.days[item.day]
            assert (known.state, known.generation, known.failures) == ("ready", item.generation, item.failures)
            known.state, known.token = "leased", taken.token

    @precondition(lambda self: self.batches)
    @rule(data=st.data())
    def send(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(list(self.batches.values())))
        held = [item for item in batch.items if self.days[item.day].token == batch.token]
        held = [item for item in held if self.days[item.day].state == "leased"]
        self.scene.send(batch, *held)
        self.sent |= {item.day for item in held}

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), long=st.booleans())
    def finish(self, data: st.DataObject, long: bool) -> None:
        batch = data.draw(st.sampled_from(list(self.batches.values())))
        item = data.draw(st.sampled_from(batch.items))
        known = self.days[item.day]
        if known.state != "leased" or known.token != batch.token:
            with pytest.raises(LeaseLost):
                self.scene.finish(batch, item)
            return
        if long:
            self.ledger.add_next_item(batch.token, item.item_id)
        self.scene.finish(batch, item)
        known.published, known.suspect, known.state = known.generation, False, "published"
        if known.again:
            known.afresh()
        self.sent.discard(item.day)
        self._ended(batch)

    def _ended(self, batch: Batch) -> None:
        if not self.of_token(batch.token):
            self.stale.append(self.batches.pop(batch.token))

    # 7

    @precondition(lambda self: self.batches)
    @rule(data=st.data(), kind=st.sampled_from(["free", "delayed", "failed", "permanent"]))
    def give_back(self, data: st.DataObject, kind: str) -> None:
        batch = data.draw(st.sampled_from(list(self.batches.values())))
        held = self.of_token(batch.token)
        failure = SourceError(Refusal.TRANSIENT, "503") if kind in ("failed", "permanent") else None
        delay = 30.0 if kind == "delayed" else 0.0
        given = self.ledger.requeue_batch(
            batch.token, failure=failure, delay=delay, permanent=kind == "permanent", max_failures=2
        )
        assert given == len(held)
        for known in held:
            known.failures += failure is not None
            known.state = "waiting" if delay else "ready"
            if failure is not None and (kind == "permanent" or known.failures >= 2):
                known.state = "quarantined"
        self.sent -= {item.day for item in batch.items}
        self._ended(batch)

    @precondition(lambda self: self.stale)
    @rule(data=st.data())
    def come_too_late(self, data: st.DataObject) -> None:
        batch = data.draw(st.sampled_from(self.stale))
        assert self.ledger.requeue_batch(batch.token) == 0
        for act in (self.scene.send, self.scene.finish):
            with pytest.raises(LeaseLost):
                act(batch, batch.items[0])

    @rule(which=st.integers(0, 1))
    def die(self, which: int) -> None:
        worker = self.workers[which]
        mine = [batch for batch in self.batches.values() if batch.worker_id == worker]
        held = [(item.day, batch) for batch in mine for item in batch.items if self._holds(item.day, batch)]
        crashes = {item.day: item.crashes for batch in mine for item in batch.items}
        active = [one for one, _ in held if one in self.sent]
        sole = len(active) == 1 and all(len(batch.items) == 1 for one, batch in held if one in active)
        assert self.scene.die(worker) == len(held)
        for one, batch in held:
            known = self.days[one]
            known.state = "quarantined" if one in active and sole and crashes[one] >= 2 else "ready"
            known.suspect = known.suspect or one in active
            self.sent.discard(one)
            self._ended(batch) if batch.token in self.batches else None
        self.workers[which] = self.scene.worker(which)

    def _holds(self, one: Day, batch: Batch) -> bool:
        return self.days[one].state == "leased" and self.days[one].token == batch.token

    @rule()
    def requeue_quarantined(self) -> None:
        quarantined = [known for known in self.days.values() if known.state == "quarantined"]
        assert self.ledger.requeue_quarantined(None, None, None) == len(quarantined)
        for known in quarantined:
            known.afresh()

    @rule(one=st.sampled_from(DAYS), state=st.sampled_from(["ready", "cancelled", "leased", "done"]))
    def edit_by_hand(self, one: Day, state: str) -> None:
        """As an operator in sqlite3; what may not be is refused, what may be has its consequences."""
        with closing(sqlite3.connect(self.path, isolation_level=None)) as plain:
            found = plain.execute(ITEM, (*one[:3], str(one.date))).fetchone()
            if found is None or found[1] == state:
                return
            item_id, before = found
            allowed = before != "leased" and (state == "ready" or (state == "cancelled" and before != "done"))
            try:
                plain.execute("UPDATE item SET state = ? WHERE item_id = ?", (state, item_id))
            except sqlite3.IntegrityError:
                assert not allowed
                return
        assert allowed
        self.edited = True
        known = self.days[one]
        if state == "cancelled":
            known.state, known.again = "published" if known.published else "cancelled", False
        elif known.state == "waiting":
            known.state = "ready"
        else:
            known.generation += known.state != "planned"
            known.state, known.again = "ready", False
        known.failures, known.suspect = 0, False

    @rule(on=st.booleans())
    def halt(self, on: bool) -> None:
        self.ledger.halt("why", "who") if on else self.ledger.resume("who")
        self.halted = on

    @rule()
    def restart(self) -> None:
        self.ledger.close()
        self.ledger = open_ledger(self.path, self.clock)
        self.scene.ledger = self.ledger

    # always

    @invariant()
    def days_stand_as_in_the_model(self) -> None:
        expected = {
            one: ("queued" if known.state in LIVE else known.state, known.published) for one, known in self.days.items()
        }
        assert {one: stand[:2] for one, stand in self.scene.states().items()} == expected

    @invariant()
    def everything_is_counted_once(self) -> None:
        counts = self.ledger.counts()
        states = [known.state for known in self.days.values()]
        assert (counts.planned_days, counts.ready, counts.waiting, counts.quarantined) == tuple(
            map(states.count, ("planned", "ready", "waiting", "quarantined"))
        )
        assert counts.batches == len(self.batches)
        assert self.ledger.token == self.token
        assert not self.ledger.needs_seed(RUN)


LedgerMachine.TestCase.settings = settings(
    max_examples=25,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
TestLedgerModel = LedgerMachine.TestCase
