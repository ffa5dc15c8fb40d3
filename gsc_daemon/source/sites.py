"""Step 5, fetch, property names: what a user typed, matched to a property that the credential can read. Pure.

The same property in another spelling (percent-encoded, pasted from the Search Console's own address bar, without the
last slash, with capitals in the host) is taken for what it is. Another property, however alike (https for http, the
domain for a URL prefix), is only suggested: its data are not the same.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from typing import Final
from urllib.parse import SplitResult, parse_qs, unquote, urlsplit

from gsc_daemon.errors import UsageError
from gsc_daemon.settings.values import wrong_site

DOMAIN: Final = "sc-domain:"
_SHOWN: Final = 3  # suggestions at most
_ENCODED: Final = re.compile(r"(?:sc-domain|https?)%3a", re.IGNORECASE)
_UI_PARAMETERS: Final = ("resource_id", "siteUrl")  # of Search Console's pages, today's and those before 2019
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


def match_site(typed: str, known: Sequence[str]) -> str:
    """The property that was meant, as Google spells it.

    Args:
        known: the properties that the credential can read.

    Raises:
        UsageError: none of them; suggests what may have been meant.
    """
    if typed in known:
        return typed
    site = normalise(typed)
    if site in known:
        return site
    wrong = wrong_site(site)
    message = f'"{typed}" {wrong}' if wrong else f'the credential can read no property "{site}"'
    raise UsageError(message, hint=_hint(suggestions(site, known), known))


def normalise(typed: str) -> str:
    """The spelling that Google would use for what was typed; what is no property stays as it is, without blanks."""
    text = typed.strip().strip("\"'<>").strip()
    if _ENCODED.match(text):
        text = unquote(text)
    if text[: len(DOMAIN)].lower() == DOMAIN:
        return DOMAIN + text[len(DOMAIN) :].strip("/. ").lower()
    url = _split(text)
    if url is None:
        return text
    shown = _shown_in_ui(url)
    return normalise(shown) if shown else _normal_prefix(url)


def _split(text: str) -> SplitResult | None:
    """The text as an http URL with a host, or None."""
    try:
        url = urlsplit(text)
        _ = url.port  # raises for a port that is no number
    except ValueError:
        return None
    return url if url.scheme in _DEFAULT_PORTS and url.hostname else None


def _shown_in_ui(url: SplitResult) -> str:
    """The property of a page of Search Console itself, or ""."""
    if url.hostname not in ("search.google.com", "www.google.com"):
        return ""
    fields = parse_qs(url.query)
    return next((fields[name][0] for name in _UI_PARAMETERS if name in fields), "")


def _normal_prefix(url: SplitResult) -> str:
    host = url.hostname or ""
    port = "" if url.port in (None, _DEFAULT_PORTS[url.scheme]) else f":{url.port}"
    path = url.path if url.path.endswith("/") else f"{url.path}/"
    return f"{url.scheme}://{host}{port}{path}"


def suggestions(site: str, known: Sequence[str]) -> list[str]:
    """Properties that may have been meant, likeliest first: of the same host, of the domain around it, alike."""
    host = _host(site)
    near = sorted((distance, name) for name in known if (distance := _distance(host, name)) is not None)
    alike = difflib.get_close_matches(site, known, n=_SHOWN, cutoff=0.8)
    return list(dict.fromkeys([name for _, name in near] + alike))[:_SHOWN]


def _host(site: str) -> str:
    """The host of a property or of a bare name, without ``www.``."""
    bare = site.removeprefix(DOMAIN) if site.startswith(DOMAIN) else re.sub(r"^[a-z]+://", "", site.lower())
    return re.split(r"[/:?#]", bare, maxsplit=1)[0].removeprefix("www.")


def _distance(host: str, name: str) -> int | None:
    """How far a property is from a host: the same, its domain property, one of its hosts; None: unrelated."""
    if "." not in host:
        return None
    other = _host(name)
    if other == host:
        return 0
    if name.startswith(DOMAIN) and host.endswith(f".{other}"):
        return 1
    return 2 if other.endswith(f".{host}") else None


def _hint(found: Sequence[str], known: Sequence[str]) -> str:
    if found:
        return f"Did you mean {' or '.join(found)}?"
    if known:
        return f"`gscd sites` shows the {len(known)} that it can read"
    return "It can read none at all: add its e-mail address to the property's users in Search Console"
