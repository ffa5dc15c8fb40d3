"""Emulator, API: from a request to its answer: sign-in, quotas, faults, validation, permission, rows."""

from __future__ import annotations

import datetime as dt
import random
import re
from typing import Any, Final

from gsc_daemon.clock import SystemClock, pacific_today
from gsc_daemon.emulator import replies
from gsc_daemon.emulator.accounts import GOOGLE_TOKEN_URI, Accounts, TokenError
from gsc_daemon.emulator.answers import Answers, latency_s
from gsc_daemon.emulator.audit import Audit
from gsc_daemon.emulator.call import Call
from gsc_daemon.emulator.config import EmulatorConfig, Fault, SiteSpec, changed
from gsc_daemon.emulator.faults import Faults, instead, spoil
from gsc_daemon.emulator.quota import Load, Quotas, Scope, scopes_of
from gsc_daemon.emulator.replies import ApiError, Reply, json_reply
from gsc_daemon.emulator.request import Query, parse_query
from gsc_daemon.emulator.stats import Fetch, Record, Stats
from gsc_daemon.emulator.truth import Truth

TOKEN_PATH: Final = "/token"  # noqa: S105 - a path
_SITES: Final = ["webmasters", "v3", "sites"]
_SITE_URL: Final = re.compile(r"sc-domain:[^/\s]+|https?://[^/\s]+(/\S*)?")


class Api:
    """The whole of Google's side: data, quotas, accounts and what goes wrong, shared by all connections.

    Args:
        secret: signs access tokens.
    """

    def __init__(self, config: EmulatorConfig, secret: bytes) -> None:
        rng = random.Random(f"{config.seed} behaviour")
        self._rng = rng
        self.config = config
        self.truth = Truth(config)
        self.answers = Answers(self.truth)
        self.audit = Audit(self.truth, self.answers)
        self.accounts = Accounts(secret)
        self.quotas = Quotas(rng)
        self.load = Load()
        self.stats = Stats()
        self._faults = Faults(config.faults, rng)

    @property
    def today(self) -> dt.date:
        """The Pacific date."""
        return self.config.today or pacific_today(SystemClock())

    def configure(self, values: dict[str, Any]) -> None:
        """Change settings while it runs. Raises `UsageError`."""
        self.config = self.truth.config = changed(self.config, values)
        self.truth.version += 1
        if "faults" in values:
            self._faults.set(self.config.faults)

    async def single(self, call: Call) -> Reply:
        """The answer to a request that is no batch; each part of a batch too."""
        segments = call.segments
        if call.method == "POST" and call.path == TOKEN_PATH:
            return self._token(call)
        if call.method == "POST" and len(segments) == 6 and segments[:3] == _SITES:
            if segments[4:] == ["searchAnalytics", "query"]:
                return await self._query(call, segments[3])
        elif call.method == "GET" and segments[:3] == _SITES and len(segments) in (3, 4):
            return self._sites(call, segments[3] if len(segments) == 4 else None)
        return self.note(self.stats.saw("unknown"), "unknown", replies.not_found())

    def fault(self, path: str, site: str = "", query: Query | None = None) -> Fault | None:
        """What goes wrong with this call."""
        return self._faults.pick(path, site, query)

    def note(
        self,
        at: float,
        kind: str,
        reply: Reply,
        fault: Fault | None = None,
        site: str = "",
        fetch: Fetch | None = None,
    ) -> Reply:
        """Enter a call and its answer into the statistics."""
        word = fault.kind if fault is not None else ""
        self.stats.answered(Record(at, kind, reply.status, reply.kind, word, site, fetch))
        return reply

    def _token(self, call: Call) -> Reply:
        at, fault = self.stats.saw("token"), self.fault("token")
        reply = instead(fault, "")
        if reply is None:
            own = f"http://{call.headers.get('host', '')}{TOKEN_PATH}"
            try:
                given = self.accounts.grant(call.form, {GOOGLE_TOKEN_URI, own}, self.config.token_lifetime_s)
                reply = json_reply(200, given, "token")
            except TokenError as error:
                reply = error.reply()
        return self.note(at, "token", spoil(reply, fault), fault)

    def _user(self, call: Call) -> str:
        if not self.config.require_auth:
            return "anyone"
        return self.accounts.holder(call.headers.get("authorization", ""))

    def _permission(self, site: SiteSpec, user: str) -> str:
        if not self.accounts.sees(user, site.site_url):
            return ""
        return self.config.permissions.get(site.site_url, site.permission)

    def _sites(self, call: Call, site_url: str | None) -> Reply:
        at, fault = self.stats.saw("sites"), None
        try:
            user = self._user(call)
            self.quotas.admit((Scope("other", user),), call.arrived, self.config)
            fault = self.fault("sites")
            reply = instead(fault, site_url or "") or self._site_entries(site_url, user, fault)
        except ApiError as error:
            if error.kind == "429":
                self.stats.refused(error.kind)
            reply = error.reply()
        reply.wait = latency_s(self.config, 0, self._rng)
        return self.note(at, "sites", spoil(reply, fault), fault, site_url or "")

    def _site_entries(self, site_url: str | None, user: str, fault: Fault | None) -> Reply:
        entries = [
            {"siteUrl": site.site_url, "permissionLevel": permission}
            for site in self.truth.sites.values()
            if (permission := self._permission(site, user))
        ]
        if site_url is not None:
            for entry in entries:
                if entry["siteUrl"] == site_url:
                    return json_reply(200, entry, "sites")
            raise replies.forbidden(site_url)
        none = not entries or (fault is not None and fault.kind == "empty")
        return json_reply(200, {} if none else {"siteEntry": entries}, "sites")

    async def _query(self, call: Call, site_url: str) -> Reply:
        at = self.stats.saw("query")
        fault: Fault | None = None
        fetch: Fetch | None = None
        query: Query | ApiError
        try:
            query = parse_query(call.body)
            fetch = Fetch.of(site_url, query)
            self.stats.asked(fetch)
        except ApiError as error:
            query = error
        try:
            user = self._user(call)
            self._admit(call, site_url, user)
            fault = self.fault("query", site_url, query if isinstance(query, Query) else None)
            reply = instead(fault, site_url)
            if reply is None:
                reply = await self._rows(call, user, site_url, query, empty=fault is not None and fault.kind == "empty")
                reply.fetches = [fetch]
        except ApiError as error:
            reply = error.reply()
        reply.wait = latency_s(self.config, reply.rows, self._rng)
        return self.note(at, "query", spoil(reply, fault), fault, site_url, fetch)

    def _admit(self, call: Call, site_url: str, user: str) -> None:
        try:
            self.quotas.admit(scopes_of(site_url, user, self.accounts.project_of(user)), call.arrived, self.config)
        except ApiError as error:
            self.stats.refused(error.kind)
            raise

    async def _rows(self, call: Call, user: str, site_url: str, query: Query | ApiError, *, empty: bool) -> Reply:
        if isinstance(query, ApiError):
            raise query
        if not _SITE_URL.fullmatch(site_url):
            raise replies.invalid_site(site_url)
        site = self.truth.sites.get(site_url)
        if site is None or self._permission(site, user) in ("", "siteUnverifiedUser"):
            raise replies.forbidden(site_url)
        today = self.today
        try:
            self.load.charge(site_url, query, call.arrived, today, self.config)
        except ApiError as error:
            self.stats.refused(error.kind)
            raise
        if empty:
            return self.answers.nothing(query, today, pretty=call.pretty)
        return await self.answers.reply(site, query, today, pretty=call.pretty)
