"""Doctor, the services: Google's API with the credentials and their permissions, Redis, Postgres; and the clock."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from gsc_daemon.doctor.check import Check, Instruments, Verdict
from gsc_daemon.errors import GscdError
from gsc_daemon.model import BudgetFacts, SinkFacts, SiteEntry
from gsc_daemon.settings import Choice, mask
from gsc_daemon.source import Sources
from gsc_daemon.source.sites import suggestions
from gsc_daemon.words import amount

OLDEST_REDIS: Final = (6, 2)
OLDEST_POSTGRES: Final = 150_000  # as server_version_num
SLOW_MS: Final = 10.0  # the seed's figure for one check of the rate
SITES_SHOWN: Final = 10
CLOCK_OFF: Final = 2.0  # seconds; Google's Date header is whole seconds
CLOCK_WRONG: Final = 60.0  # a token is refused by then, and dates are wrong around midnight


def look_at_credentials(instruments: Instruments) -> Iterator[Check]:
    """The file alone, without the network."""
    for key in instruments.make_sources().keyring.keys:
        try:
            instruments.check_credentials(key.file)
        except GscdError as error:
            yield Check("credentials", Verdict.PROBLEM, mask(error.message), mask(error.hint))
            continue
        who = account(key.file)
        yield Check("credentials", Verdict.OK, f"{key.file} is a key of {who}" if who else f"{key.file} is good")


def account(path: Path) -> str:
    """The service account's e-mail address, which its properties must name as a user; "" for other credentials."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    return str(content.get("client_email", "")) if isinstance(content, dict) else ""


def look_at_api(instruments: Instruments) -> Iterator[Check]:
    """A token, the API itself, and what the credential may read."""
    sources, settings = instruments.make_sources(), instruments.settings
    several = len(sources.keyring.keys) > 1
    try:
        for name, source in sources.each():
            to_whom = f" to {name}" if several else ""
            try:
                entries = source().list_sites()
            except GscdError as error:
                if not several:
                    raise
                yield Check("API", Verdict.PROBLEM, mask(f"{name}: {error.message}"), mask(error.hint))
                continue
            properties = amount(len(entries), "property")
            yield Check("API", Verdict.OK, f"a token was given{to_whom}, and the API lists {properties}")
            yield from _judge_all(settings.sync.choice, sources, name, entries)
    finally:
        sources.close()


def _judge_all(choice: Choice, sources: Sources, name: str, entries: Sequence[SiteEntry]) -> Iterator[Check]:
    """What one credential is to read: by name, and by pattern."""
    who = name if "@" in name else ""
    named = sources.read_by(name, choice.named)
    if named:
        yield from judge_sites(named, entries, who)
    if choice.open:
        mine = sources.read_by(name, [entry.site for entry in entries if choice.has(entry.site)])
        yield from judge_sites(None, [entry for entry in entries if entry.site in mine], who)


def judge_sites(wanted: Sequence[str] | None, entries: Sequence[SiteEntry], who: str) -> Iterator[Check]:
    """Whether each wanted property can be read. Args: wanted: None for all. who: the service account, or ""."""
    add = f"Add {who or 'its account'} as a user in Search Console (Settings, Users and permissions)"
    readable = {entry.site for entry in entries if entry.readable}
    if wanted is None:
        unread = [entry.site for entry in entries if not entry.readable]
        for site in unread[:SITES_SHOWN]:
            yield Check("sites", Verdict.WARNING, f"{site} is listed, but may not be read", add)
        if not readable:
            yield Check("sites", Verdict.PROBLEM, "the credential can read no property at all", add)
        else:
            yield Check("sites", Verdict.OK, f"all properties are wanted, {len(readable):,} can be read")
        return
    wrong = [site for site in wanted if site not in readable]
    for site in wrong[:SITES_SHOWN]:
        yield _unreadable(site, entries, add)
    if len(wrong) > SITES_SHOWN:
        yield Check("sites", Verdict.PROBLEM, f"{len(wrong) - SITES_SHOWN:,} more cannot be read either", add)
    if len(wrong) < len(wanted):
        yield Check("sites", Verdict.OK, f"{len(wanted) - len(wrong):,} of {amount(len(wanted), 'site')} can be read")


def _unreadable(site: str, entries: Sequence[SiteEntry], add: str) -> Check:
    if any(entry.site == site for entry in entries):
        return Check("sites", Verdict.PROBLEM, f"{site} is listed, but may not be read", add)
    near = " or ".join(suggestions(site, [entry.site for entry in entries if entry.readable]))
    do = f"Did you mean {near}? Otherwise: {add[0].lower()}{add[1:]}" if near else add
    return Check("sites", Verdict.PROBLEM, f"the credential does not see {site}", do)


def look_at_redis(instruments: Instruments) -> Iterator[Check]:
    """Whether the budget can be kept there."""
    budget = instruments.make_budget()
    try:
        facts = budget.facts()
    finally:
        budget.close()
    yield from judge_redis(facts)


def judge_redis(facts: BudgetFacts) -> Iterator[Check]:
    """What its facts mean."""
    if facts.version and facts.version < OLDEST_REDIS:
        yield Check("Redis", Verdict.PROBLEM, f"{facts.server} is too old", "Use Redis 6.2 or newer, or Valkey")
    if facts.eviction and facts.eviction != "noeviction":
        yield Check(
            "Redis",
            Verdict.PROBLEM,
            f"maxmemory-policy is {facts.eviction}, so queries that were sent can be forgotten",
            "Set maxmemory-policy noeviction, or give gscd a Redis of its own",
        )
    if facts.round_trip_ms > SLOW_MS:
        yield Check(
            "Redis",
            Verdict.WARNING,
            f"one check of the rate takes {facts.round_trip_ms:.1f} ms, of {SLOW_MS:.0f} that it should",
            "Run Redis on this machine",
        )
    yield Check("Redis", Verdict.OK, f"{facts.server} answers in {facts.round_trip_ms:.1f} ms")


def look_at_postgres(instruments: Instruments) -> Iterator[Check]:
    """Whether data can be kept there, and for whom it is kept."""
    sink = instruments.make_sink()
    try:
        facts = sink.facts()
    finally:
        sink.close()
    yield from judge_postgres(facts, instruments.settings.sink.schema)
    if facts.owner and instruments.ledger_exists:
        ledger = instruments.open_ledger()
        try:
            yield from judge_owner(facts.owner, ledger.ledger_id)
        finally:
            ledger.close()


def judge_postgres(facts: SinkFacts, schema: str) -> Iterator[Check]:
    """What its facts mean."""
    if facts.version < OLDEST_POSTGRES:
        yield Check("Postgres", Verdict.PROBLEM, f"{facts.server} is too old", "Use PostgreSQL 15 or newer")
    if facts.read_only:
        yield Check(
            "Postgres",
            Verdict.PROBLEM,
            "it takes no writes: a standby, or default_transaction_read_only is on",
            "Name the primary in sink.dsn",
        )
    if not facts.schema_version and not facts.may_create:
        yield Check(
            "Postgres",
            Verdict.PROBLEM,
            f"there is no schema {schema}, and this role may not make it",
            f"Have its owner run `CREATE SCHEMA {schema} AUTHORIZATION` with this role's name",
        )
    there = f"schema {schema} has version {facts.schema_version}" if facts.schema_version else f"{schema} is made later"
    yield Check("Postgres", Verdict.OK, f"{facts.server}, {there}, {facts.bytes / 1_000_000:,.0f} MB")


def judge_owner(owner: str, ledger_id: str) -> Iterator[Check]:
    """One ledger feeds one sink."""
    if owner != ledger_id:
        yield Check(
            "Postgres",
            Verdict.PROBLEM,
            f"it is fed by the ledger {owner}, and this one is {ledger_id}",
            "Name the right ledger.path or sink.dsn, or let `gscd run --take-over` take it",
        )


def look_at_clock(instruments: Instruments) -> Iterator[Check]:
    """This machine's clock against the API's: Google refuses tokens of a wrong one, and dates follow it."""
    before = time.time()
    try:
        there = instruments.web_date(instruments.settings.api.endpoint)
    except OSError as error:
        yield Check("clock", Verdict.WARNING, f"it could not be compared with the API's: {error}", "See API")
        return
    yield judge_clock((before + time.time()) / 2 - there)


def judge_clock(ahead: float) -> Check:
    """Args: ahead: seconds that this machine is ahead of the API."""
    ahead -= 0.5  # the header has whole seconds, so half of one is lost on the average
    way = "ahead of" if ahead > 0 else "behind"
    text = f"{abs(ahead):.0f} s {way} the API's"
    if abs(ahead) >= CLOCK_WRONG:
        return Check("clock", Verdict.PROBLEM, text, "Let systemd-timesyncd or chrony set it")
    if abs(ahead) >= CLOCK_OFF:
        return Check("clock", Verdict.WARNING, text, "Let systemd-timesyncd or chrony set it")
    return Check("clock", Verdict.OK, "agrees with the API's to the second")
