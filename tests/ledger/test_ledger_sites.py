"""Conformance: sites, halt, outages and chores, and what a person or `status` reads of it all."""

from __future__ import annotations

import math

import pytest
from ledger_scene import OTHER, RUN, SITE, Scene, day, receipt
from msgspec.structs import replace

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import BatchStats, HaltState, SiteEntry
from gsc_daemon.ports import Ledger


def permissions(ledger: Ledger) -> dict[str, str]:
    return {site.site: site.permission for site in ledger.known_sites()}


def parked(ledger: Ledger, site: str = SITE) -> tuple[str, int | None]:
    return next((one.parked, one.parked_until_ms) for one in ledger.known_sites() if one.site == site)


def test_sites_come_are_changed_and_are_lost(ledger: Ledger) -> None:
    ledger.ensure_sites([SITE])
    ledger.save_sites("cred", [SiteEntry(SITE, "siteOwner"), SiteEntry(OTHER, "siteFullUser")])
    assert permissions(ledger) == {SITE: "siteOwner", OTHER: "siteFullUser"}
    ledger.save_sites("cred", [SiteEntry(OTHER, "siteRestrictedUser")])
    assert permissions(ledger) == {SITE: "", OTHER: "siteRestrictedUser"}
    ledger.ensure_sites([SITE, OTHER])
    assert permissions(ledger) == {SITE: "", OTHER: "siteRestrictedUser"}


def test_another_credentials_list_loses_nothing(ledger: Ledger) -> None:
    ledger.save_sites("cred", [SiteEntry(SITE, "siteOwner")])
    ledger.save_sites("another", [SiteEntry(OTHER, "siteOwner")])
    assert permissions(ledger) == {SITE: "siteOwner", OTHER: "siteOwner"}


def test_parking_ends_at_its_time(scene: Scene, ledger: Ledger) -> None:
    until = scene.clock.wall_ms() + 60_000
    ledger.park_site(SITE, "refused", until)
    assert parked(ledger) == ("refused", until)
    scene.clock.go_on(59)
    ledger.promote()
    assert parked(ledger) == ("refused", until)
    scene.clock.go_on(1)
    ledger.promote()
    assert parked(ledger) == ("", None)


def test_a_refusal_does_not_shorten_a_parking(scene: Scene, ledger: Ledger) -> None:
    now = scene.clock.wall_ms()
    ledger.park_site(SITE, "by hand", None)
    ledger.park_site(SITE, "refused", now + 1_000)
    assert parked(ledger) == ("by hand", None)
    assert ledger.unpark_site(SITE)
    assert not ledger.unpark_site(SITE)
    ledger.park_site(SITE, "long", now + 9_000)
    ledger.park_site(SITE, "short", now + 1_000)
    assert parked(ledger) == ("long", now + 9_000)


def test_a_second_load_refusal_parks_until_the_next_day(scene: Scene, ledger: Ledger) -> None:
    now = scene.clock.wall_ms()
    tomorrow = now + 40_000_000
    first = now + 900_000
    assert ledger.load_refused(SITE, "load", 900, tomorrow) == first
    assert ledger.load_refused(SITE, "load", 900, tomorrow) == first  # another answer of the same batch
    scene.clock.go_on(901)
    ledger.promote()
    assert ledger.load_refused(SITE, "load", 900, tomorrow) == tomorrow
    assert parked(ledger) == ("load", tomorrow)


def test_a_load_refusal_long_after_the_last_is_a_first_one(scene: Scene, ledger: Ledger) -> None:
    ledger.load_refused(SITE, "load", 900, 0)
    scene.clock.go_on(900 + 3_601)
    ledger.promote()
    assert ledger.load_refused(SITE, "load", 900, 0) == scene.clock.wall_ms() + 900_000


def test_a_site_is_forgotten_with_all_that_is_kept_of_it(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0), day(0, OTHER))
    scene.ready(day(1))
    batch = scene.take(scene.worker())
    assert ledger.forget_site(SITE) == 2
    assert ledger.forget_site("sc-domain:unknown.example") == 0
    assert list(scene.states()) == [day(0, OTHER)]
    assert [site.site for site in ledger.known_sites()] == [OTHER]
    assert ledger.requeue_batch(batch.token) == 0
    assert (ledger.counts().leased, ledger.counts().done) == (0, 1)


def test_a_chore_is_done_by_one_in_its_time(scene: Scene, ledger: Ledger) -> None:
    other = scene.open()
    assert [ledger.claim_chore("plan", 60), other.claim_chore("plan", 60)] == [True, False]
    assert other.claim_chore("list_sites", 60)
    scene.clock.go_on(60)
    assert ledger.claim_chore("plan", 60)
    ledger.chore_failed("plan", 10)
    scene.clock.go_on(9)
    assert not ledger.claim_chore("plan", 60)
    scene.clock.go_on(1)
    assert ledger.claim_chore("plan", 60)


def test_a_clock_set_back_does_not_put_chores_off_for_long(scene: Scene, ledger: Ledger) -> None:
    ledger.claim_chore("plan", 60)
    scene.clock.go_on(-3_600)
    assert ledger.claim_chore("plan", 60)


def test_a_halt_is_kept_until_resumed(scene: Scene, ledger: Ledger) -> None:
    since = scene.clock.wall_ms()
    assert ledger.halt_state() == HaltState(False)
    ledger.halt("moving", "anna")
    scene.clock.go_on(5)
    ledger.halt("still moving", "ben")
    assert scene.open().halt_state() == HaltState(True, "still moving", "ben", since)
    ledger.resume("anna")
    assert ledger.halt_state() == HaltState(False)


def test_an_outage_keeps_its_first_time(scene: Scene, ledger: Ledger) -> None:
    since = scene.clock.wall_ms()
    ledger.note_outage("sink", "refused")
    scene.clock.go_on(5)
    ledger.note_outage("sink", "timed out")
    ledger.note_outage("budget", "gone")
    assert ledger.outages() == {"sink": (since, "timed out"), "budget": (since + 5_000, "gone")}
    ledger.clear_outage("sink")
    ledger.clear_outage("source")
    assert list(ledger.outages()) == ["budget"]


# looking


def test_the_ledger_has_an_id_of_its_own(scene: Scene, ledger: Ledger) -> None:
    assert len(ledger.ledger_id) == 36
    assert scene.open().ledger_id == ledger.ledger_id


def test_progress_by_site(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(3), day(1))
    scene.want(day(0), day(2), day(5), day(0, OTHER))
    ledger.cancel_days(SITE, day(5).date, day(5).date)
    mine, other = sorted(ledger.progress(), key=lambda site: site.site, reverse=True)
    assert (mine.site, mine.wanted, mine.published, mine.quarantined) == (SITE, 4, 2, 0)
    assert (mine.oldest, mine.newest) == (day(3).date, day(1).date)
    assert (other.wanted, other.published, other.oldest, other.newest) == (1, 0, None, None)


def test_counts_of_a_parked_site_are_no_queue(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(1))
    batch = scene.take(scene.worker(), size=1)
    scene.want(day(2))
    ledger.park_site(SITE, "lost", None)
    counts = ledger.counts()
    assert (counts.planned_days, counts.parked_days, counts.ready, counts.leased) == (2, 2, 0, 1)
    assert not counts.idle
    scene.finish(batch)
    assert ledger.counts().idle
    ledger.unpark_site(SITE)
    counts = ledger.counts()
    assert (counts.planned_days, counts.parked_days, counts.ready, counts.idle) == (1, 0, 1, False)


def test_quarantine_shows_the_newest_first(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0), day(1), day(2))
    batch = scene.take(scene.worker())
    for item in batch.items:
        scene.clock.go_on(1)
        error = SourceError(Refusal.REQUEST, f"no {item.day.date}", site=SITE, date=item.day.date)
        ledger.requeue_batch(batch.token, [item.item_id], failure=error, permanent=True)
    shown = ledger.quarantine(2)
    assert [item.day for item, _, _ in shown] == [day(2), day(1)]
    assert shown[0][1] == f"{SITE} {day(2).date}: no {day(2).date}"


@pytest.mark.parametrize("count", [1, 99, 100, 101, 250])
def test_batch_statistics(scene: Scene, ledger: Ledger, count: int) -> None:
    for number in range(count):
        ledger.note_batch(1, number + 1, SITE, 10, float(number), "ok")
    scene.clock.go_on(10)
    stats = ledger.batch_stats(60)
    assert (stats.batches, stats.queries) == (count, 10 * count)
    assert stats.average_s == pytest.approx((count - 1) / 2)
    assert stats.p99_s == math.ceil(0.99 * count) - 1
    assert ledger.batch_stats(10) == BatchStats()


def test_receipts_by_site_and_date(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(1), day(0), day(0, OTHER))
    scene.want(day(2))
    assert [of for of, *_ in ledger.receipts(None, None, None)] == [day(0, OTHER), day(2), day(1), day(0)]
    assert [of for of, *_ in ledger.receipts(SITE, day(1).date, day(0).date)] == [day(1), day(0)]
    assert scene.states()[day(2)] == ("planned", 0, 0, ())


def test_receipts_may_be_read_while_others_write(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(0), day(0, OTHER))
    stream = iter(ledger.receipts(None, None, None))
    next(stream)
    scene.want(day(7))
    assert [of for of, *_ in stream] == [day(7), day(0)]


# care


def test_what_is_too_old_is_dropped_and_the_rest_kept(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().ready(day(0))
    batch = scene.take(scene.worker())
    scene.send(batch)
    ledger.note_batch(1, batch.token, SITE, 1, 1.0, "ok")
    ledger.prune()
    assert (ledger.sent_queries(1e6), ledger.batch_stats(1e6).batches) == (1, 1)
    scene.clock.go_on(3_601)
    ledger.prune()
    assert (ledger.sent_queries(1e6), ledger.batch_stats(1e6).batches) == (0, 1)
    scene.clock.go_on(8 * 86_400)
    ledger.prune()
    assert ledger.batch_stats(1e6).batches == 0
    scene.clock.go_on(40 * 86_400)
    ledger.prune()
    assert [lease.items for lease in ledger.leases()] == [1]
    scene.finish(batch)
    assert scene.state(day(0)) == "published"


def test_a_ledger_made_anew_learns_everything_from_the_sink(scene: Scene, ledger: Ledger) -> None:
    held = replace(receipt(day(0), 2, 8), row_count=0)
    ledger.seed(RUN, 8, [held])
    assert scene.want(day(0)).already == 1
    assert scene.states()[day(0)] == ("published", 2, 0, (0,))


def test_deaths_are_counted_and_leavings_are_not(scene: Scene, ledger: Ledger) -> None:
    scene.die(scene.worker())
    scene.clock.go_on(100)
    scene.die(scene.worker())
    ledger.retire_worker(scene.worker(), "asked to leave")
    assert (ledger.worker_deaths(60), ledger.worker_deaths(200)) == (1, 2)


def _watched(scene: Scene, hours: int, expected: int) -> list[tuple[str, bool]]:
    """What is told while so many hours are watched."""
    told = []
    for _ in range(2 * hours):
        scene.clock.go_on(1800)
        told += scene.ledger.watch([SITE, OTHER], [("query_page", "web")], day(expected).date)
    return told


def test_a_site_whose_newest_final_day_stands_still_is_told_once(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(5), day(6))
    assert _watched(scene, 48, expected=4) == []
    assert _watched(scene, 30, expected=4) == [(SITE, True)]
    (stalled,) = [one for one in ledger.progress() if one.stalled_ms is not None]
    assert (stalled.site, stalled.newest_final) == (SITE, day(5).date)
    scene.publish(day(4))
    assert _watched(scene, 40, expected=3) == [(SITE, False)]
    assert [one.stalled_ms for one in ledger.progress() if one.stalled_ms] == []


def test_a_site_that_is_up_to_date_or_parked_or_unwatched_does_not_stand_still(scene: Scene, ledger: Ledger) -> None:
    scene.seeded().publish(day(5), day(5, OTHER))
    assert _watched(scene, 100, expected=5) == []
    ledger.park_site(OTHER, "by hand", None)
    assert _watched(scene, 2, expected=4) == [(SITE, True)]
    scene.clock.go_on(7200)  # nobody was there to see whether it moved
    assert _watched(scene, 40, expected=4) == [(SITE, False)]
