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
        "Also the name of its relation in Postgres. Ready-made: query_page (query, page, country, device; its relation "
        "is search_analytics), totals (the whole property, no dimensions), pages, queries, countries_devices, "
        "search_appearance, hourly. Any other name is a report of your own.",
        example="mobile_pages",
        reload=True,
    )
    dimensions: tuple[str, ...] = setting(
        Kind.TEXTS,
        (),
        "query, page, country, device, searchAppearance (only alone), hour (newest 10 days); a ready-made report "
        "brings its own.",
        example=("page", "country"),
        reload=True,
    )
    search_types: tuple[str, ...] = setting(
        Kind.TEXTS,
        (),
        "The search types that it is fetched for, instead of sync.search_types.",
        example=("web", "discover"),
        reload=True,
    )
    filters: tuple[str, ...] = setting(
        Kind.TEXTS,
        (),
        'Which rows it has, all of them to match: "dimension operator expression", the operators being equals, '
        "notEquals, contains, notContains, includingRegex, excludingRegex.",
        example=("device equals MOBILE", "page contains /blog/"),
        reload=True,
    )
    aggregation: str = setting(
        Kind.TEXT,
        "auto",
        "How Google counts: auto, byPage or byProperty.",
        example="byPage",
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
