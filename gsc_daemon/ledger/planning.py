"""Steps 1 and 2, plan and queue, in the ledger: days are wanted, taken back, and turned into ready items."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from gsc_daemon.ledger.statements import statement
from gsc_daemon.ledger.store import Store, as_list, columns, span
from gsc_daemon.model import EMPTY_ASKS, Day, PlanResult, Priority, WantedDay

STOP_ADDING: Final = 0.8  # of max_queue_size, ready and waiting together
CHUNK: Final = 10  # days of one site that are queued together, so that batches are filled though sites are many


class Known(msgspec.Struct):
    """A day as it stands in the ledger, or is about to."""

    day_id: int
    state: str
    priority: int
    generation: int
    wanted: int
    allow_loss: bool
    allow_loss_next: bool
    fresh: bool = False  # not in the ledger yet
    changed: bool = False
    retract: bool = False  # its items of the last generation are set aside
    hasten: bool = False  # its items get its priority

    def want(self, wanted: WantedDay) -> bool:
        """Want it (again); whether that makes another generation."""
        if self.state == "planned":
            self._prefer(wanted.priority)
            return self._again_planned(wanted)
        if self.state == "queued":
            self._prefer(wanted.priority)
            return wanted.force and self._after_this_one(wanted)
        if self.state != "cancelled" and not wanted.force:
            return False
        self.retract = True
        self.state, self.priority, self.changed = "planned", int(wanted.priority), True
        self.generation += 1
        self.wanted, self.allow_loss, self.allow_loss_next = self.generation, wanted.allow_loss, False
        return True

    def _prefer(self, priority: int) -> None:
        if priority < self.priority:
            self.priority, self.changed, self.hasten = int(priority), True, self.state == "queued"

    def _again_planned(self, wanted: WantedDay) -> bool:
        """Nothing is fetched of it yet, so that the generation planned is fresh enough."""
        if wanted.force and wanted.allow_loss and not self.allow_loss:
            self.allow_loss = self.changed = True
        return False

    def _after_this_one(self, wanted: WantedDay) -> bool:
        again = self.wanted == self.generation
        if again or (wanted.allow_loss and not self.allow_loss_next):
            self.wanted, self.changed = self.generation + 1, True
            self.allow_loss_next = self.allow_loss_next or wanted.allow_loss
        return again


class Tally(msgspec.Struct):
    """What `Planning.add_days` will answer."""

    new: int = 0
    again: int = 0
    already: int = 0
    days: list[Day] = msgspec.field(default_factory=list)

    def result(self) -> PlanResult:
        return PlanResult(self.new, self.again, self.already, tuple(self.days))


class Planning(Store):
    """What is wanted."""

    def add_days(self, wanted: Iterable[WantedDay]) -> PlanResult:
        groups: dict[tuple[str, str, str], list[WantedDay]] = {}
        for one in wanted:  # all of it before the transaction: whoever makes it may ask the ledger
            groups.setdefault(one.day[:3], []).append(one)
        tally = Tally()
        with self._db.write("add_days"):
            ids = self._site_ids(dict.fromkeys(site for site, _, _ in groups))
            for (site, report, search_type), days in groups.items():
                self._add_group(ids[site], report, search_type, days, tally)
        return tally.result()

    def _add_group(self, site_id: int, report: str, search_type: str, days: list[WantedDay], tally: Tally) -> None:
        known = self._known(site_id, report, search_type)
        touched: dict[str, Known] = {}
        for wanted in days:
            date = wanted.day.date.isoformat()
            entry = known.get(date)
            if entry is None:
                known[date] = touched[date] = Known(
                    0, "planned", int(wanted.priority), 1, 1, wanted.allow_loss, False, fresh=True, changed=True
                )
                tally.new += 1
            elif entry.want(wanted):
                tally.again += 1
            else:
                tally.already += 1
                if entry.changed:
                    touched[date] = entry
                continue
            touched[date] = known[date]
            tally.days.append(wanted.day)
        self._save((site_id, report, search_type), touched)

    def _known(self, site_id: int, report: str, search_type: str) -> dict[str, Known]:
        rows = self._all("add_days.known", site_id=site_id, report=report, search_type=search_type)
        return {
            date: Known(day_id, state, priority, generation, wanted, bool(loss), bool(loss_next))
            for date, day_id, state, priority, generation, wanted, loss, loss_next in rows
        }

    def _save(self, group: tuple[int, str, str], touched: Mapping[str, Known]) -> None:
        now = self._now()
        new = [(*group, date, entry.priority, entry.allow_loss, now) for date, entry in touched.items() if entry.fresh]
        self._db.run_many(statement("add_days.insert"), new)
        old = [entry for entry in touched.values() if not entry.fresh]
        self._retract([entry.day_id for entry in old if entry.retract])
        self._db.run_many(statement("add_days.update"), [_columns(entry, now) for entry in old])
        self._db.run_many(
            statement("add_days.hasten"), [(entry.priority, entry.day_id) for entry in old if entry.hasten]
        )

    def _retract(self, day_ids: Sequence[int]) -> None:
        """Set aside what days have of items, leaving those of the published generation done."""
        if day_ids:
            self._run("retract.drop", days=as_list(day_ids))
            self._run("retract.restore", days=as_list(day_ids), now=self._now())

    def cancel_days(self, site: str | None, first: dt.date | None, last: dt.date | None) -> int:
        chosen = span(site, first, last)
        now = self._now()
        with self._db.write("cancel_days"):
            days = [day_id for (day_id,) in self._all("cancel_days.choose", **chosen)]
            listed = as_list(days)
            self._run("cancel_days.items", days=listed, now=now)
            self._run("cancel_days.days", days=listed, now=now)
            self._run("cancel_days.again", **chosen, now=now)
        return len(days)

    def published_days(self, site: str, report: str, search_type: str) -> Mapping[dt.date, str]:
        rows = self._all("published_days", site=site, report=report, search_type=search_type)
        return {dt.date.fromisoformat(date): held for date, held in rows}

    def pending_days(self, site: str, report: str, search_type: str) -> frozenset[dt.date]:
        rows = self._all("pending_days", site=site, report=report, search_type=search_type)
        return frozenset(dt.date.fromisoformat(date) for (date,) in rows)

    # 2 queue

    def top_up(self, ready_target: int, max_queue_size: int) -> int:
        if self._room(ready_target, max_queue_size) <= 0:  # looked at first, since it is asked ten times a second
            return 0
        with self._db.write("top_up"):
            room = self._room(ready_target, max_queue_size)
            days = self._choose(room) if room > 0 else []
            listed, now = as_list(days), self._now()
            self._run("top_up.items", days=listed, now=now)
            self._run("top_up.days", days=listed, now=now)
        return len(days)

    def _room(self, ready_target: int, max_queue_size: int) -> int:
        """Ready items that are wanting, as far as there are days for them. What lies with parked sites is no queue."""
        row = self._one("top_up.stand")
        assert row is not None
        planned, ready, waiting = row
        if not planned or ready + waiting >= STOP_ADDING * max_queue_size:
            return 0
        return int(ready_target - ready)

    def _choose(self, room: int) -> list[int]:
        """Days by priority, then sites in turn, each with a handful."""
        chosen: list[int] = []
        levels: dict[int, list[int]] = {}
        for site_id, priority in self._all("top_up.sites"):
            levels.setdefault(priority, []).append(site_id)
        while levels and len(chosen) < room:
            priority = min(levels)
            sites = levels.pop(priority)
            share = max(CHUNK, -(-(room - len(chosen)) // len(sites)))
            taken = dict.fromkeys(sites, 0)
            while sites and len(chosen) < room:
                sites = [site for site in sites if self._take(site, priority, share, room, taken, chosen)]
            for site_id in taken if len(chosen) < room else ():
                following = self._value("top_up.next_priority", site_id=site_id, above=priority)
                if following is not None:
                    levels.setdefault(following, []).append(site_id)
        return chosen

    def _take(
        self, site_id: int, priority: int, share: int, room: int, taken: dict[int, int], chosen: list[int]
    ) -> bool:
        """A site's next days; whether it has more."""
        limit = min(share, room - len(chosen))
        rows = self._all("top_up.days_of", site_id=site_id, priority=priority, limit=limit, offset=taken[site_id])
        chosen += [day_id for (day_id,) in rows]
        taken[site_id] += len(rows)
        return limit > 0 and len(rows) == limit

    def promote(self) -> int:
        now = self._now()
        if self._one("promote.due", now=now) is None:
            return 0
        with self._db.write("promote"):
            woken = self._run("promote.items", now=now)
            self._run("promote.sites", now=now)
        return woken

    # by hand

    def requeue_quarantined(self, site: str | None, first: dt.date | None, last: dt.date | None) -> int:
        with self._db.write("requeue_quarantined"):
            days = [day_id for (day_id,) in self._all("requeue_quarantined.choose", **span(site, first, last))]
            self._retract(days)
            self._run("requeue_quarantined", days=as_list(days), now=self._now())
        return len(days)

    def ask_again(self, site: str, reports: Sequence[str], oldest: dt.date, every_seconds: float) -> int:
        now = self._now()
        asked: dict[str, Any] = {
            "site": site,
            "reports": json.dumps(list(reports)),
            "oldest": oldest.isoformat(),
            "most": EMPTY_ASKS,
            "every": round(every_seconds * 1000),
            "now": now,
        }
        if self._one("ask_again.due", **asked) is None:
            return 0
        with self._db.write("ask_again"):
            days = [day_id for (day_id,) in self._all("ask_again.due", **asked)]
            self._retract(days)
            self._run("ask_again.plan", days=as_list(days), priority=int(Priority.RECENT), now=now)
        return len(days)

    def end_histories(self, site: str, end: Callable[[Iterable[tuple[dt.date, bool, int]]], dt.date | None]) -> int:
        days = 0
        history = int(Priority.HISTORY)
        for (search_type,) in self._all("end_history.under_way", site=site, priority=history):
            rows = self._all("end_history", site=site, search_type=search_type)
            before = end((dt.date.fromisoformat(date), bool(published), count) for date, published, count in rows)
            if before is not None:
                chosen = {"site": site, "search_type": search_type, "before": before.isoformat(), "priority": history}
                days += self._cancel("end_history.choose", chosen)
        return days

    def _cancel(self, choose: str, chosen: Mapping[str, Any]) -> int:
        now = self._now()
        with self._db.write("cancel_days"):
            days = [day_id for (day_id,) in self._all(choose, **chosen)]
            self._run("cancel_days.items", days=as_list(days), now=now)
            self._run("cancel_days.days", days=as_list(days), now=now)
        return len(days)

    def mark_missing(self, days: Iterable[Day]) -> int:
        listed = list(days)
        now = self._now()
        with self._db.write("mark_missing"):
            missing = [row[0] for day in listed if (row := self._one("mark_missing.find", **columns(day)))]
            self._run("mark_missing.items", days=as_list(missing))
            self._run("mark_missing.days", days=as_list(missing), now=now)
        return len(missing)


def _columns(entry: Known, now: int) -> tuple[Any, ...]:
    """In the order of ``add_days.update``."""
    return (
        entry.state,
        entry.priority,
        entry.generation,
        entry.wanted,
        entry.allow_loss,
        entry.allow_loss_next,
        now,
        entry.day_id,
    )
