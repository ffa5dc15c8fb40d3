"""`gscd emulator`: the local Search Console, in the foreground."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any, Final

import click

from gsc_daemon import emulator as served
from gsc_daemon.cli.common import say
from gsc_daemon.emulator.config import EmulatorConfig, SiteSpec, changed
from gsc_daemon.errors import NotPermitted, UsageError
from gsc_daemon.settings import wrong_site

_ACCOUNT: Final = "sync"
_KEY_FILE: Final = "service-account.json"
_SETTINGS_FILE: Final = "gscd.toml"


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", default=8080, show_default=True, type=click.IntRange(0, 65_535), help="0 takes a free one.")
@click.option("--site", "sites", multiple=True, metavar="SITE", help="A property; may be given several times.")
@click.option("--rows", default=40_000, show_default=True, type=click.IntRange(0), help="Rows of a site and day.")
@click.option("--seed", default=1, show_default=True, help="The same seed gives the same rows.")
@click.option(
    "--latency",
    default=0.0,
    show_default=True,
    type=click.FloatRange(0),
    metavar="SECONDS",
    help="Median time until a full response begins; the slowest in a hundred take three times as long.",
)
@click.option(
    "--qpm",
    default=1200,
    show_default=True,
    type=click.IntRange(1),
    help="Queries a minute that it takes of one site, and of one user.",
)
@click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=JSON",
    help='Any other setting of the emulator, such as hidden_qpm=60 or \'faults=[{"kind":"503","rate":0.01}]\'.',
)
@click.option(
    "--write",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="FOLDER",
    help=f"Write {_KEY_FILE} and a matching {_SETTINGS_FILE} there.",
)
def emulator(
    host: str,
    port: int,
    sites: tuple[str, ...],
    rows: int,
    seed: int,
    latency: float,
    qpm: int,
    settings: tuple[str, ...],
    folder: Path | None,
) -> int:
    """Serve a Search Console of this machine's own until interrupted; point api.endpoint at the URL that it prints.

    Example: gscd emulator --port 8080 --site sc-domain:example.com --rows 60000 --latency 0.5 --write ./try
    """
    names = sites or (SiteSpec().site_url,)
    for name in names:
        if wrong := wrong_site(name):
            raise UsageError(f'--site "{name}" {wrong}')
    config = EmulatorConfig(
        sites=tuple(SiteSpec(name, rows_per_day=rows) for name in names),
        seed=seed,
        latency_median_s=latency,
        latency_p99_s=3 * latency,
        site_qpm=qpm,
        user_qpm=qpm,
    )
    config = changed(config, _given(settings))
    say(f"serving {', '.join(names)} with {rows:,} rows a day; Ctrl-C ends it")
    _, account = served.service_account(_ACCOUNT, "")
    ready = functools.partial(_ready, config, host, folder)
    served.serve(config, host, port, accounts=[account], ready=ready)
    return 0


def _given(settings: tuple[str, ...]) -> dict[str, Any]:
    """``NAME=JSON`` as values. Raises `UsageError`."""
    given = {}
    for setting in settings:
        name, found, text = setting.partition("=")
        try:
            given[name] = json.loads(text)
        except json.JSONDecodeError as error:
            raise UsageError(f"--set {setting}: write NAME=JSON, such as hidden_qpm=60") from error
        if not found:
            raise UsageError(f"--set {setting}: write NAME=JSON, such as hidden_qpm=60")
    return given


def _ready(config: EmulatorConfig, host: str, folder: Path | None, port: int) -> None:
    """Connections are taken: say where, and write what a client needs. Raises `NotPermitted`."""
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    if folder is not None:
        try:
            _write(config, url, folder.absolute())
        except OSError as error:
            message = f"cannot write to {folder}: {error.strerror}"
            raise NotPermitted(message, hint="Give --write another folder") from error
        say(f"wrote {folder / _KEY_FILE} and {folder / _SETTINGS_FILE}")
    click.echo(url)


def _write(config: EmulatorConfig, url: str, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    key_file, _ = served.service_account(_ACCOUNT, url)
    key_path = served.write_secret(folder / _KEY_FILE, key_file)
    lines = [
        "# For the emulator that wrote this; the other settings have their defaults.",
        "[api]",
        f"endpoint = {_toml(url)}",
        f"credentials = {_toml(str(key_path))}",
        "",
        "[rate_limit]",
        f"site_qpm = {config.site_qpm}",
        f"user_qpm = {config.user_qpm}",
        "",
        "[sync]",
        f"sites = {_toml([site.site_url for site in config.sites])}",
    ]
    (folder / _SETTINGS_FILE).write_text("\n".join(lines) + "\n", encoding="utf-8")


def _toml(value: str | list[str]) -> str:
    """Strings as TOML; JSON has the same ones."""
    return json.dumps(value, ensure_ascii=False)
