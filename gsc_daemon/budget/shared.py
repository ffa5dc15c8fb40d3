"""Step 4, check_rate: the windows of all workers, in Redis, by one script on the connection of `limits`' storage.

The only place that knows redis and limits. A check is one round trip, answers within a quarter of a second or fails,
and is never repeated by the driver: whoever asks decides when to ask again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import Any, Final, NoReturn, cast
from urllib.parse import urlsplit

from limits.errors import ConfigurationError
from limits.storage import storage_from_string
from redis import exceptions
from redis.backoff import NoBackoff
from redis.retry import Retry

from gsc_daemon import failpoint
from gsc_daemon.budget.rules import Rules
from gsc_daemon.budget.windows import Forgotten, Full, PastSend, ProjectOf, Taken, Used, no_project
from gsc_daemon.errors import BudgetUnavailable

TIMEOUT: Final = 0.25  # seconds until a Redis that hangs counts as away
KEYS: Final = ("gscd:{budget}:epoch",)  # tells a cluster where the script runs; all other keys share the hash tag
SCRIPT: Final = resources.files("gsc_daemon.budget").joinpath("windows.lua").read_text(encoding="utf-8")
CHANGES: Final = ("take", "fill", "slow")
_SET_EVICTION: Final = "Give it more memory, and set maxmemory-policy to noeviction"


class RedisWindows:
    """Connects when first used, so that it may be made before a fork.

    Args:
        storage: one of limits' Redis URIs. project_of: the Cloud project of a credential.
    """

    def __init__(self, storage: str, rules: Rules, *, project_of: ProjectOf = no_project, script: str = SCRIPT) -> None:
        self._project_of = project_of
        self.rules, self._storage, self._text = rules, storage, script
        self._where = _where(storage)
        self._script: Callable[..., Any] | None = None
        self._client: Any = None
        self._figures = (rules.window, rules.site, rules.user, rules.project, *rules.pace.arguments())

    def take(self, site: str, credential: str, count: int, patience: int) -> Taken | Full | Forgotten:
        answer = self._ask("take", site, credential, count, patience, self._project_of(credential))
        match answer[0]:
            case b"taken":
                return Taken(tuple(answer[2:]), _pace(answer[1]))
            case b"full":
                return Full(answer[3], answer[2].decode(), _pace(answer[1]))
            case _:
                return Forgotten()

    def fill(self, sends: Sequence[PastSend], paces: Mapping[str, float | None]) -> int:
        noted = [
            [send.offset, send.site, send.credential, send.queries, self._project_of(send.credential)]
            for send in sorted(sends, key=lambda send: send.offset)
        ]
        return cast(
            int, self._ask("fill", json.dumps(noted), json.dumps([[name, qpm or 0] for name, qpm in paces.items()]))
        )

    def slow(self, credential: str, age: int) -> tuple[float, bool]:
        pace, lowered = self._ask("slow", credential, age)
        return float(pace), bool(lowered)

    def used(self) -> Sequence[Used]:
        found = []
        for name, queries, pace in self._ask("used"):
            scope, _, rest = name.decode().partition(":")
            if queries:
                found.append(Used(scope, rest, queries, _pace(pace)))
        return sorted(found, key=lambda used: (used.scope, used.name))

    def server(self) -> tuple[str, tuple[int, ...], str]:
        about: dict[str, str] = dict(
            line.split(":", 1)
            for section in self._ask("server")
            for line in section.decode("utf-8", "replace").splitlines()
            if ":" in line
        )
        name = "Valkey" if "valkey_version" in about else "Redis"
        text = about.get("valkey_version", about.get("redis_version", ""))
        return f"{name} {text}".strip(), tuple(map(int, re.findall(r"\d+", text))), about.get("maxmemory_policy", "")

    def close(self) -> None:
        if self._client is not None:
            self._client.close()
        self._client = self._script = None

    def _ask(self, verb: str, *words: str | int) -> Any:
        """One round trip (EVALSHA; the script is loaded again where Redis does not have it)."""
        try:
            if self._script is None:
                self._connect()
            assert self._script is not None
            if verb in CHANGES:
                failpoint.hit(f"budget.{verb}.before", exceptions.ConnectionError)
            answer = self._script(keys=KEYS, args=(verb, *self._figures, *words))
            if verb in CHANGES:
                failpoint.hit(f"budget.{verb}.after", exceptions.ConnectionError)
            return answer
        except (exceptions.RedisError, exceptions.RedisClusterException, OSError) as error:
            self._unavailable(error)

    def _connect(self) -> None:
        options: dict[str, Any] = {
            "socket_timeout": TIMEOUT,
            "socket_connect_timeout": TIMEOUT,
            "retry": Retry(NoBackoff(), 0),
        }
        if self._storage.startswith("rediss:"):  # whatever redis-py's own defaults are; the address may say otherwise
            options |= {"ssl_cert_reqs": "required", "ssl_check_hostname": True}
        if self._storage.startswith("redis+sentinel:"):
            options["sentinel_kwargs"] = dict(options)
        try:
            storage = storage_from_string(self._storage, **options)
        except (ConfigurationError, ValueError, TypeError):  # their words repeat the address, password and all
            raise BudgetUnavailable(
                "rate_limit.storage is no address that limits reads as Redis'", hint="`gscd config check` says more"
            ) from None
        self._client = cast(Any, storage).get_connection()
        self._script = self._client.register_script(self._text)

    def _unavailable(self, error: Exception) -> NoReturn:
        said = str(error)
        for signs, text, hint in _TROUBLES:
            if any(sign in said for sign in signs):
                raise BudgetUnavailable(f"Redis at {self._where} {text}", hint=hint) from error
        if isinstance(error, exceptions.TimeoutError):
            raise BudgetUnavailable(f"Redis at {self._where} did not answer within {TIMEOUT} s") from error
        if isinstance(error, exceptions.ResponseError):
            raise BudgetUnavailable(f"Redis at {self._where} refused: {said}") from error
        raise BudgetUnavailable(f"Redis at {self._where} cannot be reached: {said}") from error


# What Redis says (prefixes of its replies, redis.io/docs/latest/develop/reference/protocol-spec), in our words.
_TROUBLES: Final = (
    (
        ("WRONGPASS", "NOAUTH", "invalid username-password", "AUTH <password>", "already authenticated"),
        "refuses the password",
        "Correct it in rate_limit.storage or its storage_file",
    ),
    (("NOPERM", "no permissions"), "does not permit this user what the budget needs", "Allow it all on keys gscd:*"),
    (("OOM", "maxmemory", "out of memory"), "has no memory left", _SET_EVICTION),
    (("READONLY", "read only replica"), "is a replica that cannot be written to", "Name the primary"),
    (
        ("CERTIFICATE_VERIFY_FAILED",),
        "has a certificate that is not trusted here",
        "Name its CA: rediss://…?ssl_ca_certs=FILE",
    ),
    (("LOADING", "loading the dataset"), "is still loading its data", ""),
    (("MISCONF",), "refuses writes since it cannot save to its disk", "Its log says why"),
    (("NOREPLICAS",), "refuses writes since it has too few replicas", ""),
)


def _pace(text: bytes) -> float | None:
    return float(text) if text else None


def _where(storage: str) -> str:
    """The address without user, password and options."""
    try:
        parts = urlsplit(storage)
    except ValueError:
        return "the address in rate_limit.storage"
    return parts.netloc.rpartition("@")[2] or parts.path
