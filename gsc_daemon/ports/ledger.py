"""The ledger as the pipeline, the coordinator and the commands ask it: one interface, one conformance suite."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from gsc_daemon.errors import GscdError
from gsc_daemon.model import (
    Batch,
    BatchStats,
    Day,
    HaltState,
    Item,
    LeaseView,
    LedgerFacts,
    Listed,
    NoBatch,
    Pace,
    PlanResult,
    QueueCounts,
    Receipt,
    Send,
    SiteEntry,
    SiteProgress,
    WantedDay,
    WorkerIdentity,
)


class Ledger(Protocol):
    """The truth about work. Every method is one transaction; none waits on anything but the ledger's own file.

    Raises everywhere: `LedgerUnavailable` (locked beyond the patience given at opening, read-only, disk full),
    `LedgerCorrupt`.
    """

    @property
    def ledger_id(self) -> str:
        """A UUID made with the ledger; the sink records it."""

    def close(self) -> None: ...

    # 1 plan
    def add_days(self, wanted: Iterable[WantedDay]) -> PlanResult:
        """Put days into the ledger. The same day twice is one day.

        A published, quarantined or cancelled day is wanted afresh only with ``force`` (cancelled ones also without);
        while a generation is under way ``force`` only raises the generation wanted, at most to the next one.
        """

    def end_histories(self, site: str, end: Callable[[Iterable[tuple[dt.date, bool, int]]], dt.date | None]) -> int:
        """Cancel what full-history still wants before the date that ``end`` finds, for each search type. Gives days.

        ``end`` is given each date, whether all of it is published, and its most rows; newest first.
        """

    def ask_again(self, site: str, reports: Sequence[str], oldest: dt.date, every_seconds: float) -> int:
        """Want final days afresh that came back empty, although other reports have rows or earlier rows were kept.

        Each at most 7 times, ``every_seconds`` apart, back to ``oldest``. Gives days.
        """

    def cancel_days(self, site: str | None, first: dt.date | None, last: dt.date | None) -> int:
        """Cancel what is planned, ready, waiting or quarantined (dates inclusive); leased days finish. Gives days."""

    def published_days(self, site: str, report: str, search_type: str) -> Mapping[dt.date, str]:
        """Date → ``provisional`` or ``final`` of each published day of this site, report and search type."""

    def pending_days(self, site: str, report: str, search_type: str) -> frozenset[dt.date]:
        """Dates that are planned or under way."""

    # 2 queue
    def top_up(self, ready_target: int, max_queue_size: int) -> int:
        """Turn planned days into ready items, by priority, then the least recently served site; gives their number.

        Adds until ``ready_target`` items are ready; none while ready + waiting ≥ 80% of ``max_queue_size``.
        """

    def promote(self) -> int:
        """Waiting items whose time has come become ready; parked sites whose time has come are unparked."""

    # 3 claim
    def needs_seed(self, run_id: str) -> bool:
        """Whether this run of the daemon has not yet read what Postgres holds. Claims are refused until it has."""

    def seed(self, run_id: str, max_token: int, receipts: Iterable[Receipt]) -> int:
        """Raise the token and each day's generation to what Postgres holds; days unknown here become published.

        Gives how many days changed. Never lowers anything.
        """

    @property
    def token(self) -> int:
        """The highest token given so far."""

    def take_batch(
        self, worker_id: int, *, batch_size: int, max_in_flight: int, lease_seconds: float, run_id: str
    ) -> Batch | NoBatch:
        """Lease up to ``batch_size`` ready items of one site under a new token. See DESIGN, step 3."""

    # 4 before sending
    def start_items(self, token: int, item_ids: Sequence[int], sends: Sequence[Send], lease_seconds: float) -> None:
        """Mark items active, renew their lease, note the sends. All or none: raises `LeaseLost` if one is not held."""

    def recent_sends(self, seconds: float = 60.0) -> Sequence[Send]:
        """What was noted in the last seconds (and what lies ahead), to fill the windows of an empty Redis again."""

    def pace(self, credential: str) -> Pace: ...

    def save_pace(self, credential: str, pace: Pace) -> None: ...

    # 6 submit
    def add_next_item(self, token: int, item_id: int) -> Item:
        """After a full response: the day's next item (start_row + 25,000), leased under the same token. `LeaseLost`."""

    def submit_results(self, token: int, receipt: Receipt, *, adopted: bool = False) -> None:
        """All items of the day done under that token, the day published (wanted again if more was asked meanwhile).

        Raises `LeaseLost` if the token does not hold the day.
        """

    def note_batch(self, worker_id: int, token: int, site: str, queries: int, seconds: float, status: str) -> None:
        """Telemetry: one fetched batch; seconds from sending to having it. Kept for a week."""

    # 7 back to work
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
        """Give items back (all of the token's if None); their days start again at row 0. Gives how many were held.

        Without ``failure``: no attempt is spent; ready at once or after ``delay`` seconds.
        With: failures + 1, waiting for ``delay``, quarantined with the error's text at ``max_failures`` or if
        ``permanent``. ``overlap`` counts a refetch instead of a failure. Never raises `LeaseLost`: lost is lost.
        """

    def requeue_quarantined(self, site: str | None, first: dt.date | None, last: dt.date | None) -> int:
        """By hand: quarantined days become planned, counters zeroed. Gives days."""

    # processes
    def register_worker(self, identity: WorkerIdentity, run_id: str) -> int:
        """A new worker id, never used before."""

    def retire_worker(self, worker_id: int, note: str) -> int:
        """A worker that has left, or that died by no fault of its work: what it still holds goes back without blame.

        Gives items.
        """

    def release_dead(self, pid: int, pid_start: int) -> int:
        """A worker that has died of itself: its items are ready again, active ones with crashes + 1, quarantined at 3.

        Items that were active in a batch of several are claimed alone next time; only an item that was claimed alone
        counts the crash against itself. Gives items.
        """

    def workers(self) -> Sequence[tuple[int, WorkerIdentity]]:
        """Workers that have not been retired or released: id and identity."""

    def expired_leases(self) -> Sequence[LeaseView]: ...

    # freshness
    def frontier_due(self, site: str, search_type: str) -> bool:
        """Whether it is time to ask again which day is the newest final one."""

    def note_final(self, site: str, search_type: str, newest: dt.date | None, again_seconds: float) -> None:
        """Up to which date Google calls its data final (None where it does not say), and when to ask again."""

    def probe_failed(self, site: str, search_type: str, retry_seconds: float) -> None: ...

    def newest_final(self, site: str) -> Mapping[str, dt.date]:
        """Search type → the newest date that Google has called final, where it has."""

    def watch(
        self, sites: Sequence[str], wanted: Sequence[tuple[str, str]], expected: dt.date
    ) -> Sequence[tuple[str, bool]]:
        """Look whether the newest final day of each site moves on; gives those that now stand still, or no longer.

        It stands still when it has not moved for 48 hours while this was called, and is older than ``expected``.
        """

    # sites
    def save_sites(
        self, credential: str, entries: Sequence[SiteEntry], *, unread: Mapping[str, str] = ..., until_ms: int = 0
    ) -> Listed:
        """What ``sites.list`` gave: new ones are added, lost ones marked; permissions updated.

        Those that are readable are unparked if they were parked as lost or for the credential.

        Args:
            unread: sites that this credential is to read and cannot, with the reason; parked as lost until then.
        """

    def ensure_sites(self, sites: Sequence[str]) -> None: ...

    def known_sites(self) -> Sequence[SiteProgress]: ...

    def park_site(self, site: str, reason: str, until_ms: int | None) -> None:
        """Set a site aside until a time (UTC ms) or, with None, until it is unparked. Ready items stay where they are
        and are not claimed."""

    def lose_site(self, site: str, reason: str, until_ms: int) -> bool:
        """Park a site as lost; whether it was not before."""

    def refuse_credential(self, credential: str, sites: Sequence[str], reason: str, until_ms: int) -> int:
        """Park all sites of a credential that Google refuses, and note the outage; gives those that were not before."""

    def renew_chores(self, prefix: str) -> None:
        """Chores whose names begin like that are due now."""

    def load_refused(self, site: str, reason: str, seconds: float, next_day_ms: int) -> int:
        """Park a site for its load quota: for ``seconds``; refused again within an hour of that, until ``next_day_ms``.

        Gives the time (UTC ms) until which it is parked.
        """

    def unpark_site(self, site: str) -> bool: ...

    def forget_site(self, site: str) -> int:
        """Remove the site, its days and items. Gives days."""

    def claim_chore(self, name: str, every_seconds: float) -> bool:
        """True for one caller per ``every_seconds``: who gets it does it (``list_sites``, ``plan``)."""

    def chore_failed(self, name: str, retry_seconds: float) -> None: ...

    # halt
    def halt(self, reason: str, by: str) -> None: ...

    def resume(self, by: str) -> None: ...

    def halt_state(self) -> HaltState: ...

    # trouble with services, shown by status
    def note_outage(self, service: str, note: str) -> None:
        """``service``: ``sink``, ``budget`` or ``source``. Keeps the first time."""

    def clear_outage(self, service: str) -> None: ...

    def outages(self) -> Mapping[str, tuple[int, str]]:
        """Service → (since, UTC ms; note)."""

    # looking
    def counts(self) -> QueueCounts: ...

    def leases(self) -> Sequence[LeaseView]: ...

    def progress(self) -> Sequence[SiteProgress]: ...

    def quarantine(self, limit: int = 100) -> Sequence[tuple[Item, str, int]]:
        """Item, error text, UTC ms."""

    def batch_stats(self, seconds: float) -> BatchStats: ...

    def worker_deaths(self, seconds: float) -> int:
        """Workers that were found dead in the last seconds; kept for 30 days."""

    def sent_queries(self, seconds: float) -> int: ...

    def receipts(
        self, site: str | None, first: dt.date | None, last: dt.date | None
    ) -> Iterable[tuple[Day, str, int, int, tuple[int, ...]]]:
        """For reconcile: day, its state, published generation, row count, start rows of its done items."""

    def mark_missing(self, days: Iterable[Day]) -> int:
        """For reconcile --repair: published days that Postgres lacks are planned again. Gives days."""

    # care
    def checkpoint(self) -> int:
        """TRUNCATE the WAL if it is over 4 MB, waiting at most 250 ms; gives its size in bytes."""

    def prune(self) -> None:
        """Drop sends, batches and history beyond their keeping times, a little at a time."""

    def snapshot(self, target: Path) -> None: ...

    def facts(self) -> LedgerFacts: ...
