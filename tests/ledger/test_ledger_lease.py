"""Conformance, steps 3 to 6: items are leased under a token, marked as sent, added to, and done with their day."""

from __future__ import annotations

import pytest
from ledger_scene import OTHER, RUN, SITE, Scene, day, receipt
from msgspec.structs import replace

from gsc_daemon.errors import LeaseLost
from gsc_daemon.model import Batch, NoBatch, Pace, Priority, Send
from gsc_daemon.ports import Ledger


@pytest.fixture
def held(scene: Scene) -> Batch:
    """Three days leased together, all sent."""
    scene.seeded().ready(day(0), day(1), day(2))
    batch = scene.take(scene.worker())
    scene.send(batch)
    return batch


# 3 claim


def test_no_claim_before_the_sink_was_read_by_this_run(scene: Scene, ledger: Ledger) -> None:
    scene.ready(day(0))
    worker = scene.worker()
    assert ledger.needs_seed(RUN)
    assert scene.ask(worker) is NoBatch.UNSEEDED
    ledger.seed("another run", 0, [])
    assert scene.ask(worker) is NoBatch.UNSEEDED
    scene.seeded()
    assert not ledger.needs_seed(RUN)
    assert isinstance(scene.ask(worker), Batch)


def test_no_claim_while_halted(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    ledger.halt("moving", "anna")
    assert scene.ask(scene.worker()) is NoBatch.HALTED
    ledger.resume("anna")
    assert isinstance(scene.ask(scene.worker()), Batch)


def test_no_claim_where_nothing_is_ready(scene: Scene) -> None:
    scene.seeded().want(day(0))
    assert scene.ask(scene.worker()) is NoBatch.EMPTY


def test_no_more_batches_than_max_in_flight(scene: Scene) -> None:
    scene.seeded().ready(*map(day, range(5)))
    first = scene.take(scene.worker(), size=1, in_flight=2)
    scene.take(scene.worker(), size=1, in_flight=2)
    assert scene.ask(scene.worker(), 1, 2) is NoBatch.IN_FLIGHT
    scene.finish(first)
    assert isinstance(scene.ask(scene.worker(), 1, 2), Batch)


def test_a_batch_is_of_one_site_and_no_larger_than_asked(scene: Scene) -> None:
    scene.seeded().ready(*(day(number, site) for site in (SITE, OTHER) for number in range(5)))
    batch = scene.take(scene.worker(), size=4)
    assert len(batch.items) == 4
    assert {item.day.site for item in batch.items} == {batch.site}


def test_nothing_is_leased_twice(scene: Scene) -> None:
    scene.seeded().ready(*map(day, range(7)))
    workers = [scene.worker(slot) for slot in range(3)]
    taken = [item.item_id for worker in workers for item in scene.take(worker, size=3).items]
    assert sorted(taken) == sorted(set(taken))
    assert len(taken) == 7
    assert scene.ask(workers[0]) is NoBatch.EMPTY


def test_tokens_rise_with_every_claim(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(*map(day, range(3)))
    worker, tokens = scene.worker(), []
    for _ in range(3):
        batch = scene.take(worker, size=1)
        tokens.append(batch.token)
        assert ledger.token == batch.token
        ledger.requeue_batch(batch.token)
    assert tokens == sorted(set(tokens))


def test_sites_take_turns_however_much_one_of_them_wants(scene: Scene) -> None:
    scene.seeded().ready(*(day(number) for number in range(200)), day(0, OTHER), day(1, OTHER))
    worker = scene.worker()
    served = [scene.take(worker, size=1).site for _ in range(4)]
    assert sorted(served[:2]) == sorted(served[2:]) == sorted((SITE, OTHER))


def test_urgent_items_of_any_site_go_first(scene: Scene) -> None:
    scene.seeded().ready(*map(day, range(5)), priority=Priority.BACKFILL)
    worker = scene.worker()
    scene.take(worker, size=1)
    scene.ready(day(9, OTHER), day(9), priority=Priority.ASKED)
    assert {scene.take(worker, size=1).items[0].day for _ in range(2)} == {day(9), day(9, OTHER)}


def test_parked_sites_are_passed_over(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    ledger.park_site(SITE, "load", None)
    assert scene.ask(scene.worker()) is NoBatch.EMPTY
    ledger.unpark_site(SITE)
    assert isinstance(scene.ask(scene.worker()), Batch)


def test_who_was_declared_dead_claims_nothing(scene: Scene) -> None:
    scene.seeded().ready(day(0))
    worker = scene.worker()
    scene.die(worker)
    with pytest.raises(LeaseLost, match=f"worker {worker} is not at work"):
        scene.ask(worker)


# 4 before sending


def test_starting_renews_the_lease_and_notes_the_sends(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.clock.go_on(170)
    assert ledger.expired_leases() == []
    scene.send(held)
    scene.clock.go_on(170)
    assert ledger.expired_leases() == []
    assert [lease.seconds_left for lease in ledger.leases()] == [10.0]
    scene.clock.go_on(11)
    assert [lease.token for lease in ledger.expired_leases()] == [held.token]
    assert ledger.sent_queries(60) == 0
    assert ledger.sent_queries(200) == 3


def test_starting_is_all_or_none(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.finish(held, held.items[0])
    scene.clock.go_on(100)
    with pytest.raises(LeaseLost, match="1 of 3 items"):
        scene.send(held)
    assert ledger.sent_queries(50) == 0
    assert [lease.seconds_left for lease in ledger.leases()] == [80.0]


def test_starting_under_an_older_token_is_refused(scene: Scene, ledger: Ledger, held: Batch) -> None:
    ledger.requeue_batch(held.token)
    scene.take(scene.worker())
    with pytest.raises(LeaseLost):
        scene.send(held)


def test_recent_sends_come_with_what_lies_ahead(scene: Scene, ledger: Ledger, held: Batch) -> None:
    now = scene.clock.wall_ms()
    items = [held.items[0].item_id]
    ahead, past = Send(now + 1_500, SITE, "cred", 2), Send(now - 61_000, SITE, "cred", 5)
    ledger.start_items(held.token, items, [ahead, past], 180.0)
    sends = ledger.recent_sends(60)
    assert sends == [Send(now, SITE, "cred", 1)] * 3 + [ahead]
    assert ledger.sent_queries(60) == 3


def test_pace_is_kept_by_credential(ledger: Ledger) -> None:
    assert ledger.pace("cred") == Pace()
    ledger.save_pace("cred", Pace(120.5, 7))
    ledger.save_pace("other", Pace(None, 9))
    ledger.save_pace("cred", Pace(60.25, 8))
    assert ledger.pace("cred") == Pace(60.25, 8)
    assert ledger.pace("other") == Pace(None, 9)


# 6 submit


def test_the_next_item_is_leased_to_the_same_worker(scene: Scene, ledger: Ledger, held: Batch) -> None:
    first = held.items[0]
    second = ledger.add_next_item(held.token, first.item_id)
    third = ledger.add_next_item(held.token, second.item_id)
    assert (second.day, second.start_row, third.start_row) == (first.day, 25_000, 50_000)
    assert second.generation == first.generation
    assert [(lease.token, lease.items) for lease in ledger.leases()] == [(held.token, 5)]
    scene.send(held, second, third)
    ledger.submit_results(held.token, receipt(first.day, 1, held.token, rows=60_000))
    assert scene.states()[first.day] == ("published", 1, 60_000, (0, 25_000, 50_000))


def test_the_next_item_of_a_lost_one_is_refused(scene: Scene, ledger: Ledger, held: Batch) -> None:
    first = held.items[0]
    ledger.requeue_batch(held.token, [first.item_id])
    with pytest.raises(LeaseLost):
        ledger.add_next_item(held.token, first.item_id)
    scene.take(scene.worker())
    with pytest.raises(LeaseLost):
        ledger.add_next_item(held.token, first.item_id)


def test_a_day_is_done_under_its_token_only(scene: Scene, ledger: Ledger, held: Batch) -> None:
    first = held.items[0]
    ledger.requeue_batch(held.token)
    newer = scene.take(scene.worker())
    with pytest.raises(LeaseLost, match=f"{SITE} {first.day.date}: token {held.token} does not hold it"):
        scene.finish(held, first)
    assert scene.state(first.day) == "queued"
    scene.finish(newer)
    with pytest.raises(LeaseLost):
        scene.finish(newer)
    assert scene.state(first.day) == "published"


def test_a_day_of_another_batch_is_not_done(scene: Scene, ledger: Ledger, held: Batch) -> None:
    scene.ready(day(7))
    other = scene.take(scene.worker())
    with pytest.raises(LeaseLost):
        ledger.submit_results(held.token, receipt(other.items[0].day, 1, held.token))


def test_a_receipt_of_an_older_generation_is_no_proof(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0))
    scene.want(day(0), force=True)
    ledger.top_up(10, 100)
    batch = scene.take(scene.worker())
    with pytest.raises(LeaseLost, match="generation 1 is not wanted any more"):
        ledger.submit_results(batch.token, receipt(day(0), 1, batch.token))
    assert scene.state(day(0)) == "queued"


def test_a_shorter_generation_leaves_none_of_the_longer_ones_items(scene: Scene, ledger: Ledger, held: Batch) -> None:
    first = held.items[0]
    ledger.add_next_item(held.token, first.item_id)
    ledger.submit_results(held.token, receipt(first.day, 1, held.token, rows=30_000))
    scene.want(first.day, force=True)
    ledger.top_up(10, 100)
    scene.finish(scene.take(scene.worker()))
    assert scene.states()[first.day] == ("published", 2, 1_000, (0,))


def test_what_the_published_generation_took_stays_known_while_a_new_one_fails(
    scene: Scene, ledger: Ledger, held: Batch
) -> None:
    first = held.items[0]
    ledger.add_next_item(held.token, first.item_id)
    ledger.submit_results(held.token, receipt(first.day, 1, held.token, rows=30_000))
    ledger.requeue_batch(held.token)
    scene.want(first.day, force=True, priority=Priority.ASKED)
    ledger.top_up(10, 100)
    again = scene.take(scene.worker(), size=1)
    ledger.add_next_item(again.token, again.items[0].item_id)
    assert ledger.requeue_batch(again.token) == 2
    assert scene.states()[first.day] == ("queued", 1, 30_000, (0, 25_000))
    ledger.cancel_days(None, first.day.date, first.day.date)
    assert scene.states()[first.day] == ("published", 1, 30_000, (0, 25_000))


def test_an_adopted_day_has_the_items_that_its_rows_took(scene: Scene, ledger: Ledger, held: Batch) -> None:
    rows = {0: (0,), 24_999: (0,), 25_000: (0, 25_000), 60_000: (0, 25_000, 50_000)}
    for (count, starts), item in zip(list(rows.items())[1:], held.items, strict=True):
        ledger.submit_results(held.token, receipt(item.day, 4, 1, rows=count), adopted=True)
        assert scene.states()[item.day] == ("published", 4, count, starts)
    assert ledger.counts().leased == 0


def test_a_kept_generation_took_one_empty_answer(scene: Scene, ledger: Ledger, held: Batch) -> None:
    of = held.items[0].day
    ledger.submit_results(held.token, replace(receipt(of, 1, 1, rows=60_000), kept=True), adopted=True)
    assert scene.states()[of] == ("published", 1, 60_000, (0,))


# a ledger that is older than Postgres


def test_seeding_raises_the_token_and_never_lowers_it(scene: Scene, ledger: Ledger) -> None:
    ledger.seed(RUN, 700, [])
    ledger.seed(RUN, 3, [])
    assert ledger.token == 700
    scene.ready(day(0))
    assert scene.take(scene.worker()).token == 701


def test_seeding_publishes_days_unknown_here(scene: Scene, ledger: Ledger) -> None:
    held = [receipt(day(number, site), 3, 9, rows=25_000) for site in (SITE, OTHER) for number in range(1_100)]
    assert ledger.seed(RUN, 9, iter(held)) == 2_200
    assert ledger.seed(RUN, 9, iter(held)) == 0
    assert set(scene.states().values()) == {("published", 3, 25_000, (0, 25_000))}
    assert ledger.counts().planned_days == 0
    scene.want(day(5), force=True)
    ledger.top_up(10, 100)
    assert scene.take(scene.worker()).items[0].generation == 4


def test_seeding_leaves_what_is_newer_here(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0))
    scene.want(day(0), force=True)
    assert ledger.seed(RUN, 9, [receipt(day(0), 1, 1)]) == 0
    assert scene.state(day(0)) == "planned"


def test_seeding_finishes_what_is_queued_here_and_held_there(scene: Scene, ledger: Ledger) -> None:
    scene.ready(day(0), day(1))
    assert ledger.seed(RUN, 9, [receipt(day(0), 1, 5)]) == 1
    assert (scene.state(day(0)), scene.state(day(1))) == ("published", "queued")
    assert (ledger.counts().ready, ledger.counts().done) == (1, 1)


def test_seeding_raises_the_generation_of_an_older_ledger(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0))
    assert ledger.seed(RUN, 9, [receipt(day(0), 6, 9)]) == 1
    scene.want(day(0), force=True)
    ledger.top_up(10, 100)
    assert scene.take(scene.worker()).items[0].generation == 7


def test_seeding_leaves_leased_days_to_their_worker(scene: Scene, ledger: Ledger, held: Batch) -> None:
    assert ledger.seed(RUN, 9, [receipt(held.items[0].day, 5, 9)]) == 0
    scene.finish(held)
    assert scene.state(held.items[0].day) == "published"


def test_a_seeding_that_breaks_off_is_begun_anew_with_all_receipts(scene: Scene, ledger: Ledger) -> None:
    def broken():  # type: ignore[no-untyped-def]
        yield from (receipt(day(number), 1, 9) for number in range(1_000))
        raise ConnectionError

    with pytest.raises(ConnectionError):
        ledger.seed(RUN, 9, broken())
    assert ledger.needs_seed(RUN)
    assert ledger.token == 0
