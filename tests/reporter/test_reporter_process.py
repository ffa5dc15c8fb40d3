"""The reporter as a forked process with a real ledger, a real Redis and a webhook that listens."""

from __future__ import annotations

import contextlib
import datetime as dt
import http.server
import json
import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import msgspec
import pytest

from gsc_daemon import events, servers
from gsc_daemon.budget import RateLimits, make_budget
from gsc_daemon.child import Child
from gsc_daemon.clock import SystemClock
from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.halt import DaemonFile, daemon_path
from gsc_daemon.ledger import open_ledger
from gsc_daemon.model import Batch, Day, Pace, WantedDay, WorkerIdentity
from gsc_daemon.reporter import Reporter, alerts, reporter
from gsc_daemon.settings import LedgerSettings, RateLimitSettings, Settings, SyncSettings, TelemetrySettings
from gsc_daemon.settings.schema import HaltSettings

SITE = "sc-domain:example.com"
SECONDS = 20.0  # until what is expected must have come


def until(seen: Callable[[], object]) -> object:
    """What ``seen`` gives as soon as it is true."""
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        if found := seen():
            return found
        time.sleep(0.02)
    raise AssertionError(f"not within {SECONDS} s: {seen}")


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


@dataclass
class Running:
    """A forked reporter and our end of its line."""

    pid: int
    line: socket.socket
    port: int
    said: list[dict[str, object]] = field(default_factory=list)
    partial: bytes = b""

    def hear(self) -> list[dict[str, object]]:
        self.line.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            *lines, self.partial = (self.partial + self.line.recv(65536)).split(b"\n")
            self.said += [json.loads(line) for line in lines]
        return self.said

    def order(self, word: str) -> None:
        self.line.sendall(json.dumps({"do": word}).encode() + b"\n")

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=5) as response:
                return response.status, response.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()
        except OSError:
            return 0, ""

    def metrics(self) -> dict[str, float]:
        status, text = self.get("/metrics")
        if status != 200:
            return {}
        return {
            name: float(value)
            for name, _, value in (line.rpartition(" ") for line in text.splitlines() if not line.startswith("#"))
        }

    def metric(self, name: str, value: float) -> Callable[[], bool]:
        return lambda: self.metrics().get(name) == value


@pytest.fixture
def settings(tmp_path: Path, redis_url: str) -> Settings:
    ledger = tmp_path / "ledger.db"
    open_ledger(ledger, SystemClock(), create=True).close()
    return Settings(
        ledger=LedgerSettings(ledger),
        halt=HaltSettings(tmp_path / "HALT"),
        rate_limit=RateLimitSettings(storage=redis_url),
        sync=SyncSettings(sites=(SITE,)),
        telemetry=TelemetrySettings(listen=f"127.0.0.1:{free_port()}"),
    )


@pytest.fixture
def start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Forks reporters that look ten times a second; their events are lines of ``events`` in the test's folder."""
    monkeypatch.setattr(reporter, "LOOK_EVERY", 0.1)
    monkeypatch.setattr(reporter, "TICK", 0.05)
    monkeypatch.setattr(reporter, "BIND_EVERY", 0.3)
    running: list[Running] = []

    def fork(settings: Settings, *not_theirs: socket.socket) -> Running:
        ours, theirs = socket.socketpair()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            code = 99
            try:
                for mine in (ours, *not_theirs):
                    mine.close()
                child = Child("reporter", 0, theirs, parent, halted=False)
                child.settle()
                told = (tmp_path / "events").open("a")
                events.subscribe(lambda name, _spec, fields: print(json.dumps([name, fields]), file=told, flush=True))
                code = Reporter(
                    child, settings, lambda: open_ledger(settings.ledger.path, SystemClock(), patience=0.2)
                ).run()
            finally:
                os._exit(code)
        theirs.close()
        address = settings.telemetry.listen_address
        running.append(Running(pid, ours, address[1] if address else 0))
        return running[-1]

    yield fork
    for one in running:
        with contextlib.suppress(ProcessLookupError, ChildProcessError):
            os.kill(one.pid, signal.SIGKILL)
            os.waitpid(one.pid, 0)
        one.line.close()


def told(tmp_path: Path) -> list[tuple[str, dict[str, object]]]:
    path = tmp_path / "events"
    return [tuple(json.loads(line)) for line in path.read_text().splitlines()] if path.exists() else []


@dataclass
class Webhook:
    url: str
    texts: list[str] = field(default_factory=list)
    asked: int = 0
    answer: int = 200


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if hook.answer == 200:
                hook.texts.append(json.loads(body)["text"])
            self._end()

        def do_GET(self) -> None:
            hook.asked += 1
            self._end()

        def _end(self) -> None:
            self.send_response(hook.answer)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hook = Webhook(f"http://127.0.0.1:{server.server_address[1]}/secret-path")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield hook
    server.shutdown()
    server.server_close()
    thread.join()


def with_telemetry(settings: Settings, **changes: object) -> Settings:
    return replace(settings, telemetry=msgspec.structs.replace(settings.telemetry, **changes))


def quarantine_one(settings: Settings) -> None:
    with contextlib.closing(open_ledger(settings.ledger.path, SystemClock())) as ledger:
        ledger.add_days(WantedDay(Day(SITE, "query_page", "web", dt.date(2026, 1, day))) for day in (1, 2, 3))
        ledger.seed("run", 0, [])
        ledger.top_up(10, 100)
        worker = ledger.register_worker(WorkerIdentity(0, os.getpid(), 1, "boot"), "run")
        batch = ledger.take_batch(worker, batch_size=2, max_in_flight=4, lease_seconds=60, run_id="run")
        assert isinstance(batch, Batch)
        failure = SourceError(Refusal.REQUEST, "Google will never accept this")
        ledger.requeue_batch(batch.token, [batch.items[0].item_id], failure=failure, permanent=True)


def test_metrics_page_and_health_tell_what_the_ledger_and_redis_know(
    settings: Settings, start: Callable[..., Running]
) -> None:
    quarantine_one(settings)
    budget = make_budget(
        settings.rate_limit.storage,
        RateLimits(1200, 1200, 40_000, 0.8),
        recent_sends=lambda _: (),
        load_pace=lambda _: Pace(),
        save_pace=lambda *_: None,
    )
    budget.check_rate(SITE, "robot", 3)
    running = start(settings)
    until(running.metric('gscd_rate_used{scope="site",name="sc-domain:example.com"}', 3))
    metrics = running.metrics()
    wanted = {
        "gscd_up": 1,
        "gscd_ledger_ok": 1,
        "gscd_budget_ok": 1,
        "gscd_halted": 0,
        "gscd_person_needed": 1,
        'gscd_items{state="quarantined"}': 1,
        'gscd_items{state="leased"}': 1,
        'gscd_items{state="ready"}': 1,
        "gscd_batches_in_flight": 1,
        'gscd_rate_budget{scope="user",name="robot"}': 960,
        'gscd_rate_quota{scope="project",name=""}': 40_000,
        'gscd_site_days_wanted{site="sc-domain:example.com"}': 3,
        "gscd_workers_wanted": 3,
    }
    assert {name: metrics.get(name) for name in wanted} == wanted
    assert metrics["gscd_memory_bytes"] > 1_000_000
    assert metrics["gscd_ledger_bytes"] == settings.ledger.path.stat().st_size
    status, page = running.get("/")
    assert status == 200
    assert "1 item in quarantine" in page
    assert running.get("/healthz") == (200, "ok\n")
    assert running.get("/nothing")[0] == 404
    assert "daemon.memory" in {name for name, _ in told(settings.ledger.path.parent)}


def test_orders_are_heard_and_beats_are_regular(settings: Settings, start: Callable[..., Running]) -> None:
    running = start(settings)
    until(lambda: {"say": "ready"} in running.hear())
    until(lambda: sum(said["say"] == "beat" for said in running.hear()) > 3)
    running.order("halt")
    until(lambda: running.hear()[-1].get("state") == "halted")
    running.order("quit")
    assert os.waitpid(running.pid, 0)[1] == 0


def test_a_ledger_that_cannot_be_read_is_told_and_tolerated(
    settings: Settings, start: Callable[..., Running], tmp_path: Path
) -> None:
    settings.ledger.path.rename(tmp_path / "away")
    settings.ledger.path.write_bytes(b"this is no database" * 300)
    running = start(settings)
    until(running.metric("gscd_ledger_ok", 0))
    metrics = running.metrics()
    assert metrics["gscd_up"] == 1
    assert 'gscd_items{state="ready"}' not in metrics
    (tmp_path / "away").replace(settings.ledger.path)
    until(running.metric("gscd_ledger_ok", 1))


def test_a_redis_that_is_gone_is_told_and_tolerated(
    settings: Settings, start: Callable[..., Running], own_redis: servers.Redis
) -> None:
    running = start(replace(settings, rate_limit=RateLimitSettings(storage=own_redis.url)))
    until(running.metric("gscd_budget_ok", 1))
    own_redis.freeze()
    until(running.metric("gscd_budget_ok", 0))
    own_redis.thaw()
    until(running.metric("gscd_budget_ok", 1))


def test_a_port_that_is_taken_is_told_once_and_had_when_it_is_free(
    settings: Settings, start: Callable[..., Running], tmp_path: Path
) -> None:
    address = settings.telemetry.listen_address
    assert address is not None
    with socket.socket() as taken:
        taken.bind(address)
        taken.listen()
        running = start(settings, taken)
        until(lambda: sum(said["say"] == "beat" for said in running.hear()) > 20)
        deaf = [fields for name, fields in told(tmp_path) if name == "reporter.deaf"]
        assert [fields["address"] for fields in deaf] == [settings.telemetry.listen]
    until(running.metric("gscd_up", 1))


def test_without_an_address_nothing_listens(settings: Settings, start: Callable[..., Running]) -> None:
    running = start(with_telemetry(settings, listen=""))
    until(lambda: sum(said["say"] == "beat" for said in running.hear()) > 5)
    assert not [
        line for line in Path(f"/proc/{running.pid}/net/tcp").read_text().splitlines()[1:] if listens(line, running.pid)
    ]


def listens(line: str, pid: int) -> bool:
    """Whether a line of /proc/net/tcp is a listening socket of that process."""
    fields = line.split()
    inodes = set()
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        with contextlib.suppress(FileNotFoundError):
            inodes.add(str(entry.readlink()))
    return fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes


def test_quarantine_and_a_refused_credential_are_told_once_and_cleared_once(
    settings: Settings, start: Callable[..., Running], webhook: Webhook, tmp_path: Path
) -> None:
    secret = tmp_path / "slack"
    secret.write_text(webhook.url + "\n")
    webhook.answer = 500
    quarantine_one(settings)
    running = start(with_telemetry(settings, slack_webhook_file=secret))
    until(lambda: [name for name, _ in told(tmp_path) if name == "alert.failed"])
    webhook.answer = 200
    until(lambda: webhook.texts)
    with contextlib.closing(open_ledger(settings.ledger.path, SystemClock())) as ledger:
        ledger.note_outage("source", "the key was revoked")
        until(lambda: len(webhook.texts) == 2)
        ledger.clear_outage("source")
        until(lambda: len(webhook.texts) == 3)
        ledger.requeue_quarantined(None, None, None)
        until(lambda: len(webhook.texts) == 4)
    looks = len([name for name, _ in told(tmp_path) if name == "daemon.memory"])
    until(lambda: len([name for name, _ in told(tmp_path) if name == "daemon.memory"]) > looks + 5)
    first, second, third, fourth = webhook.texts
    assert first.startswith(":rotating_light: gscd: 1 item in quarantine")
    assert second.startswith(":rotating_light: gscd: Google refuses the credential since")
    assert "the key was revoked" in second
    assert third.startswith(":white_check_mark: gscd: over: Google refuses")
    assert fourth.startswith(":white_check_mark: gscd: over: 1 item in quarantine")
    failures = [fields for name, fields in told(tmp_path) if name == "alert.failed"]
    assert len(failures) == 1
    assert "answered 500" in str(failures[0]["reason"])
    assert "secret-path" not in (tmp_path / "events").read_text()
    assert running.metrics()["gscd_up"] == 1


def test_an_outage_that_heals_by_itself_is_told_when_it_has_lasted(
    settings: Settings, start: Callable[..., Running], webhook: Webhook, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setitem(alerts.PATIENCE_MS, "sink", 1500)
    secret = tmp_path / "slack"
    secret.write_text(webhook.url)
    start(with_telemetry(settings, slack_webhook_file=secret))
    with contextlib.closing(open_ledger(settings.ledger.path, SystemClock())) as ledger:
        ledger.note_outage("sink", "connection refused")
        noted = time.time()
        until(lambda: webhook.texts)
        assert time.time() - noted >= 1.5
    assert webhook.texts[0].startswith(":rotating_light: gscd: Postgres is away")


def test_the_heart_beats_while_workers_live_and_not_after(
    settings: Settings, start: Callable[..., Running], webhook: Webhook, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(reporter, "HEARTBEAT_EVERY", 0.1)
    secret = tmp_path / "heartbeat"
    secret.write_text(webhook.url)
    daemon = DaemonFile(daemon_path(settings.ledger.path))
    daemon.acquire("run")
    try:
        running = start(with_telemetry(settings, heartbeat_url_file=secret))
        until(running.metric("gscd_up", 1))
        assert webhook.asked == 0
        daemon.update(state="running", workers=[{"slot": 0, "pid": os.getpid(), "state": "halted", "site": ""}])
        until(lambda: webhook.asked >= 3)
        daemon.update(state="running", workers=[])
        until(running.metric("gscd_workers_alive", 0))
        until(lambda: asked_stands_still(webhook))
    finally:
        daemon.release()


def asked_stands_still(webhook: Webhook) -> bool:
    before = webhook.asked
    time.sleep(0.5)
    return webhook.asked == before
