"""Where the quota is the limit: how much of the budget is used, and what becomes of a limit that nobody has told."""

from __future__ import annotations

import datetime as dt
import subprocess
import time
from typing import Any

from figures import Figure
from scene import LAST, SITE, scene

from gsc_daemon.demo.stage import Stage
from gsc_daemon.emulator import SiteSpec

WARM = 20.0  # seconds after the first query that do not count: the windows fill, and connections are made
TYPES = ("web", "image", "video", "news")


def at_the_budget(short: bool) -> list[Figure]:
    """Small pages for three minutes: one site, and ten sites with one credential."""
    seconds = 45.0 if short else 180.0
    figures = []
    for number in (1, 10):
        names = [SITE, *(f"https://www{one}.example.com/" for one in range(1, 10))][:number]
        specs = tuple(SiteSpec(name, rows_per_day=100) for name in names)
        settings = {"sync": {"sites": names, "every": ""}}
        with scene(sites=specs, settings=settings, latency_median_s=0.3, latency_p99_s=1.0) as made:
            _want(made, 480 if number == 1 else 100)
            _run_for(made, seconds + WARM)
            figures += _figures(made, f"{number} site{'s' * (number > 1)}", 960, seconds)
    return figures


def below_a_hidden_limit(short: bool) -> list[Figure]:
    """A limit of 5 queries a second, and one of 60 a minute, from the second minute on; then a restart."""
    seconds = 180.0 if short else 660.0
    figures = []
    for name, limit, config in (("5 a second", 300, {"user_qps": 5}), ("60 a minute", 60, {"hidden_qpm": 60})):
        with scene(100, latency_median_s=0.3, latency_p99_s=1.0, **config) as made:
            _want(made, 480)
            _run_for(made, 60.0 + seconds)
            calls = _calls(made, after=60.0, seconds=seconds)
            figures += _refusals(f"hidden limit of {name}", calls, limit, seconds)
            before = time.time()
            _run_for(made, 45.0)
            again = [call for call in _queries(made) if call["at"] > before + 10.0]
            refused = sum(_is_refusal(call) for call in again)
            figures.append(Figure("  refused after a restart", refused / max(1, len(again)), "", "<= 0.02"))
    return figures


def _want(made: Stage, dates: int) -> None:
    first = LAST - dt.timedelta(days=dates - 1)
    types = [word for one in TYPES for word in ("--search-type", one)]
    made.gscd("sync", "range", "--from", f"{first}", "--to", f"{LAST}", "--yes", *types)


def _run_for(made: Stage, seconds: float) -> None:
    with made.daemon() as process:
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.terminate()
            process.wait(30)
        else:
            raise made.failed(process)


def _queries(made: Stage) -> list[dict[str, Any]]:
    return [call for call in made.emulator.requests() if call["kind"] == "query"]


def _calls(made: Stage, *, after: float, seconds: float) -> list[dict[str, Any]]:
    """Queries that came in a span after the first."""
    queries = _queries(made)
    began = queries[0]["at"] + after
    return [call for call in queries if began <= call["at"] < began + seconds]


def _is_refusal(call: dict[str, Any]) -> bool:
    return call["status"] in (403, 429)


def _figures(made: Stage, name: str, budget: int, seconds: float) -> list[Figure]:
    calls = _calls(made, after=WARM, seconds=seconds)
    most = max(made.emulator.stats()["most_in_60s"]["user"].values())
    return [
        Figure(f"{name}: queries a minute", len(calls) / seconds * 60, "", f">= {0.95 * budget:.0f}"),
        Figure("  most in any 60 s, as the server counts", most, "", f"<= {budget}"),
        Figure("  refused", float(sum(map(_is_refusal, calls))), "", "0"),
    ]


def _refusals(name: str, calls: list[dict[str, Any]], limit: int, seconds: float) -> list[Figure]:
    refused = sum(map(_is_refusal, calls))
    taken = (len(calls) - refused) / seconds * 60
    return [
        Figure(f"{name}: of the limit used", taken / limit, "", ">= 0.85"),
        Figure("  refused", refused / max(1, len(calls)), "", "<= 0.02"),
    ]
