"""Settings, how single values are spelled: durations, sites, addresses, identifiers. Pure.

Each ``wrong_…`` gives what is wrong with a value, to follow its name in a sentence, or "" if nothing is.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gsc_daemon.model import MONTHS_KEPT, SEARCH_TYPES
from gsc_daemon.settings.choice import NOT, is_pattern

SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
REDIS_SCHEMES: Final = ("redis", "rediss", "redis+unix", "redis+sentinel", "redis+cluster")
MOST_DAYS: Final = MONTHS_KEPT * 31
ALL_SITES: Final = "*"
LONGEST_SITE = 2000  # bytes; browsers and sitemaps end at about 2,000, and an index of Postgres at 2,700
_HOST = re.compile(r"(?=.{1,253}$)([a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?\.)*[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def seconds(text: str) -> int:
    """Seconds of a duration such as ``30m``, ``6h`` or ``1d``; "" is 0. Raises ValueError."""
    if not text:
        return 0
    match = re.fullmatch(r"(\d{1,9})([smhd])", text)
    if match is None:
        raise ValueError(text)
    return int(match[1]) * SECONDS[match[2]]


def days(text: str) -> int:
    """Days of a span such as ``150d``. Raises ValueError."""
    match = re.fullmatch(r"(\d{1,5})d", text)
    if match is None:
        raise ValueError(text)
    return int(match[1])


def wrong_every(text: str) -> str:
    """``sync.every``: a duration from a minute to 30 days, or "" for only when asked."""
    try:
        value = seconds(text)
    except ValueError:
        return 'is no duration; write it like "30m", "6h" or "1d", or "" for only when asked'
    return "" if not text or 60 <= value <= 30 * 86_400 else 'must be from "1m" to "30d", or "" for only when asked'


def wrong_new_sites(text: str) -> str:
    """``sync.new_sites``: how much of a site that was never synced is wanted."""
    if text in ("recent", "all"):
        return ""
    try:
        value = days(text)
    except ValueError:
        return 'must be "recent", "all" or a number of days such as "150d"'
    return "" if 1 <= value <= MOST_DAYS else f'must be from "1d" to "{MOST_DAYS}d" (Google keeps 16 months), or "all"'


def can_be_named(site: str) -> bool:
    """Whether a property's name can stand in a log, a page, a key of Postgres: no control characters, no novel."""
    return site.isprintable() and len(site.encode()) <= LONGEST_SITE


def wrong_site(site: str) -> str:
    """A property as Google spells it: ``sc-domain:example.com`` or ``https://www.example.com/``.

    Spelling: support.google.com/webmasters/answer/34592. Whether it exists, only Google knows.
    """
    if not can_be_named(site):
        return _NO_SITE
    if site.startswith("sc-domain:"):
        domain = site.removeprefix("sc-domain:")
        if _HOST.fullmatch(domain) and "." in domain:
            return ""
        bare = re.sub(r"^https?://", "", domain.strip().lower()).partition("/")[0]
        return _instead(f"sc-domain:{bare}") if _HOST.fullmatch(bare) and "." in bare else _NO_SITE
    if site.startswith(("http://", "https://")):
        return _wrong_prefix(site)
    host = site.strip().lower().partition("/")[0]
    return _instead(f"sc-domain:{host}", f"https://{host}/") if _HOST.fullmatch(host) and "." in host else _NO_SITE


def _wrong_prefix(site: str) -> str:
    try:
        url = urlsplit(site)
        host, shown = url.hostname or "", parse_qs(url.query).get("resource_id")
        _ = url.port  # raises for a port that is no number
    except ValueError:
        return _NO_SITE
    if host == "search.google.com" and shown:
        return _instead(shown[0])
    if not _HOST.fullmatch(host) or url.username is not None or any(c.isspace() for c in site):
        return _NO_SITE
    if url.query or url.fragment:
        return _instead(site.partition("?")[0].partition("#")[0].rstrip("/") + "/")
    scheme, _, rest = site.partition("://")
    netloc = rest.partition("/")[0]
    if netloc != netloc.lower() or not site.endswith("/"):
        return _instead(f"{scheme}://{netloc.lower()}{rest[len(netloc) :].rstrip('/')}/")
    return ""


_NO_SITE: Final = 'is not a property as Google spells it, such as "sc-domain:example.com" or "https://www.example.com/"'


def _instead(*spellings: str) -> str:
    return "is not as Google spells it; write " + " or ".join(f'"{spelling}"' for spelling in spellings)


def wrong_sites(sites: Sequence[str]) -> str:
    """``sync.sites``: properties, patterns, and what is left out; ``["*"]`` for all that the credential can read."""
    if not sites:
        return (
            'names no property; write sites = ["sc-domain:example.com"], or ["*"] for all that the credential can read'
        )
    if all(site.startswith(NOT) for site in sites):
        return 'only leaves properties out; write "*" before them for all others'
    return _wrong_in_list(sites) or next((f'"{site}" {wrong}' for site in sites if (wrong := _wrong_word(site))), "")


def wrong_credential_sites(sites: Sequence[str]) -> str:
    """``sites`` of one of ``[[credentials]]``."""
    return wrong_sites(sites) if sites else 'names no property; write sites = ["sc-domain:example.com"], or a pattern'


def _wrong_word(word: str) -> str:
    if not is_pattern(word):
        return wrong_site(word)
    bare = word.removeprefix(NOT)
    return wrong_site(bare) if bare and not is_pattern(bare) else _wrong_pattern(bare)


def _wrong_pattern(pattern: str) -> str:
    known = ("*", "sc-domain:", "http:", "https:", "http*", "https*", "sc-domain*")
    if pattern.startswith(known) and can_be_named(pattern) and " " not in pattern and NOT not in pattern:
        return ""
    return 'is no pattern of properties, such as "https://*.example.com/*", "sc-domain:*" or "*"'


def wrong_search_types(types: Sequence[str]) -> str:
    """``sync.search_types``: the API's own words."""
    if not types:
        return f"names none; there are {', '.join(SEARCH_TYPES)}"
    unknown = next((name for name in types if name not in SEARCH_TYPES), None)
    if unknown is not None:
        near = next((name for name in SEARCH_TYPES if name.lower() == unknown.lower().replace("_", "")), None)
        return f'"{unknown}" is no search type; ' + (
            f'write "{near}"' if near else f"there are {', '.join(SEARCH_TYPES)}"
        )
    return _wrong_in_list(types)


def _wrong_in_list(values: Sequence[str]) -> str:
    twice = next((value for value in values if values.count(value) > 1), None)
    return f'names "{twice}" twice' if twice is not None else ""


def wrong_schema(name: str) -> str:
    """``sink.schema``: an identifier that needs no quotes in Postgres."""
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", name):
        return "must be lower-case letters, digits and _ (63 at most), and begin with a letter"
    return "must not begin with pg_, which Postgres keeps for itself" if name.startswith("pg_") else ""


def wrong_reader(name: str) -> str:
    """``sink.reader``: as a schema's name; "" for none."""
    return wrong_schema(name) if name else ""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def split_address(text: str) -> tuple[str, int]:
    """Host and port of ``127.0.0.1:9464`` or ``[::1]:9464``. Raises ValueError."""
    match = re.fullmatch(r"(?:\[([0-9a-fA-F:]+)\]|([^:\[\]]+)):(\d{1,5})", text)
    if match is None or int(match[3]) > 65_535:
        raise ValueError(text)
    return match[1] or match[2], int(match[3])


def wrong_listen(text: str) -> str:
    """``telemetry.listen``: an address of this machine alone, or "" for none."""
    if not text:
        return ""
    try:
        host, _ = split_address(text)
    except ValueError:
        return 'is no address; write it like "127.0.0.1:9464", or "" for none'
    if is_loopback(host):
        return ""
    return f"would listen on {host}, which others can reach; use 127.0.0.1, and a reverse proxy to show it to others"


def wrong_endpoint(text: str) -> str:
    """``api.endpoint``: https, or plain http on this machine (the emulator)."""
    try:
        url = urlsplit(text)
        host = url.hostname
        _ = url.port
    except ValueError:
        return "is no URL"
    if url.scheme not in ("http", "https") or not host:
        return 'is no URL such as "https://searchconsole.googleapis.com"'
    if url.username is not None or url.query or url.fragment or url.path not in ("", "/"):
        return "must be scheme, host and port alone"
    if url.scheme == "http" and not is_loopback(host):
        return f"would send the credential to {host} without encryption; use https"
    return ""


def wrong_storage(uri: str) -> str:
    """``rate_limit.storage``: one of `limits`' Redis URIs, or ``memory://``. Never repeated: it may hold a password."""
    scheme, found, rest = uri.partition("://")
    if found and scheme == "memory":
        return ""
    if not found or scheme not in REDIS_SCHEMES:
        known = ", ".join(f"{name}://" for name in REDIS_SCHEMES)
        return f"is no address of Redis; it begins with one of {known}, or is memory:// with one worker"
    return "" if rest else "names no server"


def wrong_dsn(dsn: str) -> str:
    """``sink.dsn``: a libpq connection string, as URI or as key=value pairs. Never repeats it."""
    if dsn.startswith(("postgresql://", "postgres://")):
        return ""
    if "://" in dsn or not re.match(r"\s*\w+\s*=", dsn):
        return 'is no connection string such as "postgresql:///gsc" or "host=/run/postgresql dbname=gsc"'
    return ""
