"""Canaries in every credential: none is found in what the program says, keeps, serves or is started with."""

from __future__ import annotations

import contextlib
import http.server
import json
import os
import re
import signal
import socket as sockets
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from psycopg import conninfo
from redis import Redis

from gsc_daemon import servers

Until = Callable[..., None]
DSN, REDIS, WEBHOOK, HEARTBEAT = (f"c4n4ry-{name}-6b1f" for name in ("dsn", "redis", "webhook", "heartbeat"))
SETTINGS = """\
[ledger]
path = "ledger.db"
[halt]
file = "HALT"
[workers]
max_concurrency = 2
batch_size = 4
[api]
endpoint = "{endpoint}"
credentials = "secret/key.json"
[rate_limit]
{redis}
[sink]
{dsn}
[sync]
sites = ["sc-domain:example.com"]
every = ""
[telemetry]
listen = "127.0.0.1:{port}"
slack_webhook_file = "secret/webhook"
heartbeat_url_file = "secret/heartbeat"
log_level = "debug"
"""
COMMANDS = (
    "status",
    "status --json",
    "doctor",
    "doctor --json",
    "config show",
    "config show --json",
    "config check",
    "sites",
    "sites --json",
    "reconcile",
    "reconcile --json",
    "rollout",
    "reload",
    "sync yesterday",
    "halt --wait",
    "resume",
)


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes alerts and heartbeats, and refuses every other one."""

    asked: list[str]

    def do_POST(self) -> None:
        self.asked.append(self.path)
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.send_response(500 if len(self.asked) % 2 else 204)
        self.end_headers()

    do_GET = do_POST  # noqa: N815 - the name that http.server looks for

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (Receiver,), {"asked": asked}))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}", asked
    server.shutdown()
    server.server_close()
    thread.join()


def canaries(key_file: Path) -> list[bytes]:
    """Words that may be nowhere. Access tokens are recognised by how they begin."""
    info = json.loads(key_file.read_text())
    lines = [line for line in info["private_key"].splitlines() if line and not line.startswith("-----")]
    return [DSN.encode(), REDIS.encode(), WEBHOOK.encode(), HEARTBEAT.encode(), *(line.encode() for line in lines)]


def found(where: str, text: bytes, words: list[bytes]) -> list[str]:
    """Which of them are there."""
    seen = [f"{where} holds {word.decode()}" for word in words if word in text]
    if re.search(rb"ya29\.[\w-]{8}|Bearer [\w.-]{8}|eyJ[\w-]{10}", text):
        seen.append(f"{where} holds a token")
    return seen


def processes(pid: int) -> list[int]:
    """A process and all that come from it."""
    listed = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in listed for one in processes(int(child)))]


class Witness:
    """Collects what is emitted and looks for the words in it."""

    def __init__(self, stage: Any, words: list[bytes]) -> None:
        self.stage, self.words = stage, words
        self.seen: list[str] = []
        self.heard: set[str] = set()  # where the site's name was found, which is no secret

    def hear(self, where: str, text: bytes) -> None:
        self.heard |= {where} if b"sc-domain:example.com" in text else set()
        self.seen += found(where, text, self.words)

    def command(self, words: str, **environ: str) -> str:
        told = self.stage.gscd(*words.split())
        self.hear(f"gscd {words}", told.stdout.encode() + told.stderr.encode())
        return str(told.stdout)

    def look_at(self, pid: int) -> None:
        """At what `ps` shows of the daemon and its children, and at the page."""
        for one in processes(pid):
            for name in ("cmdline", "environ", "comm", "status"):
                with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
                    self.hear(f"/proc/{name}", Path(f"/proc/{one}/{name}").read_bytes())

    def read(self, folder: Path) -> None:
        """Every file that was made there: none is for others than its owner and, for reading, its group."""
        for file in folder.rglob("*"):
            if file.is_file() and "secret" not in file.parts and file.name != "gscd.toml":
                self.hear(file.name, file.read_bytes())
                if file.suffix != ".log" and file.stat().st_mode & 0o037:
                    self.seen.append(f"{file.name} has the mode {file.stat().st_mode:o}")


@pytest.fixture
def locked_redis(own_redis: servers.Redis) -> tuple[str, Callable[[str], None]]:
    """Its address without password, and what changes the password."""
    socket = own_redis.url.removeprefix("redis+unix://")
    passwords = [""]

    def lock(password: str) -> None:
        with Redis(unix_socket_path=socket, password=passwords[-1] or None) as client:
            client.config_set("requirepass", password)
            client.client_kill_filter(_type="normal", skipme=True)  # who is in already would not be asked
            passwords.append(password)

    return socket, lock


def set_up(stage: Any, how: str, dsn: str, socket: str, receiver: str, port: int) -> None:
    folder = stage.folder / "secret"
    folder.mkdir()
    (stage.folder / "key.json").rename(folder / "key.json")
    (folder / "webhook").write_text(f"{receiver}/{WEBHOOK}\n")
    (folder / "heartbeat").write_text(f"{receiver}/{HEARTBEAT}\n")
    full_dsn = conninfo.make_conninfo(dsn, password=f"{DSN} '@:/?#%")
    storage = f"redis+unix://:{REDIS}@{socket}"
    (folder / "dsn").write_text(full_dsn)
    (folder / "redis").write_text(storage)
    lines = {
        "files": ('storage_file = "secret/redis"', 'dsn_file = "secret/dsn"'),
        "inline": (f"storage = {json.dumps(storage)}", f"dsn = {json.dumps(full_dsn)}"),
    }[how]
    text = SETTINGS.format(endpoint=stage.emulator.url, port=port, redis=lines[0], dsn=lines[1])
    (stage.folder / "gscd.toml").write_text(text)
    for file in [*folder.iterdir(), stage.folder / "gscd.toml"]:
        file.chmod(0o600)


@pytest.mark.parametrize("how", ["files", "inline"])
def test_no_secret_is_found_anywhere(
    how: str,
    set_stage: Callable[..., Any],
    own_postgres: servers.Postgres,
    locked_redis: tuple[str, Callable[[str], None]],
    receiver: tuple[str, list[str]],
    until: Until,
) -> None:
    socket, lock = locked_redis
    stage = set_stage(rows=300)
    address, asked = receiver
    with contextlib.closing(sockets.create_server(("127.0.0.1", 0))) as free:
        port = free.getsockname()[1]
    set_up(stage, how, own_postgres.dsn, socket, address, port)
    lock(REDIS)
    witness = Witness(stage, canaries(stage.folder / "secret/key.json"))
    stage.wanted(6)
    daemon = stage.daemon()
    until(lambda: stage.log().count("published") >= 3, "a few days are published")
    witness.look_at(daemon.pid)
    for words in (*COMMANDS, f"ledger snapshot {stage.folder}/snapshot.db"):
        witness.command(words)
    # What goes wrong is told with more words than what goes well.
    daemon_said = len(stage.log())
    stage.emulator.expire_tokens()
    lock("another")
    stage.wanted(6, "--force")
    until(lambda: "refuses the password" in stage.log()[daemon_said:], "the wrong password is told")
    witness.command("status")
    witness.command("doctor")
    lock(REDIS)
    own_postgres.stop()
    stage.wanted(9)
    until(lambda: "Postgres" in stage.log()[daemon_said:], "Postgres is missed")
    for words in ("status", "doctor", "reconcile"):
        witness.command(words)
    own_postgres.start()
    stage.emulator.revoke()
    stage.wanted(12)
    until(lambda: "gives no access token" in stage.log(), "the revoked key is told")
    witness.command("doctor")
    os.kill(daemon.pid, signal.SIGUSR2)
    until(lambda: stage.log().count("most recent call first") > 2, "the stacks are told")
    witness.look_at(daemon.pid)
    until(lambda: {f"/{WEBHOOK}", f"/{HEARTBEAT}"} <= set(asked), "webhook and heartbeat are asked")
    for page in ("", "metrics", "healthz", "nothing"):
        with contextlib.suppress(urllib.error.HTTPError):
            witness.hear(f"/{page}", urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=20).read())
    daemon.terminate()
    daemon.wait(timeout=30)
    witness.read(stage.folder)
    assert witness.heard > {"daemon.log", "ledger.db", "snapshot.db", "/metrics", "gscd sites", "gscd status --json"}
    assert witness.seen == []
