"""Step 7, back to work, in the ledger: items are given back, workers come, leave and die."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from gsc_daemon.errors import GscdError
from gsc_daemon.ledger.store import Store, as_list
from gsc_daemon.model import LeaseView, WorkerIdentity

MAX_CRASHES: Final = 3  # of workers that held the item and nothing else


class Returning(Store):
    """What ends a lease other than a finished day."""

    def requeue_batch(
        self,
        token: int,
        item_ids: Sequence[int] | None = None,
        *,
        failure: GscdError | None = None,
        delay: float = 0.0,
        permanent: bool = False,
        overlap: bool = False,
        max_failures: int = 8,
    ) -> int:
        now = self._now()
        listed = None if item_ids is None else as_list(item_ids)
        if self._one("requeue_batch.held", token=token, items=listed) is None:
            return 0
        with self._db.write("requeue_batch"):
            rows = self._all("requeue_batch.days", token=token, items=listed)
            days = as_list([day_id for day_id, _ in rows])
            self._run(
                "requeue_batch",
                token=token,
                days=days,
                now=now,
                not_before=now + round(delay * 1000) if delay > 0 else None,
                failed=failure is not None and not overlap,
                refetched=overlap,
                error=None if failure is None else str(failure),
                limit=1 if permanent else max_failures,
            )
            self._settle(token, days)
        return sum(held for _, held in rows)

    def _settle(self, token: int, days: str) -> None:
        """After the first items: later ones are undone with their sitting, and a quarantined item's day with it."""
        now = self._now()
        self._run("settle.drop", token=token, days=days)
        self._run("settle.restore", token=token, days=days, now=now)
        self._run("settle.quarantine", days=days, now=now)

    # processes

    def register_worker(self, identity: WorkerIdentity, run_id: str) -> int:
        with self._db.write("register_worker"):
            row = self._one(
                "register_worker",
                run_id=run_id,
                slot=identity.slot,
                pid=identity.pid,
                pid_start=identity.pid_start,
                boot_id=identity.boot_id,
                now=self._now(),
            )
        assert row is not None
        return int(row[0])

    def retire_worker(self, worker_id: int, note: str) -> int:
        with self._db.write("retire_worker"):
            return self._retire(worker_id, note)

    def _retire(self, worker_id: int, note: str) -> int:
        """What it holds goes back without blame."""
        items = 0
        for (token,) in self._all("retire_worker.tokens", worker_id=worker_id):
            rows = self._all("requeue_batch.days", token=token, items=None)
            days = as_list([day_id for day_id, _ in rows])
            self._run("requeue_batch", token=token, days=days, now=self._now(), **_NO_BLAME)
            self._settle(token, days)
            items += sum(held for _, held in rows)
        self._run("retire_worker", worker_id=worker_id, note=note, now=self._now())
        return items

    def release_dead(self, pid: int, pid_start: int) -> int:
        items = 0
        with self._db.write("release_dead"):
            for (worker_id,) in self._all("release_dead.workers", pid=pid, pid_start=pid_start):
                items += self._release(worker_id, f"worker {worker_id} (pid {pid}) died while it fetched this day")
                self._run("retire_worker", worker_id=worker_id, note="died", now=self._now())
        return items

    def _release(self, worker_id: int, error: str) -> int:
        """Blame the one day that was active, if it was claimed as the only one; else each is claimed alone next."""
        now = self._now()
        leases = self._all("release_dead.held", worker_id=worker_id)
        active = {day_id for day_id, _, _, was_active, _ in leases if was_active}
        sole = {day_id for day_id, _, _, was_active, sole in leases if was_active and sole}
        blamed = active if len(active) == 1 and active == sole else set()
        self._run(
            "release_dead",
            worker_id=worker_id,
            suspects=as_list(sorted(active)),
            blamed=as_list(sorted(blamed)),
            error=f"{error}; {MAX_CRASHES} workers have died so",
            limit=MAX_CRASHES,
            now=now,
        )
        for token in sorted({token for _, token, _, _, _ in leases}):
            self._settle(token, as_list(sorted({day_id for day_id, of, _, _, _ in leases if of == token})))
        return len(leases)

    def workers(self) -> Sequence[tuple[int, WorkerIdentity]]:
        return [(worker_id, WorkerIdentity(*identity)) for worker_id, *identity in self._all("workers")]

    def leases(self) -> Sequence[LeaseView]:
        return [_lease(row, self._now()) for row in self._all("leases", before=None)]

    def expired_leases(self) -> Sequence[LeaseView]:
        now = self._now()
        return [_lease(row, now) for row in self._all("leases", before=now)]


_NO_BLAME: Final[dict[str, Any]] = {
    "not_before": None,
    "failed": False,
    "refetched": False,
    "error": None,
    "limit": 1,
}


def _lease(row: tuple[Any, ...], now: int) -> LeaseView:
    token, worker_id, slot, pid, site, items, until = row
    return LeaseView(token, worker_id, slot, pid, site, items, (until - now) / 1000)
