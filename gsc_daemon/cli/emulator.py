"""`gscd emulator`: the local Search Console, in the foreground."""

from __future__ import annotations

import json
from typing import Any

import click

from gsc_daemon import emulator as served
from gsc_daemon.cli.common import say
from gsc_daemon.emulator.config import EmulatorConfig, SiteSpec, changed
from gsc_daemon.errors import UsageError
from gsc_daemon.settings import wrong_site


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
    "--set",
    "settings",
    multiple=True,
    metavar="NAME=JSON",
    help='Any other setting of the emulator, such as hidden_qpm=60 or \'faults=[{"kind":"503","rate":0.01}]\'.',
)
def emulator(
    host: str, port: int, sites: tuple[str, ...], rows: int, seed: int, latency: float, settings: tuple[str, ...]
) -> int:
    """Serve a Search Console of this machine's own until interrupted; point api.endpoint at it.

    Example: gscd emulator --port 8080 --site sc-domain:example.com --rows 60000 --latency 0.5
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
    )
    say(f"serving {', '.join(names)} with {rows:,} rows a day; Ctrl-C ends it")
    served.serve(changed(config, _given(settings)), host, port)
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
