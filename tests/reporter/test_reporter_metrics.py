"""The metrics' text is Prometheus', and docs/metrics.md names every metric."""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path

import msgspec

from gsc_daemon import events
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import LedgerUnavailable
from gsc_daemon.halt import DaemonView
from gsc_daemon.model import BatchStats, HaltState, QueueCounts, SiteProgress, Usage
from gsc_daemon.reporter import alerts, reporter
from gsc_daemon.reporter.listener import STALE, Listener, Texts, plain_page
from gsc_daemon.reporter.metrics import METRICS, page, render
from gsc_daemon.reporter.outgoing import Message, Outcome, Outgoing
from gsc_daemon.reporter.picture import MEMORY_LIMIT, Memory, Picture
from gsc_daemon.settings import Settings
from gsc_daemon.status import Facts, SiteStatus, judge
from gsc_daemon.words import moment

SAMPLE = re.compile(r'[a-z_:][a-z0-9_:]*(\{([a-z_]+="(\\.|[^"\\\n])*",?)+\})? -?[0-9.e+-]+')


def picture(
    *usage: Usage,
    trouble: str = "",
    memory: int = 0,
    site: str = "sc-domain:example.com",
    lost: str = "",
    stalled_ms: int | None = None,
) -> Picture:
    facts = Facts(
        1_700_000_000_000,
        Path("ledger.db"),
        trouble=LedgerUnavailable(trouble) if trouble else None,
        counts=QueueCounts(ready=2, quarantined=1),
        sites=[SiteProgress(site, 9, 5, 1, None, None, parked=lost, parked_for=lost and "lost", stalled_ms=stalled_ms)],
    )
    return Picture(judge(facts, Settings()), trouble, "", usage, Memory(memory, 5), 3, 2, 4096, 0)


def test_the_text_is_what_prometheus_reads_whatever_a_site_is_called() -> None:
    text = render(picture(Usage("site", 'a"b\\c\nd', 7, 960, 1200), site='x"\\\ny'))
    lines = text.rstrip("\n").split("\n")
    samples = [line for line in lines if not line.startswith("#")]
    assert all(SAMPLE.fullmatch(line) for line in samples)
    assert r'gscd_rate_used{scope="site",name="a\"b\\c\nd"} 7' in samples
    typed = {line.split()[2] for line in lines if line.startswith("# TYPE")}
    assert {re.split("[{ ]", line)[0] for line in samples} == typed
    assert len([line for line in lines if line.startswith("# TYPE")]) == len(typed)


def test_what_the_ledger_would_know_is_absent_while_it_cannot_be_read() -> None:
    text = render(picture(trouble="locked"))
    assert "gscd_ledger_ok 0" in text
    assert "gscd_up 1" in text
    assert "gscd_items" not in text
    assert "gscd_batches_in_flight" not in text


def test_the_heart_beats_while_workers_live_and_days_become_final() -> None:
    assert reporter._well(picture())
    assert not reporter._well(picture(trouble="locked"))
    assert not reporter._well(picture(stalled_ms=1))


def keys(seen: Picture) -> list[str]:
    return [one.key for one in alerts._wrong(seen)]


def test_what_a_person_must_hear_of() -> None:
    well = Usage("user", "robot", 960, 960, 1200)
    assert keys(picture(well, Usage("pace", "robot", 9, 5, 9))) == ["quarantine"]
    sick = picture(well, Usage("site", "x", 971, 960, 1200), memory=MEMORY_LIMIT + 1, lost="gone")
    wrong = {one.key: one.text(0) for one in alerts._wrong(sick)}
    assert list(wrong) == ["quarantine", "lost", "budget site x", "memory"]
    assert wrong["lost"].startswith("1 site cannot be read since ")
    assert ": sc-domain:example.com: gone. To do: give the account" in wrong["lost"]
    assert "971 queries in 60 s for the site x, of 960" in wrong["budget site x"]
    assert "more than 500 MB" in wrong["memory"]


def test_dead_workers_slow_batches_and_a_halt_are_wrong_each_where_it_counts() -> None:
    seen = picture()
    daemon = DaemonView(True, True, pid=42, state="running", since_ms=seen.status.at_ms)
    for batches, p99_s, slow in ((20, 5.0, ["slow"]), (19, 5.0, []), (20, 4.9, [])):
        status = msgspec.structs.replace(seen.status, daemon=daemon, batches=BatchStats(batches, 200, 1.0, p99_s))
        assert keys(replace(seen, status=status)) == ["quarantine", *slow]
        assert keys(replace(seen, status=status, workers_alive=0)) == ["quarantine", "workers", *slow]
    halt = HaltState(True, "the quota", "ops", 0)
    status = msgspec.structs.replace(seen.status, daemon=daemon, halted=halt)
    assert keys(replace(seen, status=status, workers_alive=0)) == ["halted", "quarantine"]


def test_sites_that_wait_for_a_credential_are_told_as_the_credential() -> None:
    progress = SiteProgress("sc-domain:example.com", 9, 5, 0, None, None, parked="refused", parked_for="credential")
    sites, outages = (SiteStatus(progress, 0, None),), {"source": (0, "x")}
    status = msgspec.structs.replace(picture().status, sites=sites, outages=outages)
    assert keys(replace(picture(), status=status)) == ["quarantine", "source"]


def test_an_alert_says_since_when_and_what_to_do_once_and_when_it_is_over(tmp_path: Path) -> None:
    sent: list[Message] = []

    class Outbox(Outgoing):
        def send(self, message: Message) -> None:
            sent.append(message)

    told = alerts.Alerts(tmp_path / "webhook", Outbox())

    def look(seen: Picture, minutes: int) -> list[Message]:
        status = msgspec.structs.replace(seen.status, at_ms=seen.status.at_ms + minutes * 60_000)
        sent.clear()
        told.look(replace(seen, status=status))
        for message in sent:
            told.heard(Outcome(message, ""))
        return list(sent)

    began = picture().status.at_ms
    sick = picture(memory=MEMORY_LIMIT + 1, site="sc-domain:<!channel>", stalled_ms=began - 3_600_000)
    first, second, third = (look(sick, minutes) for minutes in (0, 1, 2))
    assert [message.key for message in first] == ["alert quarantine", "alert stalled"]
    assert [message.key for message in second] == ["alert memory"]
    assert third == []
    texts = [message.text or "" for message in first + second]
    assert [". To do: " in text for text in texts] == [True] * 3
    assert f"since {moment(began - 3_600_000)}: sc-domain:&lt;!channel&gt;" in texts[1]
    assert f"since {moment(began)}. To do:" in texts[2]
    assert look(picture(trouble="locked"), 3) == []  # what is not seen is not over
    assert [message.key for message in look(picture(trouble="locked"), 4)] == ["alert ledger"]
    over = look(picture(), 5)
    assert sorted(message.key for message in over) == ["clear ledger", "clear memory", "clear stalled"]
    assert not [message for message in over if "To do" in (message.text or "")]


def test_the_page_of_the_docs_is_made_from_the_table() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "metrics.md").read_text(encoding="utf-8")
    assert docs == page()
    assert set(re.findall(r"`(gscd_\w+)`", docs)) == set(METRICS)


def test_the_page_cannot_be_broken_by_what_it_shows() -> None:
    shown = plain_page(judge(Facts(0, Path("<script>"), ledger_exists=False), Settings()))
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_near_the_quota_and_high_memory_are_told_once_until_they_are_over(monkeypatch) -> None:
    told: list[str] = []
    events.subscribe(lambda name, _spec, _fields: told.append(name))
    try:
        one = reporter.Reporter(None, Settings(), None, clock=SystemClock())  # type: ignore[arg-type]
        full, empty = Usage("user", "robot", 950, 960, 1200), Usage("user", "robot", 9, 960, 1200)
        for seen in (picture(full, memory=MEMORY_LIMIT + 1), picture(full, memory=MEMORY_LIMIT + 1)) * 2:
            one._tell_rates(seen)
            one._tell_memory(seen)
        one._tell_rates(picture(empty))
        one._tell_memory(picture())
        one._tell_rates(picture(full))
        one._tell_memory(picture(memory=MEMORY_LIMIT + 1))
    finally:
        events.clear()
    assert told.count("rate_limit.approaching") == 2
    assert told.count("daemon.memory_high") == 2
    assert told.count("rate_limit.usage") == 6
    assert told.count("daemon.memory") == 6


def test_health_goes_when_nothing_is_looked_at_any_more() -> None:
    listener = Listener(("127.0.0.1", 0))
    try:
        assert listener.answer("/metrics")[0] == 503
        listener.texts = Texts("m", "p", time.monotonic())
        assert listener.answer("/healthz")[0] == 200
        listener.texts = Texts("m", "p", time.monotonic() - STALE)
        assert listener.answer("/healthz")[0] == 503
        assert listener.answer("/metrics?x=1")[2] == "m"
    finally:
        listener.close()
