"""Steps 3 to 6 in the ledger: items are leased under a token, marked as sent, added to, and done with their day."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from gsc_daemon.errors import LeaseLost
from gsc_daemon.ledger.publishing import Publishing
from gsc_daemon.ledger.statements import statement
from gsc_daemon.ledger.store import as_list, columns, item_of
from gsc_daemon.model import ROWS_PER_RESPONSE, Batch, Item, NoBatch, Pace, Receipt, Send

NEWER: Final = "the ledger has gone on without it"


class Leasing(Publishing):
    """What a worker does with a batch."""

    @property
    def token(self) -> int:
        return int(self._value("token"))

    def take_batch(
        self, worker_id: int, *, batch_size: int, max_in_flight: int, lease_seconds: float, run_id: str
    ) -> Batch | NoBatch:
        refusal = self._refusal(max_in_flight, run_id)  # looked at first: most claims of an idle worker end here
        if refusal is not None:
            return refusal
        with self._db.write("take_batch"):
            refusal = self._refusal(max_in_flight, run_id)
            if refusal is not None:
                return refusal
            site = self._one("take_batch.site")
            if site is None:
                return NoBatch.EMPTY
            site_id, name = site
            chosen = self._choose_items(worker_id, site_id, batch_size)
            if not chosen:
                return NoBatch.EMPTY
            token = self._lease(worker_id, site_id, chosen, lease_seconds)
            return Batch(token, worker_id, name, self._items_under(token))

    def _refusal(self, max_in_flight: int, run_id: str) -> NoBatch | None:
        row = self._one("take_batch.gate", run_id=run_id)
        assert row is not None
        halted, seeded, in_flight, ready = row
        if halted:
            return NoBatch.HALTED
        if not seeded:
            return NoBatch.UNSEEDED
        if in_flight >= max_in_flight:
            return NoBatch.IN_FLIGHT
        return None if ready else NoBatch.EMPTY

    def _choose_items(self, worker_id: int, site_id: int, batch_size: int) -> list[int]:
        """The site's next items. One with which a worker has died goes alone, to a worker that holds nothing else.

        So its next crash can be nobody else's fault. Its holder gets nothing more until it is done.
        """
        held = self._one("take_batch.held", worker_id=worker_id)
        if held is None:
            raise LeaseLost(f"worker {worker_id} is not at work any more")
        items, holds_alone = held
        if holds_alone:
            return []
        rows = self._all("take_batch.choose", site_id=site_id, limit=batch_size)
        if rows and rows[0][1]:
            return [] if items else [rows[0][0]]
        return [item_id for item_id, alone in rows if not alone]

    def _lease(self, worker_id: int, site_id: int, chosen: Sequence[int], lease_seconds: float) -> int:
        now = self._now()
        token = int(self._value("take_batch.token"))
        self._run(
            "take_batch.lease",
            items=as_list(chosen),
            token=token,
            worker_id=worker_id,
            until=now + round(lease_seconds * 1000),
            sole=len(chosen) == 1,
            now=now,
        )
        self._run("take_batch.served", site_id=site_id, token=token, now=now)
        return token

    def _items_under(self, token: int) -> tuple[Item, ...]:
        return tuple(item_of(row) for row in self._all("take_batch.items", token=token))

    # 4 before sending

    def start_items(self, token: int, item_ids: Sequence[int], sends: Sequence[Send], lease_seconds: float) -> None:
        now = self._now()
        listed = sorted(set(item_ids))
        with self._db.write("start_items"):
            started = self._run(
                "start_items",
                token=token,
                items=as_list(listed),
                now=now,
                until=now + round(lease_seconds * 1000),
            )
            if started != len(listed):
                raise LeaseLost(f"{len(listed) - started} of {len(listed)} items are not leased under token {token}")
            self._db.run_many(
                statement("start_items.sends"), [(one.at_ms, one.site, one.credential, one.queries) for one in sends]
            )

    def recent_sends(self, seconds: float = 60.0) -> Sequence[Send]:
        return [Send(*row) for row in self._all("recent_sends", after=self._now() - round(seconds * 1000))]

    def pace(self, credential: str) -> Pace:
        row = self._one("pace", credential=credential)
        return Pace(*row) if row else Pace()

    def save_pace(self, credential: str, pace: Pace) -> None:
        with self._db.write("save_pace"):
            self._run("pace.save", credential=credential, qpm=pace.qpm, changed_ms=pace.changed_ms)

    # 6 submit

    def add_next_item(self, token: int, item_id: int) -> Item:
        with self._db.write("add_next_item"):
            added = self._value("add_next_item", token=token, item_id=item_id, rows=ROWS_PER_RESPONSE, now=self._now())
            if added is None:
                raise LeaseLost(f"item {item_id} is not leased under token {token}: {NEWER}")
            row = self._one("add_next_item.item", item_id=added)
            assert row is not None
            return item_of(row)

    def submit_results(self, token: int, receipt: Receipt, *, adopted: bool = False) -> None:
        day = receipt.day
        with self._db.write("submit_results"):
            held = self._one("submit_results.held", token=token, **columns(day))
            if held is None:
                raise LeaseLost(f"token {token} does not hold it: {NEWER}", site=day.site, date=day.date)
            day_id, generation = held
            if receipt.generation < generation:
                text = f"generation {receipt.generation} is not wanted any more, but {generation}"
                raise LeaseLost(text, site=day.site, date=day.date)
            self._publish(day_id, receipt, token=token, synthesize=adopted)

    def note_batch(self, worker_id: int, token: int, site: str, queries: int, seconds: float, status: str) -> None:
        with self._db.write("note_batch"):
            self._run(
                "note_batch",
                now=self._now(),
                worker_id=worker_id,
                token=token,
                site=site,
                queries=queries,
                seconds=seconds,
                status=status,
            )
