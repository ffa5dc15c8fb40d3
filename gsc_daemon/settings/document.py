"""Settings, as they are told to people: the commented example and docs/settings.md, both from the schema."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any, Final

from gsc_daemon.settings.about import About, Kind, abouts, default
from gsc_daemon.settings.schema import SECTIONS, TABLES
from gsc_daemon.settings.tables import CredentialSettings

WIDTH: Final = 110
NO_DEFAULT: Final = ("[]", '"."')  # as `toml` writes them
REQUIRED: Final = "sync.sites"  # the one setting without a default


def toml(value: Any) -> str:
    """A value as TOML writes it."""
    match value:
        case None:
            return '""'
        case bool():
            return "true" if value else "false"
        case int() | float():
            return str(value)
        case tuple() | list():
            return "[" + ", ".join(toml(one) for one in value) + "]"
        case _:
            return json.dumps(str(value), ensure_ascii=False)  # a JSON string is a TOML basic string


def example() -> str:
    """A whole settings file: every setting explained, commented out at its default; only the sites are to be given."""
    parts = [
        "# Settings of gscd. Each is overridden by GSCD_SECTION__KEY, such as GSCD_WORKERS__MAX_CONCURRENCY=5.",
        "# ~ is the user's folder, %d/ systemd's credentials folder; other paths begin at the folder of this file.",
        '# "Reload" marks what `gscd reload` puts in force; the rest wants a restart.',
    ]
    for name, section in SECTIONS.items():
        parts += ["", f"# {section.__doc__}", f"[{name}]"]
        for key, about in abouts(section).items():
            parts += _explained(about)
            given = f"{name}.{key}" == REQUIRED
            value = about.example[:1] if given else default(section, key)
            parts.append(f"{'' if given else '# '}{key} = {toml(value)}")
    for name, kind in TABLES.items():
        parts += ["", f"# {kind.__doc__}", f"# [[{name}]]"]
        for key, about in abouts(kind).items():
            parts += _explained(about)
            given = default(kind, key)
            parts.append(f"# {key} = {toml(about.example if kind is CredentialSettings else given)}")
    return "\n".join(parts) + "\n"


def _explained(about: About) -> list[str]:
    """The comment above a setting."""
    notes = [about.meaning, *(note + "." for note in (_range(about),) if note)]
    if about.reload:
        notes.append("Reload.")
    return ["#", *textwrap.wrap(" ".join(notes), WIDTH, initial_indent="# ", subsequent_indent="# ")]


def _range(about: About) -> str:
    low = about.above if about.above is not None else about.low
    if low is None or about.high is None:
        return ""
    if about.above is not None:
        return f"More than {low:,}, at most {about.high:,} {about.unit}".rstrip()
    return f"{low:,} to {about.high:,} {about.unit}".rstrip()


def page() -> str:
    """docs/settings.md."""
    parts = [
        "# Settings",
        "",
        "<!-- Made by scripts/docs from gsc_daemon/settings/schema.py; change it there. -->",
        "",
        "One TOML file. The first that is there counts:",
        "",
        "1. `gscd --config FILE`",
        "2. `GSCD_CONFIG`",
        "3. `/etc/gscd/gscd.toml`",
        "4. without root, `$XDG_CONFIG_HOME/gscd/gscd.toml` (`~/.config`); ledger and halt file are then below",
        "   `$XDG_STATE_HOME/gscd` (`~/.local/state`) unless the file says otherwise",
        "",
        "`gscd config example` prints a file with every setting explained, `gscd config check` says what is wrong with",
        "one, `gscd config show` what is in force and where each value comes from.",
        "",
        "Each setting is overridden by an environment variable, `GSCD_SECTION__KEY`, as in",
        '`GSCD_WORKERS__MAX_CONCURRENCY=5`; lists as TOML (`["a", "b"]`) or with commas (`a,b`). Reports and',
        "credentials are given in the file only.",
        "",
        "In paths, `~/` is the user's folder and `%d/` systemd's credentials folder; other relative paths begin at the",
        "folder of the settings file. Files that hold secrets hold one line and must not be open to everyone",
        "(`chmod o=`).",
        "",
        "**Reload**: ● `gscd reload` puts a change in force, each worker after its batch; ○ a restart is wanted.",
    ]
    for name, section in SECTIONS.items():
        parts += ["", f"## [{name}]", "", section.__doc__ or "", "", *_table(section)]
    for name, kind in TABLES.items():
        parts += ["", f"## [[{name}]]", "", kind.__doc__ or "", "", *_table(kind)]
    return "\n".join([*parts, "", *_TOGETHER]) + "\n"


def _table(section: type[Any]) -> list[str]:
    rows = ["| Setting | Default | Meaning | Range | Example | Reload |", "|---|---|---|---|---|---|"]
    for key, about in abouts(section).items():
        own = toml(_shown(default(section, key)))
        allowed = ", ".join(f"`{choice}`" for choice in about.choices) or _range(about) or _KINDS[about.kind]
        rows.append(
            f"| `{key}` | {'none' if own in NO_DEFAULT else f'`{own}`'} | {about.meaning} | {allowed} "
            f"| `{toml(_shown(about.example))}` | {'●' if about.reload else '○'} |"
        )
    return rows


def _shown(value: Any) -> Any:
    return str(value) if isinstance(value, Path) else value


_KINDS: Final = {
    Kind.WHOLE: "a whole number",
    Kind.NUMBER: "a number",
    Kind.TEXT: "a text",
    Kind.PATH: "a path",
    Kind.TEXTS: "a list of texts",
}

_TOGETHER: Final = [
    "## What is refused together",
    "",
    "Limits that cancel each other are refused, with the numbers:",
    "",
    "- `max_in_flight` below 2 × `max_concurrency`: a worker overlaps two batches, so some would always stand still.",
    "- 80% of `max_queue_size` below `max_concurrency` × `batch_size`: there would not be one batch for each worker.",
    "- `lease_seconds` below 2 s (pacing) + `deadline_seconds` + 2 × 15 s (writing): leases would end that are well.",
    "- `batch_size` above `budget_share` × any of the quotas: a batch could never be sent.",
    "- `memory://` with more than one worker: they would not share one budget.",
    "- `dsn` and `dsn_file`, or `storage` and `storage_file`, both given.",
    "- an `endpoint` without https, or a `listen` address, that is not of this machine.",
    "",
    "The budget formula, `max_concurrency × batch_size × 60 / average batch seconds ≤ 1,200`, is shown by",
    "`gscd config check` with the measured average and only warns, since the limiter holds the budget.",
]
