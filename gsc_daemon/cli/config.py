"""`gscd config`: whether the settings can work, what is in force and where it comes from, an example."""

from __future__ import annotations

from typing import Any, Final

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import exists, json_option, report, say, settings_of, table
from gsc_daemon.cli.owner import become_owner
from gsc_daemon.errors import GscdError
from gsc_daemon.settings import BudgetEstimate, Settings, budget_formula, check_places, masked, warnings
from gsc_daemon.settings.document import example as example_text

MEASURED_SECONDS: Final = 7 * 86_400.0
LEDGER_PATIENCE: Final = 1.0


@click.group()
def config() -> None:
    """Check and show the settings, or print an example.

    Example: gscd config example > gscd.toml
    """


@config.command()
@json_option
@click.pass_obj
def check(invocation: Invocation, as_json: bool) -> int:
    """Say what is wrong with the settings, without connecting anywhere.

    Exits 0 if the daemon can work with them, 78 if not. `gscd doctor` also asks the services.

    Example: gscd --config ./new.toml config check
    """
    settings = settings_of(invocation)
    check_places(settings)
    told, formula = warnings(settings), budget_formula(settings, _average_batch_seconds(settings))
    if as_json:
        report({"file": settings.file, "ok": True, "warnings": told, "budget_formula": _formula(formula)})
        return 0
    say(f"{settings.file}: the settings are good")
    for warning in told:
        say(f"warning: {warning}")
    say(f"{'warning: ' if formula.over else ''}{formula.text}")
    return 0


def _formula(formula: BudgetEstimate) -> dict[str, Any]:
    return {"qpm": formula.qpm, "quota": formula.quota, "over": formula.over, "text": formula.text}


def _average_batch_seconds(settings: Settings) -> float | None:
    """As the ledger has measured it; None without a ledger, or if it cannot be read now."""
    if not exists(settings.ledger.path):
        return None
    from gsc_daemon.clock import SystemClock
    from gsc_daemon.ledger import open_ledger

    try:
        become_owner(settings)
        ledger = open_ledger(settings.ledger.path, SystemClock(), read_only=True, patience=LEDGER_PATIENCE)
        try:
            return ledger.batch_stats(MEASURED_SECONDS).average_s or None
        finally:
            ledger.close()
    except GscdError as error:
        say(f"the ledger cannot be read now, so no batch is measured: {error}")
        return None


@config.command()
@json_option
@click.pass_obj
def show(invocation: Invocation, as_json: bool) -> int:
    """Print the settings in force and where each comes from; passwords are masked.

    Example: gscd config show | grep workers
    """
    settings = settings_of(invocation)
    values = masked(settings)
    if as_json:
        report({name: {"value": value, "origin": settings.origin(name)} for name, value in values.items()})
    else:
        rows = [(name, _text(value), settings.origin(name)) for name, value in values.items()]
        table([("setting", "value", "from"), *rows])
    return 0


def _text(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(value)
    return str(value) if value != "" else "-"


@config.command()
def example() -> int:
    """Print a settings file with every setting explained.

    Example: gscd config example > /etc/gscd/gscd.toml
    """
    click.echo(example_text(), nl=False)
    return 0
