"""Emulator, process: a Search Console of its own for a test or the demo, gone when whoever started it is gone."""

from __future__ import annotations

import datetime as dt
import http.client
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self
from urllib.parse import urlencode

from gsc_daemon.emulator.accounts import PROJECT
from gsc_daemon.emulator.api import TOKEN_PATH
from gsc_daemon.emulator.config import EmulatorConfig, changed, to_json
from gsc_daemon.errors import Unavailable, UsageError

_HOST: Final = "127.0.0.1"
_PATIENCE_S: Final = 120.0


@lru_cache(maxsize=1)
def _key_pair() -> tuple[str, str]:
    """A private and a public key as PEM, made once a process; never kept in a repository."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


def email_of(name: str) -> str:
    """The address of a service account."""
    return f"{name}@emulator.iam.gserviceaccount.com"


def service_account(name: str, url: str, project: str = PROJECT) -> tuple[dict[str, str], dict[str, str]]:
    """A service account: its key file as JSON, and what the emulator must know of it."""
    private, public = _key_pair()
    key_id = f"key-of-{name}"
    key_file = {
        "type": "service_account",
        "project_id": project,
        "private_key_id": key_id,
        "private_key": private,
        "client_email": email_of(name),
        "client_id": "100000000000000000001",
        "auth_uri": f"{url}/auth",
        "token_uri": f"{url}{TOKEN_PATH}",
        "universe_domain": "googleapis.com",
    }
    return key_file, {"email": email_of(name), "key_id": key_id, "public_key": public, "project": project}


def write_secret(path: Path, value: Any) -> Path:
    """A JSON file that only its owner can read."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(value, file, indent=2)
    return path


class Emulator:
    """A running emulator; a context manager.

    Its process is killed when the thread that started it ends, hence also when this process is killed.

    Args:
        config: what it serves. folder: for its log, ``emulator.log``; made if it is missing.
    """

    def __init__(self, config: EmulatorConfig, folder: Path | str) -> None:
        self.config = config
        self.folder = Path(folder)
        self.port = 0
        self._secret = os.urandom(32)
        self._accounts: list[dict[str, Any]] = []
        self._restated: list[dict[str, Any]] = []
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where it listens, without a final slash."""
        return f"http://{_HOST}:{self.port}"

    @property
    def pid(self) -> int:
        """Its process, to be stopped and continued by signals."""
        assert self._process is not None, "the emulator is not running"
        return self._process.pid

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start it; on the port that it had before, if it had one. Raises `Unavailable`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        log_path = self.folder / "emulator.log"
        given = {
            "parent": os.getpid(),
            "secret": self._secret.hex(),
            "config": to_json(self.config),
            "host": _HOST,
            "port": self.port,
            "accounts": self._accounts,
        }
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gsc_daemon.emulator"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=log,
            )
        self._process = process
        self.port = self._hand_over(process, json.dumps(given).encode(), log_path)
        for restated in self._restated:
            self._post("restate", restated)

    @staticmethod
    def _hand_over(process: subprocess.Popen[bytes], given: bytes, log_path: Path) -> int:
        """Give the settings, get the port."""
        stdin: IO[bytes] | None = process.stdin
        stdout: IO[bytes] | None = process.stdout
        assert stdin is not None
        assert stdout is not None
        try:
            stdin.write(given)
            stdin.close()
        except BrokenPipeError:
            pass  # it has died; its log is told below
        line = stdout.readline()
        if not line.strip():
            process.kill()
            process.wait()
            stdout.close()
            last = log_path.read_text(errors="replace").strip().rpartition("\n")[2]
            raise Unavailable(f"the emulator did not start: {last or 'it said nothing'}", hint=f"See {log_path}")
        return int(line)

    def stop(self) -> None:
        """Kill it; clients see resets. Nothing happens if it does not run."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._process = None

    def restart(self) -> None:
        """Kill it and start it again on the same port: accounts, tokens and data as before, quotas and counts anew."""
        self.stop()
        self.start()

    def service_account_file(
        self, path: Path | str, name: str = "sync", *, project: str = PROJECT, sites: Sequence[str] | None = None
    ) -> Path:
        """Write a key file whose token endpoint is the emulator's, and register the key. Gives the path.

        Args:
            project: whose quota it uses up. sites: the properties that it may see, None for all.
        """
        key_file, account = service_account(name, self.url, project)
        self._register({**account, "sites": None if sites is None else list(sites)})
        return write_secret(Path(path), key_file)

    def authorized_user_file(self, path: Path | str, name: str = "person") -> Path:
        """Write a user's refresh token as ``gcloud`` would, and register it. Gives the path."""
        given = {
            "client_id": "emulator.apps.googleusercontent.com",
            "client_secret": os.urandom(16).hex(),
            "refresh_token": f"1//{os.urandom(32).hex()}",
        }
        self._register({"email": f"{name}@example.com", **given})
        key_file = {"type": "authorized_user", "token_uri": f"{self.url}{TOKEN_PATH}", **given}
        return write_secret(Path(path), key_file)

    def _register(self, account: dict[str, Any]) -> None:
        self._post("account", account)
        self._accounts.append(account)

    def configure(self, **changes: Any) -> None:
        """Change settings (see `EmulatorConfig`) from the next call on. Raises `UsageError`."""
        config = changed(self.config, to_json(changes))
        self._post("config", to_json(changes))
        self.config = config

    def revoke(self, name: str = "sync") -> None:
        """Void a service account's tokens and give it no others."""
        self._post("revoke", {"email": email_of(name)})

    def restore(self, name: str = "sync") -> None:
        """Take `revoke` back."""
        self._post("restore", {"email": email_of(name)})

    def expire_tokens(self) -> None:
        """Let every access token given so far expire now."""
        self._post("expire-tokens", {})

    def restate(self, site: str, first: dt.date, last: dt.date) -> None:
        """Let Google correct these days: other figures, and partly other rows, from now on."""
        restated = {"site": site, "first": f"{first}", "last": f"{last}"}
        self._post("restate", restated)
        self._restated.append(restated)

    def stats(self) -> dict[str, Any]:
        """Counts since the start; docs/emulator.md describes each."""
        found: dict[str, Any] = self._get("stats", {})
        return found

    def requests(self) -> list[dict[str, Any]]:
        """The last 100,000 calls, oldest first, and what became of each."""
        found: list[dict[str, Any]] = self._get("requests", {})
        return found

    def truth(
        self, site: str, first: dt.date, last: dt.date, search_type: str = "web", **more: str
    ) -> list[dict[str, Any]]:
        """What is true of each date of a range: counts, sums, totals, digest; see `gsc_daemon.emulator.audit.DayTruth`.

        Args:
            more: ``dimensions`` (comma-separated; default: the finest there are), ``state`` (``final`` or ``all``).
        """
        params = {"site": site, "first": f"{first}", "last": f"{last}", "search_type": search_type, **more}
        found: list[dict[str, Any]] = self._get("truth", params)
        return found

    def rows(self, site: str, date: dt.date, search_type: str = "web", **more: str) -> list[dict[str, Any]]:
        """The rows of a day that paging can reach, as the API spells them. ``more``: as for `truth`."""
        params = {"site": site, "date": f"{date}", "search_type": search_type, **more}
        found: list[dict[str, Any]] = self._get("rows", params)
        return found

    def _get(self, what: str, params: dict[str, str]) -> Any:
        return self._ask("GET", f"/emulator/{what}?{urlencode(params)}", None)

    def _post(self, what: str, value: Any) -> Any:
        return self._ask("POST", f"/emulator/{what}", json.dumps(value).encode())

    def _ask(self, method: str, target: str, body: bytes | None) -> Any:
        connection = http.client.HTTPConnection(_HOST, self.port, timeout=_PATIENCE_S)
        try:
            connection.request(method, target, body)
            response = connection.getresponse()
            value = json.loads(response.read())
        except OSError as error:
            raise Unavailable(f"the emulator at {self.url} does not answer: {error}") from error
        finally:
            connection.close()
        if response.status != 200:
            raise UsageError(str(value.get("error", value)))
        return value
