"""The metrics' text is Prometheus', and docs/metrics.md names every metric."""

from __future__ import annotations

import re
import time
from pathlib import Path

from gsc_daemon import events
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import LedgerUnavailable
from gsc_daemon.model import QueueCounts, SiteProgress, Usage
from gsc_daemon.reporter import alerts, reporter
from gsc_daemon.reporter.listener import STALE, Listener, Texts, plain_page
from gsc_daemon.reporter.metrics import METRICS, page, render
from gsc_daemon.reporter.picture import MEMORY_LIMIT, Memory, Picture
from gsc_daemon.settings import Settings
from gsc_daemon.status import Facts, judge

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


def test_what_a_person_must_hear_of() -> None:
    well = Usage("user", "robot", 960, 960, 1200)
    assert [key for key, _ in alerts._wrong(picture(well, Usage("pace", "robot", 9, 5, 9)))] == ["quarantine"]
    wrong = dict(alerts._wrong(picture(well, Usage("site", "x", 971, 960, 1200), memory=MEMORY_LIMIT + 1, lost="gone")))
    assert list(wrong) == ["quarantine", "lost", "budget site x", "memory"]
    assert "1 site cannot be read (sc-domain:example.com: gone)" in wrong["lost"]
    assert "971 queries in 60 s for the site x, of 960" in wrong["budget site x"]
    assert "500 MB of memory, of 500 MB" in wrong["memory"]


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
