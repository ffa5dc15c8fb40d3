"""A plain HTTP client for an emulator, and the settings that most tests have."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import quote

import requests
from google.auth.transport.requests import Request
from google.oauth2 import service_account

from gsc_daemon.emulator import Emulator, EmulatorConfig, SiteSpec

SITE = "sc-domain:example.com"
URL_SITE = "https://www.example.com/"
TODAY = dt.date(2026, 11, 20)
DAY = dt.date(2026, 11, 10)
SCOPE = "https://www.googleapis.com/auth/webmasters.readonly"
ALL_FOUR = ["query", "page", "country", "device"]
Start = Callable[..., "Client"]


class Client:
    """Asks an emulator by plain HTTP, signed in."""

    def __init__(self, emulator: Emulator, folder: Path) -> None:
        self.emulator = emulator
        self.session = requests.Session()
        self.session.trust_env = False
        self.key_file = emulator.service_account_file(folder / "key.json")
        self.sign_in()

    def token(self, scope: str = SCOPE) -> str:
        """A bearer token for the key file, by Google's own library."""
        credentials = service_account.Credentials.from_service_account_file(self.key_file, scopes=[scope])
        with requests.Session() as session:
            credentials.refresh(Request(session))
        return str(credentials.token)

    def sign_in(self, scope: str = SCOPE) -> None:
        """Use a fresh token from now on."""
        self.session.headers["Authorization"] = f"Bearer {self.token(scope)}"

    def url(self, site: str = SITE) -> str:
        """Where that property is queried."""
        return f"{self.emulator.url}/webmasters/v3/sites/{quote(site, safe='')}/searchAnalytics/query"

    def ask(self, site: str = SITE, **body: Any) -> requests.Response:
        """A query; of `DAY` unless told."""
        day = {"startDate": f"{DAY}", "endDate": f"{DAY}"}
        return self.session.post(self.url(site), json=day | body, timeout=30)

    def rows(self, site: str = SITE, **body: Any) -> list[dict[str, Any]]:
        """All the rows that paging gives."""
        found: list[dict[str, Any]] = []
        limit = body.pop("rowLimit", 25_000)
        while True:
            response = self.ask(site, rowLimit=limit, startRow=len(found), **body)
            assert response.status_code == 200, response.text
            rows = response.json().get("rows", [])
            if not rows:
                return found
            found += rows

    def close(self) -> None:
        self.session.close()


def config(**more: Any) -> EmulatorConfig:
    """Two small sites on a fixed day."""
    sites = (SiteSpec(SITE, rows_per_day=3000), SiteSpec(URL_SITE, rows_per_day=600, seed=1))
    return EmulatorConfig(**{"sites": sites, "today": TODAY, "site_qpm": 100_000, "user_qpm": 100_000} | more)
