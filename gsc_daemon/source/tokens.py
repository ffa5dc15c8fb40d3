"""Step 5, fetch, access tokens: one for all threads of a worker, renewed before it ends, by one thread at a time."""

from __future__ import annotations

import datetime as dt
import random
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Protocol

from google.auth.exceptions import GoogleAuthError

from gsc_daemon.errors import Refusal, SourceError
from gsc_daemon.model import Query
from gsc_daemon.source import refusals

# Share of its life after which a token is renewed: spread, so that workers that began together do not renew together.
RENEW_AT: Final = (0.75, 0.9)
# google-auth trusts in what a 200 holds.
_NONSENSE: Final = (TypeError, ValueError, AttributeError, OverflowError, RecursionError)


@dataclass(frozen=True, slots=True)
class Reply:
    """What google-auth wants of an answer."""

    status: int
    headers: Mapping[str, str]
    data: bytes


class Send(Protocol):
    """One whole HTTP exchange. Raises `SourceError`, and `Cut` if somebody ended it."""

    def __call__(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> Reply: ...


class Tokens:
    """The access tokens of one credential.

    Args:
        credentials: google-auth's. name: of the credential, for messages. now: the time, for Retry-After.
    """

    def __init__(self, credentials: Any, name: str, now: Callable[[], dt.datetime]) -> None:
        self._credentials, self._name, self._now = credentials, name, now
        self._renewing = threading.Lock()
        self._headers: Mapping[str, str] | None = None
        self._renew_at = 0.0
        self._failures = 0
        self._failure: SourceError | None = None

    def headers(
        self, send: Send, query: Query | None, *, refused: Mapping[str, str] | None = None
    ) -> Mapping[str, str]:
        """Headers that authorise a call, renewed when it is time or when ``refused`` are the newest that there are.

        Raises `SourceError`, `Cut`. Who waited while another thread failed to renew, fails with it.
        """
        failures = self._failures
        if self._usable(refused):
            assert self._headers is not None
            return self._headers
        with self._renewing:
            if not self._usable(refused):
                if self._failures != failures and self._failure is not None:
                    raise refusals.about(self._failure, query)
                self._renew(send, query)
            assert self._headers is not None
            return self._headers

    def _usable(self, refused: Mapping[str, str] | None) -> bool:
        return self._headers is not None and self._headers is not refused and time.monotonic() < self._renew_at

    def _renew(self, send: Send, query: Query | None) -> None:
        try:
            self._ask(send, query)
        except SourceError as error:
            self._failures, self._failure = self._failures + 1, error
            raise
        headers: dict[str, str] = {}
        self._credentials.apply(headers)
        expiry = self._credentials.expiry
        life = 3600.0 if expiry is None else (expiry.replace(tzinfo=dt.UTC) - dt.datetime.now(dt.UTC)).total_seconds()
        self._renew_at = time.monotonic() + max(life, 0.0) * random.uniform(*RENEW_AT)
        self._headers = headers

    def _ask(self, send: Send, query: Query | None) -> None:
        last: list[Reply] = []

        def request(
            url: str,
            method: str = "GET",
            body: bytes | None = None,
            headers: Mapping[str, str] | None = None,
            **_other: object,
        ) -> Reply:
            last[:] = [send(method, url, headers or {}, body)]
            return last[0]

        try:
            self._credentials.refresh(request)
        except GoogleAuthError as error:
            if last and last[0].status != 200:
                raise refusals.token_refusal(
                    last[0].status, last[0].headers, last[0].data, query=query, credential=self._name, now=self._now()
                ) from error
            raise self._unusable(query, error) from error
        except _NONSENSE as error:
            raise SourceError(
                Refusal.TRANSIENT, "the token endpoint's answer makes no sense", **refusals.where(query)
            ) from error

    def _unusable(self, query: Query | None, error: GoogleAuthError) -> SourceError:
        return SourceError(
            Refusal.CREDENTIAL,
            f"no access token: {refusals.clean(str(error.args[0] if error.args else error))}",
            hint=refusals.NEW_KEY.format(credential=self._name),
            **refusals.where(query),
        )
