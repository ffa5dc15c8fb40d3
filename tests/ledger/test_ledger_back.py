"""Conformance, step 7: items go back to work, are set aside, and workers come, leave and die."""

from __future__ import annotations

import pytest
from ledger_scene import OTHER, SITE, Scene, day

from gsc_daemon.errors import LeaseLost, Overlap, Refusal, SourceError
from gsc_daemon.model import Batch, NoBatch, Priority, WorkerIdentity
from gsc_daemon.ports import Ledger

FLAKY = SourceError(Refusal.TRANSIENT, "Google answered 503", status=503)


@pytest.fixture
def held(scene: Scene) -> Batch:
    """Three days leased together, none sent."""
    scene.seeded().ready(day(0), day(1), day(2))
    return scene.take(scene.worker())


def test_what_is_given_back_without_a_failure_costs_nothing(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.send(held)
    assert ledger.requeue_batch(held.token) == 3
    assert ledger.counts().ready == 3
    assert [(item.failures, item.crashes) for item in scene.take(scene.worker()).items] == [(0, 0)] * 3


def test_only_what_is_named_goes_back(scene: Scene, ledger: Ledger, held: Batch) -> None:
    assert ledger.requeue_batch(held.token, [held.items[1].item_id]) == 1
    counts = ledger.counts()
    assert (counts.ready, counts.leased, counts.batches) == (1, 2, 1)


def test_lost_is_lost(scene: Scene, ledger: Ledger, held: Batch) -> None:
    ledger.requeue_batch(held.token)
    newer = scene.take(scene.worker())
    assert ledger.requeue_batch(held.token) == 0
    assert ledger.requeue_batch(held.token, [held.items[0].item_id], failure=FLAKY, permanent=True) == 0
    assert ledger.counts().leased == 3
    scene.finish(newer)
    assert ledger.requeue_batch(newer.token) == 0


def test_a_delay_waits_and_is_woken(scene: Scene, ledger: Ledger, held: Batch) -> None:
    ledger.requeue_batch(held.token, delay=30.0)
    assert (ledger.counts().waiting, scene.ask(scene.worker())) == (3, NoBatch.EMPTY)
    scene.clock.go_on(29)
    assert ledger.promote() == 0
    scene.clock.go_on(1)
    assert ledger.promote() == 3
    assert ledger.counts().ready == 3


def test_failures_are_counted_up_to_quarantine(scene: Scene, ledger: Ledger, held: Batch) -> None:
    for failures in range(3):
        batch = held if failures == 0 else scene.take(scene.worker())
        assert [item.failures for item in batch.items] == [failures] * 3
        ledger.requeue_batch(batch.token, failure=FLAKY, max_failures=3)
    counts = ledger.counts()
    assert (counts.quarantined, counts.ready, counts.idle) == (3, 0, True)
    item, error, at_ms = ledger.quarantine(1)[0]
    assert (item.failures, error, at_ms) == (3, "Google answered 503", scene.clock.wall_ms())
    assert scene.state(item.day) == "quarantined"


def test_a_permanent_failure_quarantines_at_once(scene: Scene, ledger: Ledger, held: Batch) -> None:
    ledger.requeue_batch(held.token, [held.items[0].item_id], failure=FLAKY, delay=9.0, permanent=True)
    assert [item.day for item, _, _ in ledger.quarantine()] == [held.items[0].day]
    assert (ledger.counts().leased, ledger.counts().waiting) == (2, 0)


def test_an_overlap_counts_a_refetch_and_no_failure(scene: Scene, ledger: Ledger, held: Batch) -> None:
    first = held.items[0]
    overlap = Overlap(12)
    ledger.requeue_batch(held.token, [first.item_id], failure=overlap, overlap=True, max_failures=1)
    again = scene.take(scene.worker()).items[0]
    assert (again.item_id, again.failures, again.refetches) == (first.item_id, 0, 1)


def test_a_day_that_goes_back_starts_at_row_0(scene: Scene, ledger: Ledger, held: Batch) -> None:
    first = held.items[0]
    second = ledger.add_next_item(held.token, first.item_id)
    assert ledger.requeue_batch(held.token, [second.item_id]) == 2
    batch = scene.take(scene.worker())
    assert [item.start_row for item in batch.items] == [0]
    assert ledger.add_next_item(batch.token, batch.items[0].item_id).item_id != second.item_id


def test_failure_of_a_later_item_is_counted_for_its_day(scene: Scene, ledger: Ledger, held: Batch) -> None:
    second = ledger.add_next_item(held.token, held.items[0].item_id)
    ledger.requeue_batch(held.token, [held.items[0].item_id, second.item_id], failure=FLAKY)
    assert [item.failures for item in scene.take(scene.worker()).items] == [1]


# processes


def test_worker_ids_are_never_used_again(scene: Scene, ledger: Ledger) -> None:
    first = scene.worker()
    ledger.retire_worker(first, "asked to leave")
    second = scene.worker()
    scene.die(second)
    assert scene.worker() > second > first


def test_workers_are_those_neither_retired_nor_dead(scene: Scene, ledger: Ledger) -> None:
    identity = WorkerIdentity(4, 77, 123_456, "boot")
    stays = ledger.register_worker(identity, "run-1")
    scene.die(scene.worker())
    ledger.retire_worker(scene.worker(), "asked to leave")
    assert ledger.workers() == [(stays, identity)]


def test_who_leaves_gives_back_without_blame(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.send(held)
    assert ledger.retire_worker(held.worker_id, "asked to leave") == 3
    assert [(item.crashes, item.failures) for item in scene.take(scene.worker()).items] == [(0, 0)] * 3


def test_the_dead_are_named_by_pid_and_start(scene: Scene, ledger: Ledger, held: Batch) -> None:
    identity = dict(ledger.workers())[held.worker_id]
    assert ledger.release_dead(identity.pid, identity.pid_start + 1) == 0
    assert ledger.counts().leased == 3
    assert ledger.release_dead(identity.pid, identity.pid_start) == 3
    assert ledger.release_dead(identity.pid, identity.pid_start) == 0
    assert ledger.counts().ready == 3


def test_what_was_not_sent_is_not_suspected(scene: Scene, held: Batch) -> None:
    scene.die(held.worker_id)
    assert len(scene.take(scene.worker()).items) == 3


def test_what_was_active_is_claimed_alone_next(scene: Scene, held: Batch) -> None:
    scene.send(held, held.items[0], held.items[1])
    scene.die(held.worker_id)
    batches = [scene.take(scene.worker()) for _ in range(3)]
    assert [[item.day for item in batch.items] for batch in batches] == [[day(0)], [day(1)], [day(2)]]
    assert [batch.items[0].crashes for batch in batches] == [0, 0, 0]


def test_three_crashes_alone_quarantine_that_item_only(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.send(held)
    scene.die(held.worker_id)
    for crashes in range(3):
        worker = scene.worker()
        batch = scene.take(worker)
        assert (batch.items[0].day, batch.items[0].crashes) == (day(0), crashes)
        scene.send(batch)
        scene.die(worker)
    item, error, _ = ledger.quarantine()[0]
    assert (item.day, item.crashes) == (day(0), 3)
    assert "died while it fetched this day; 3 workers have died so" in error
    assert ledger.counts().quarantined == 1
    assert scene.state(day(0)) == "quarantined"
    scene.finish(scene.take(scene.worker()))
    scene.finish(scene.take(scene.worker()))
    assert (scene.state(day(1)), scene.state(day(2))) == ("published", "published")


def test_a_crash_with_a_batch_of_several_blames_nobody(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(*map(day, range(4)))
    for _ in range(5):
        worker = scene.worker()
        batch = scene.take(worker, size=2)
        scene.send(batch)
        if len(batch.items) == 1:
            scene.finish(batch)
        scene.die(worker)
    assert ledger.counts().quarantined == 0


def test_a_crash_of_two_batches_at_once_blames_neither(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(0, OTHER))
    worker = scene.worker()
    for batch in (scene.take(worker), scene.take(worker)):
        scene.send(batch)
    scene.die(worker)
    other = scene.worker()
    assert scene.take(other).items[0].crashes == 0
    assert ledger.counts().ready == 1


def test_a_suspect_goes_to_a_worker_that_holds_nothing_else(scene: Scene, held: Batch) -> None:
    scene.send(held, held.items[0])
    scene.die(held.worker_id)
    scene.ready(day(9, OTHER), priority=Priority.ASKED)
    worker = scene.worker()
    other = scene.take(worker)
    assert other.site == OTHER
    assert scene.ask(worker) is NoBatch.EMPTY
    scene.finish(other)
    assert [item.day for item in scene.take(worker).items] == [day(0)]
    assert scene.ask(worker) is NoBatch.EMPTY
    assert len(scene.take(scene.worker()).items) == 2


def test_a_suspect_that_is_done_is_one_no_more(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.send(held)
    scene.die(held.worker_id)
    for _ in range(3):
        scene.finish(scene.take(scene.worker()))
    scene.want(day(0), day(1), force=True)
    ledger.top_up(10, 100)
    assert len(scene.take(scene.worker()).items) == 2


def test_a_stale_worker_commits_nothing(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.die(held.worker_id)
    for act in (
        lambda: scene.send(held),
        lambda: scene.finish(held, held.items[0]),
        lambda: ledger.add_next_item(held.token, held.items[0].item_id),
    ):
        with pytest.raises(LeaseLost):
            act()
    assert (ledger.counts().ready, scene.state(day(0)), SITE) == (3, "queued", held.site)


def test_leases_name_their_process(scene: Scene, ledger: Ledger, held: Batch) -> None:
    identity = dict(ledger.workers())[held.worker_id]
    [lease] = ledger.leases()
    assert (lease.token, lease.worker_id, lease.slot, lease.pid) == (held.token, held.worker_id, 0, identity.pid)
    assert (lease.site, lease.items, lease.seconds_left) == (SITE, 3, 180.0)
