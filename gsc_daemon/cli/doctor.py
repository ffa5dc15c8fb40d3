"""`gscd doctor`: everything that the daemon needs, looked at, each with what to do about it."""

from __future__ import annotations

import email.utils
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from typing import Any, Final

import click

from gsc_daemon.budget import RateLimits, make_budget
from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import exists, json_option, report, settings_of
from gsc_daemon.cli.owner import become_owner
from gsc_daemon.cli.progress import Progress
from gsc_daemon.doctor import THIS_MACHINE, Check, Instruments, Verdict, examine, worst
from gsc_daemon.errors import Exit, GscdError
from gsc_daemon.model import Pace
from gsc_daemon.ports import Budget
from gsc_daemon.settings import Settings, mask
from gsc_daemon.source import check_credentials
from gsc_daemon.wiring import make_sink, make_sources, open_ledger
from gsc_daemon.words import amount

SECTIONS: Final = ("ledger", "halt")  # what is still looked at when something else in the settings is wrong
PATIENCE: Final = 5.0  # seconds that the ledger's lock is waited for
WEB_PATIENCE: Final = 5.0
MARKS: Final = {Verdict.OK: "ok", Verdict.WARNING: "warning", Verdict.PROBLEM: "PROBLEM"}


@click.command()
@json_option
@click.pass_obj
def doctor(invocation: Invocation, as_json: bool) -> int:
    """Check settings, credentials, every site's permission, Redis, Postgres, ledger, disk, clock; exits 1 on a problem.

    Each check says what to do. All are made, whatever comes of the others; nothing is changed, no secret is shown.

    Example: gscd doctor
    """
    with Progress("looking at") as progress:
        checks = list(progress.count(_examine(invocation)))
    if as_json:
        report({"verdict": worst(checks), "checks": [_data(check) for check in checks]})
    else:
        _tell(checks)
    return int(Exit.PROBLEM if worst(checks) is Verdict.PROBLEM else Exit.OK)


def _examine(invocation: Invocation) -> Iterator[Check]:
    names: Sequence[str] | None = None
    try:
        settings = settings_of(invocation)
    except GscdError as error:
        yield _failed("settings", error)
        names = THIS_MACHINE
        try:
            settings = settings_of(invocation, only=SECTIONS, secrets=False)
        except GscdError:  # told already
            return
    try:
        if exists(settings.ledger.path.parent):
            become_owner(settings)
    except GscdError as error:
        yield _failed("user", error)
    instruments = _instruments(settings)
    yield from examine(instruments) if names is None else examine(instruments, names)


def _failed(name: str, error: GscdError) -> Check:
    return Check(name, Verdict.PROBLEM, mask(error.message), mask(error.hint))


def _instruments(settings: Settings) -> Instruments:
    return Instruments(
        settings,
        ledger_exists=exists(settings.ledger.path),
        open_ledger=lambda: open_ledger(settings, read_only=True, patience=PATIENCE),
        make_budget=lambda: _budget(settings),
        make_sources=lambda: make_sources(settings),
        make_sink=lambda: make_sink(settings),
        check_credentials=check_credentials,
        web_date=_web_date,
    )


def _budget(settings: Settings) -> Budget:
    """The budget without a ledger, which there may not be; what Redis says of itself does not ask for one."""
    rates = settings.rate_limit
    limits = RateLimits(rates.site_qpm, rates.user_qpm, rates.project_qpm, rates.budget_share)
    return make_budget(
        rates.storage,
        limits,
        recent_sends=lambda _seconds: (),
        load_pace=lambda _credential: Pace(),
        save_pace=lambda _credential, _pace: None,
    )


def _web_date(url: str) -> float:
    """The Date header of whatever the server answers, in UTC seconds. Raises OSError."""
    request = urllib.request.Request(url, method="HEAD")  # noqa: S310 - the settings allow http and https only
    try:
        with urllib.request.urlopen(request, timeout=WEB_PATIENCE) as answer:  # noqa: S310
            date = answer.headers["Date"]
    except urllib.error.HTTPError as error:  # there is nothing at that place, which has a date too
        date = error.headers["Date"]
        error.close()
    except urllib.error.URLError as error:
        raise OSError(str(error.reason)) from error
    if not date:
        raise OSError("its answer has no Date header")
    return email.utils.parsedate_to_datetime(date).timestamp()


def _data(check: Check) -> dict[str, Any]:
    return {"name": check.name, "verdict": check.verdict, "text": check.text, "do": check.do}


def _tell(checks: Sequence[Check]) -> None:
    problems = sum(check.verdict is Verdict.PROBLEM for check in checks)
    warned = sum(check.verdict is Verdict.WARNING for check in checks)
    parts = [amount(number, thing) for number, thing in ((problems, "problem"), (warned, "warning")) if number]
    click.echo(f"{' and '.join(parts)} found" if parts else "All is well")
    width = max(len(check.name) for check in checks)
    for check in checks:
        click.echo(f"{MARKS[check.verdict]:<8} {check.name:<{width}}  {check.text}")
        if check.do:
            click.echo(f"{'':<8} {'':<{width}}  → {check.do}")
