"""Settings, what may be shown of them: passwords in connection strings and texts become stars. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from gsc_daemon.settings.about import abouts
from gsc_daemon.settings.schema import SECTIONS, Settings
from gsc_daemon.settings.tables import CREDENTIALS, REPORTS

STARS: Final = "***"
# Up to the last @, since passwords that should have been percent-encoded may hold / : ? and @.
_USERINFO: Final = re.compile(r"(?P<before>[a-zA-Z][\w+.-]*://[^\s:/@]*:)[^\s]*@")
# libpq's key=value pairs (values may be quoted) and the same words in a URI's query.
_PAIRS: Final = re.compile(
    r"(?i)(?P<before>\b(?:\w*(?:password|passwd|secret)|\w+_token)\s*=\s*)"
    r"(?:'(?:[^'\\]|\\.)*'?|(?:\\.|[^\s&'\\])+)"
)


def mask(text: str) -> str:
    """The text without the passwords of connection strings; rather too little than too much is left."""
    return _PAIRS.sub(rf"\g<before>{STARS}", _USERINFO.sub(rf"\g<before>{STARS}@", text))


def has_password(text: str) -> bool:
    """Whether `mask` would hide anything."""
    return mask(text) != text


def shown(value: Any, *, secret: bool) -> Any:
    """A value as JSON can hold it, masked where it is secret."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, tuple):
        return list(value)
    if value is None:
        return ""
    return mask(value) if secret and isinstance(value, str) else value


def masked(settings: Settings) -> Mapping[str, Any]:
    """``section.key`` → value for display, in the order of the file; ``reports`` is the list of their names,
    ``credentials`` that of their files.
    """
    values = {
        f"{section}.{key}": shown(getattr(getattr(settings, section), key), secret=about.secret)
        for section, kind in SECTIONS.items()
        for key, about in abouts(kind).items()
    }
    return values | {
        REPORTS: [report.name for report in settings.reports],
        CREDENTIALS: [f"{one.file} for {' '.join(one.sites)}" for one in settings.credentials],
    }
