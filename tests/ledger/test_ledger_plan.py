"""Conformance, steps 1 and 2: days are wanted, wanted again, taken back, and turned into ready items."""

from __future__ import annotations

import datetime as dt

import pytest
from ledger_scene import NEWEST, OTHER, SITE, Scene, day, receipt
from msgspec.structs import replace

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import DayState, Priority, WantedDay
from gsc_daemon.ports import Ledger

THIRD = "sc-domain:third.example"


def test_new_days_are_planned(scene: Scene, ledger: Ledger) -> None:
    result = scene.want(day(0), day(1), day(0, report="totals"))
    assert (result.new, result.again, result.already) == (3, 0, 0)
    assert result.days == (day(0), day(1), day(0, report="totals"))
    assert ledger.counts().planned_days == 3
    assert ledger.pending_days(SITE, "query_page", "web") == {NEWEST, NEWEST - dt.timedelta(days=1)}


def test_the_same_day_twice_is_one_day(scene: Scene) -> None:
    assert scene.want(day(0), day(0)).already == 1
    again = scene.want(day(0), force=True)
    assert (again.new, again.again, again.already) == (0, 0, 1)
    assert len(scene.states()) == 1


def test_whoever_makes_the_days_may_ask_the_ledger_meanwhile(scene: Scene, ledger: Ledger) -> None:
    def wanted():  # type: ignore[no-untyped-def]
        yield WantedDay(day(0))
        if day(1).date not in ledger.pending_days(SITE, "query_page", "web"):
            yield WantedDay(day(1))

    assert ledger.add_days(wanted()).new == 2


def test_a_published_day_is_wanted_afresh_only_with_force(scene: Scene) -> None:
    scene.seeded().publish(day(0))
    assert scene.want(day(0)).already == 1
    assert scene.state(day(0)) == "published"
    assert scene.want(day(0), force=True).again == 1
    scene.ledger.top_up(10, 100)
    assert scene.take(scene.worker()).items[0].generation == 2


def test_a_cancelled_day_is_wanted_afresh_without_force(scene: Scene, ledger: Ledger) -> None:
    scene.want(day(0))
    assert ledger.cancel_days(None, None, None) == 1
    assert scene.state(day(0)) == "cancelled"
    assert scene.want(day(0)).again == 1
    assert scene.state(day(0)) == "planned"


def test_a_quarantined_day_is_wanted_afresh_only_with_force(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    batch = scene.take(scene.worker())
    ledger.requeue_batch(batch.token, failure=SourceError(Refusal.REQUEST, "no"), permanent=True)
    assert scene.want(day(0)).already == 1
    assert ledger.counts().quarantined == 1
    assert scene.want(day(0), force=True).again == 1
    assert ledger.counts().quarantined == 0
    ledger.top_up(10, 100)
    item = scene.take(scene.worker()).items[0]
    assert (item.generation, item.failures) == (2, 0)


def test_force_on_a_day_under_way_wants_the_next_generation_once(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    batch = scene.take(scene.worker())
    assert scene.want(day(0), force=True).again == 1
    assert scene.want(day(0), force=True).already == 1
    assert batch.items[0].generation == 1
    scene.finish(batch)
    assert scene.states()[day(0)][:2] == ("planned", 1)
    ledger.top_up(10, 100)
    again = scene.take(scene.worker())
    assert again.items[0].generation == 2
    scene.finish(again)
    assert scene.states()[day(0)][:2] == ("published", 2)


def test_leave_to_lose_belongs_to_the_generation_that_it_was_given_for(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    first = scene.take(scene.worker())
    scene.want(day(0), force=True, allow_loss=True)
    assert not first.items[0].allow_loss
    scene.finish(first)
    ledger.top_up(10, 100)
    second = scene.take(scene.worker())
    assert second.items[0].allow_loss
    scene.finish(second)
    scene.want(day(0), force=True)
    ledger.top_up(10, 100)
    assert not scene.take(scene.worker()).items[0].allow_loss


def test_a_more_urgent_wish_hastens_a_day(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(1), day(2), priority=Priority.BACKFILL)
    scene.want(day(2), priority=Priority.ASKED)
    assert scene.take(scene.worker(), size=1).items[0].day == day(2)


# taken back


def test_cancel_leaves_leased_days_alone(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(1))
    batch = scene.take(scene.worker(), size=1)
    scene.want(day(2), day(3))
    assert ledger.cancel_days(SITE, None, None) == 3
    counts = ledger.counts()
    assert (counts.leased, counts.cancelled, counts.planned_days, counts.ready) == (1, 1, 0, 0)
    scene.finish(batch)
    assert scene.state(batch.items[0].day) == "published"


def test_cancel_keeps_to_its_site_and_dates(scene: Scene, ledger: Ledger) -> None:
    scene.want(day(0), day(1), day(2), day(1, OTHER))
    assert ledger.cancel_days(SITE, day(1).date, day(0).date) == 2
    assert {of for of, (state, *_) in scene.states().items() if state == "planned"} == {day(2), day(1, OTHER)}


def test_cancel_of_a_day_wanted_again_leaves_it_published(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0))
    before = scene.states()
    scene.want(day(0), force=True)
    ledger.top_up(10, 100)
    assert ledger.cancel_days(None, None, None) == 1
    assert scene.states() == before
    assert ledger.counts().done == 1


def test_a_generation_is_never_used_twice(scene: Scene, ledger: Ledger) -> None:
    """A commit under the cancelled one may have reached Postgres: it must not answer the next wish."""
    scene.seeded().publish(day(0))
    scene.want(day(0), force=True)
    ledger.cancel_days(None, None, None)
    scene.want(day(0), force=True)
    ledger.top_up(10, 100)
    assert scene.take(scene.worker()).items[0].generation == 3


def test_cancel_also_takes_back_what_is_wanted_after_a_leased_generation(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    batch = scene.take(scene.worker())
    scene.want(day(0), force=True)
    assert ledger.cancel_days(None, None, None) == 0
    scene.finish(batch)
    assert scene.state(day(0)) == "published"


# what is held


def test_published_days_say_how_far_they_can_be_trusted(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(1), day(0, OTHER))
    batch = scene.take(scene.worker(), size=1)
    held = replace(receipt(day(0), 1, batch.token), state=DayState.PROVISIONAL)
    ledger.submit_results(batch.token, held)
    assert ledger.published_days(SITE, "query_page", "web") == {NEWEST: "provisional"}
    assert ledger.published_days(SITE, "totals", "web") == {}
    assert ledger.pending_days(SITE, "query_page", "web") == {day(1).date}
    assert ledger.published_days("sc-domain:unknown.example", "query_page", "web") == {}


def test_days_that_postgres_lacks_are_planned_again(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0), day(1))
    scene.want(day(2))
    assert ledger.mark_missing([day(0), day(2), day(9)]) == 1
    assert scene.states()[day(0)] == ("planned", 0, 0, ())
    assert ledger.published_days(SITE, "query_page", "web") == {day(1).date: "final"}
    ledger.top_up(10, 100)
    assert scene.take(scene.worker(), size=1).items[0].generation == 2


# 2 queue


def test_top_up_stops_at_the_target(scene: Scene, ledger: Ledger) -> None:
    scene.want(*map(day, range(30)))
    assert ledger.top_up(12, 1000) == 12
    assert ledger.top_up(12, 1000) == 0
    counts = ledger.counts()
    assert (counts.ready, counts.planned_days) == (12, 18)


def test_top_up_stops_at_four_fifths_of_the_queue(scene: Scene, ledger: Ledger) -> None:
    scene.want(*map(day, range(30)))
    ledger.top_up(8, 10)
    assert ledger.top_up(20, 10) == 0
    assert ledger.top_up(20, 11) == 12


def test_newest_days_first(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().want(*map(day, (3, 0, 2, 1)))
    ledger.top_up(3, 100)
    assert [item.day for item in scene.take(scene.worker()).items] == [day(0), day(1), day(2)]


def test_urgent_days_are_queued_before_all_others(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().want(*map(day, range(50)), priority=Priority.BACKFILL)
    scene.want(day(60), day(61, OTHER), priority=Priority.ASKED)
    ledger.top_up(3, 100)
    taken = [item.day for _ in range(3) for item in scene.take(scene.worker(), size=1).items]
    assert taken == [day(60), day(61, OTHER), day(0)]


def test_sites_share_the_queue(scene: Scene, ledger: Ledger) -> None:
    scene.seeded()
    for site in (SITE, OTHER, THIRD):
        scene.want(*(day(number, site) for number in range(100)))
    ledger.top_up(60, 1000)
    worker = scene.worker()
    assert {scene.take(worker).site for _ in range(3)} == {SITE, OTHER, THIRD}


def test_what_is_parked_takes_no_place_in_the_queue(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(*(day(number) for number in range(20)))
    ledger.park_site(SITE, "lost", None)
    scene.want(*(day(number, OTHER) for number in range(20)))
    assert ledger.top_up(10, 20) == 10
    assert scene.take(scene.worker()).site == OTHER


def test_a_day_done_before_uses_its_items_again(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0))
    scene.want(day(0), force=True)
    ledger.top_up(10, 100)
    scene.finish(scene.take(scene.worker()))
    assert (ledger.counts().done, scene.states()[day(0)]) == (1, ("published", 2, 1000, (0,)))


# by hand


def test_quarantined_days_are_tried_again_with_a_clean_record(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(1))
    batch = scene.take(scene.worker())
    ledger.requeue_batch(batch.token, failure=SourceError(Refusal.REQUEST, "no"), permanent=True)
    assert ledger.requeue_quarantined(None, day(0).date, None) == 1
    assert (scene.state(day(0)), scene.state(day(1))) == ("planned", "quarantined")
    ledger.top_up(10, 100)
    item = scene.take(scene.worker()).items[0]
    assert (item.day, item.failures, item.crashes) == (day(0), 0, 0)


@pytest.mark.parametrize("site", [None, OTHER])
def test_requeue_of_nothing_is_nothing(ledger: Ledger, site: str | None) -> None:
    assert ledger.requeue_quarantined(site, None, None) == 0
