"""Settings, what there may be any number of: one frozen struct for each ``[[table]]`` of gscd.toml."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from gsc_daemon.settings import values
from gsc_daemon.settings.about import Kind, Section, described, setting
from gsc_daemon.settings.choice import Choice

REPORTS: Final = "reports"
CREDENTIALS: Final = "credentials"


@described
class ReportSettings(Section, frozen=True):
    """What is fetched of each day. May be given several times; without it, query_page and totals are fetched."""

    name: str = setting(
        Kind.TEXT,
        "query_page",
        "query_page (query, page, country, device) or totals (the whole property, no dimensions).",
        example="totals",
        reload=True,
    )
    dimensions: tuple[str, ...] = setting(
        Kind.TEXTS,
        (),
        "The dimensions as the API spells them; the built-in reports bring their own.",
        example=("query", "page"),
        reload=True,
    )


@described
class CredentialSettings(Section, frozen=True):
    """One more credential, for the properties that api.credentials cannot read. May be given several times."""

    file: Path = setting(
        Kind.PATH,
        Path(),
        "Its file, of the same kinds as api.credentials.",
        example="%d/agency.json",
        reload=True,
    )
    sites: tuple[str, ...] = setting(
        Kind.TEXTS,
        (),
        "The properties that are read with it, with patterns as in sync.sites (which still says what is wanted). "
        "The first of [[credentials]] that means a property reads it; api.credentials reads the rest, and may be "
        "left out where nothing is left.",
        example=("sc-domain:client.example", "https://*.client.example/*"),
        wrong=values.wrong_credential_sites,
        reload=True,
    )

    @property
    def choice(self) -> Choice:
        """Which properties are read with it."""
        return Choice(self.sites)
