"""`gscd cancel`: takes back days that were asked for and are not published yet."""

from __future__ import annotations

import datetime as dt

import click

from gsc_daemon.cli import Invocation
from gsc_daemon.cli.common import json_option, report, say, settings_of
from gsc_daemon.cli.work import check_order, date_range, known_site, site_option, span_words, working_ledger
from gsc_daemon.words import amount


@click.command()
@site_option
@date_range()
@json_option
@click.pass_obj
def cancel(invocation: Invocation, site: str | None, first: dt.date | None, last: dt.date | None, as_json: bool) -> int:
    """Take back days that wait, are quarantined or not begun; without options all of them.

    What is being fetched now still finishes, and what is published stays. `gscd sync` asks for them again.

    Example: gscd cancel --site sc-domain:example.com --from 2026-01-01 --to 2026-01-31
    """
    check_order(first, last)
    settings = settings_of(invocation, secrets=False)
    with working_ledger(settings) as ledger:
        if site is not None:
            site = known_site(site, [one.site for one in ledger.known_sites()], "the sites in the ledger")
        days = ledger.cancel_days(site, first, last)
        leased = ledger.counts().leased
    if as_json:
        report({"cancelled": days, "leased": leased})
        return 0
    say(f"{amount(days, 'day')}{span_words(site, first, last)} cancelled")
    if leased:
        say(f"{amount(leased, 'item')} of all sites together are being fetched now and finish")
    return 0
