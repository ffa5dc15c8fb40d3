"""A check of the budget against PING, by one process and by three."""

from __future__ import annotations

import json
import os
import statistics
import time

import redis
from figures import Figure
from limits.storage import storage_from_string

from gsc_daemon import servers
from gsc_daemon.budget import RateLimits, make_budget
from gsc_daemon.model import Pace

CHECKS = 2_000
GENEROUS = RateLimits(6_000_000, 6_000_000, 60_000_000, 0.8)


def checks(short: bool) -> list[Figure]:
    """Single checks, one after another, PING between them."""
    figures = []
    with servers.redis(private=True) as server:
        for processes in (1, 3):
            pings, takes = _race(server.url, processes, CHECKS // 4 if short else CHECKS)
            figures += [
                Figure(f"{processes} process{'es' * (processes > 1)}: check p50", statistics.median(takes), "ms"),
                Figure("  p99", _p99(takes), "ms", "< 10"),
                Figure("  p99 against PING's", _p99(takes) / _p99(pings), "", "<= 3"),
            ]
    return figures


def _p99(values: list[float]) -> float:
    return sorted(values)[int(len(values) * 0.99)]


def _race(url: str, processes: int, count: int) -> tuple[list[float], list[float]]:
    lines = []
    for _ in range(processes):
        reader, writer = os.pipe()
        if os.fork() == 0:
            code = 1
            try:
                os.close(reader)
                with os.fdopen(writer, "w") as file:
                    json.dump(_work(url, count), file)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)
        lines.append(reader)
    pings: list[float] = []
    takes: list[float] = []
    for reader in lines:
        with os.fdopen(reader) as file:
            ping, take = json.load(file)
        os.wait()
        pings += ping
        takes += take
    return pings, takes


def _work(url: str, count: int) -> tuple[list[float], list[float]]:
    budget = make_budget(
        url,
        GENEROUS,
        recent_sends=lambda _seconds: [],
        load_pace=lambda _credential: Pace(),
        save_pace=lambda _credential, _pace: None,
    )
    client: redis.Redis = storage_from_string(url).get_connection()  # type: ignore[attr-defined]
    pings, takes = [], []
    for number in range(count + 50):
        began = time.perf_counter()
        client.ping()
        between = time.perf_counter()
        budget.check_rate("sc-domain:example.com", "sync", 1)
        if number >= 50:
            pings.append((between - began) * 1000)
            takes.append((time.perf_counter() - between) * 1000)
    return pings, takes
