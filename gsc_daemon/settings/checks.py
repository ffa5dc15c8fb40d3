"""Settings, whether they can work together: limits that cancel each other are refused with the numbers.

Only what contradicts itself is refused; what merely wastes is a warning.
"""

from __future__ import annotations

import math
import stat
from pathlib import Path
from typing import Final

import msgspec

from gsc_daemon.errors import ConfigError
from gsc_daemon.reports import impossible
from gsc_daemon.settings.encryption import open_ways
from gsc_daemon.settings.files import is_folder
from gsc_daemon.settings.schema import Settings
from gsc_daemon.settings.secrets import has_password

OVERLAP: Final = 2  # batches of one worker: one is fetched while the last is written
READY_BATCHES: Final = 4  # what the coordinator keeps ready for each worker, in batches
QUEUE_STOP: Final = 0.8  # of max_queue_size: from here on nothing is added
PACING_SECONDS: Final = 2  # the longest wait for the budget that keeps a lease
APPLICATION_DEFAULT: Final = "application-default"  # no file, but the account of this machine: `source.credentials`
WRITE_SECONDS: Final = 15  # for one batch's days to reach Postgres; also what a drain allows


def check_together(settings: Settings) -> None:
    """Raises `ConfigError` for the first two settings that cancel each other."""
    _check_workers(settings)
    _check_budget(settings)
    _check_paths(settings)
    _check_readers(settings)


def _check_readers(settings: Settings) -> None:
    """Somebody must read each property that is named."""
    if settings.default_credentials is not None:
        return
    for site in settings.sync.choice.named:
        if not any(one.choice.has(site) for one in settings.credentials):
            raise _refusal(
                settings,
                ("sync.sites",),
                f'none of [[credentials]] is for "{site}" of sync.sites',
                "Name it in sites of one of them, or set api.credentials for all that they are not for",
            )


def _check_workers(settings: Settings) -> None:
    workers = settings.workers
    least = OVERLAP * workers.max_concurrency
    if workers.max_in_flight < least:
        raise _refusal(
            settings,
            ("workers.max_in_flight", "workers.max_concurrency"),
            f"max_in_flight = {workers.max_in_flight} holds back max_concurrency = {workers.max_concurrency}: "
            f"each worker overlaps two batches, so at least {least} must be allowed",
            f"Set max_in_flight = {least} or more",
        )
    room, wanted = math.floor(QUEUE_STOP * workers.max_queue_size), workers.max_concurrency * workers.batch_size
    if room < wanted:
        raise _refusal(
            settings,
            ("workers.max_queue_size", "workers.batch_size", "workers.max_concurrency"),
            f"max_queue_size = {workers.max_queue_size} is filled to 80% ({room} items), which is less than "
            f"one batch for each worker ({workers.max_concurrency} × {workers.batch_size} = {wanted})",
            f"Set max_queue_size = {math.ceil(READY_BATCHES * wanted / QUEUE_STOP)} or more",
        )
    needed = settings.api.deadline_seconds + PACING_SECONDS + OVERLAP * WRITE_SECONDS
    if workers.lease_seconds < needed:
        raise _refusal(
            settings,
            ("workers.lease_seconds", "api.deadline_seconds"),
            f"lease_seconds = {workers.lease_seconds} ends leases that are well: {PACING_SECONDS} s of pacing, "
            f"deadline_seconds = {settings.api.deadline_seconds} and {OVERLAP} × {WRITE_SECONDS} s of writing "
            f"are {needed} s",
            f"Set lease_seconds = {needed} or more",
        )


def _check_budget(settings: Settings) -> None:
    workers, rates = settings.workers, settings.rate_limit
    for name in ("site_qpm", "user_qpm", "project_qpm"):
        quota = getattr(rates, name)
        budget = math.floor(quota * rates.budget_share)
        if workers.batch_size > budget:
            raise _refusal(
                settings,
                (f"rate_limit.{name}", "workers.batch_size", "rate_limit.budget_share"),
                f"{name} = {quota} × budget_share = {rates.budget_share:g} allows {budget} queries a minute, "
                f"so a batch of batch_size = {workers.batch_size} could never be sent",
                f"Set batch_size = {budget} or less" if budget else "Raise one of them",
            )
    if rates.storage.startswith("memory://") and workers.max_concurrency > 1:
        raise _refusal(
            settings,
            ("rate_limit.storage", "workers.max_concurrency"),
            f"storage = memory:// is not shared, but max_concurrency = {workers.max_concurrency} workers must share "
            "one budget",
            "Use Redis, or max_concurrency = 1",
        )


def _check_paths(settings: Settings) -> None:
    if settings.halt.file == settings.ledger.path:
        raise _refusal(
            settings, ("halt.file", "ledger.path"), f"halt.file and ledger.path are both {settings.halt.file}", ""
        )


def _refusal(settings: Settings, names: tuple[str, ...], message: str, hint: str) -> ConfigError:
    """The first of the settings that was given, and not left at its default, says where."""
    given = next((origin for name in names if (origin := settings.origin(name)) != "default"), "")
    return ConfigError(f"{given or settings.file or 'settings'}: {message}", hint=hint)


def check_places(settings: Settings) -> None:
    """Whether the folders and files that the settings name are there. Raises `ConfigError`.

    A user's own state folder need not be there: the daemon makes it. What this user may not see is not held against
    anyone: the daemon's user may.
    """
    for name, path in (("ledger.path", settings.ledger.path), ("halt.file", settings.halt.file)):
        folder = path.parent
        if is_folder(path):
            raise ConfigError(f"{settings.origin(name)}: {name} = {path} is a folder, but must be a file")
        if folder != settings.state_folder and is_folder(folder) is False:
            raise ConfigError(
                f"{_origin(settings, name)}: {name} = {path}, but there is no folder {folder}",
                hint="Make it, owned by the daemon's user; systemd's StateDirectory= does that for /var/lib/gscd",
            )
    if settings.default_credentials is not None:
        where = f"{_origin(settings, 'api.credentials')}: api.credentials = {settings.default_credentials}"
        _check_credentials(where, settings.default_credentials)
    for one in settings.credentials:
        _check_credentials(f"{settings.file}: [[credentials]] file = {one.file}", one.file)


def _check_credentials(where: str, file: Path) -> None:
    if str(file).startswith("%d/") or file.name == APPLICATION_DEFAULT:
        return
    try:
        status = file.stat()
    except PermissionError:
        return
    except OSError as error:
        raise ConfigError(f"{where}: {error.strerror}", hint="Put the service account's key file there") from error
    if not stat.S_ISREG(status.st_mode):
        raise ConfigError(f"{where} is no file")
    if status.st_mode & (stat.S_IROTH | stat.S_IWOTH):
        raise ConfigError(f"{where}: everyone on this machine may read this key", hint=f"Run `chmod o= {file}`")


def _origin(settings: Settings, name: str) -> str:
    origin = settings.origin(name)
    return str(settings.file or "settings") if origin == "default" else origin


def make_state_folder(settings: Settings) -> None:
    """Make the state folder of a user without root (mode 0700). Raises `ConfigError`."""
    if settings.state_folder is None:
        return
    try:
        settings.state_folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError(f"the folder {settings.state_folder} cannot be made: {error.strerror}") from error


def warnings(settings: Settings) -> tuple[str, ...]:
    """What works, but not as well or as safely as it could; a sentence each."""
    workers, told = settings.workers, []
    room = math.floor(QUEUE_STOP * workers.max_queue_size)
    wanted = READY_BATCHES * workers.max_concurrency * workers.batch_size
    if room < wanted:
        told.append(
            f"max_queue_size = {workers.max_queue_size} is filled to 80% ({room} items), "
            f"less than the {wanted} that keep {workers.max_concurrency} workers busy"
        )
    for name in ("sink.dsn", "rate_limit.storage"):
        section, key = name.split(".")
        origin = settings.origin(name)
        inline = settings.file is not None and origin.startswith(f"{settings.file}")
        if inline and has_password(getattr(getattr(settings, section), key)) and _open_to_all(settings.file):
            told.append(f"{origin}: {name} holds a password that everyone on this machine may read; use {name}_file")
    told += open_ways(settings.sink.dsn, settings.rate_limit.storage)
    for file in (settings.api.credentials, *(one.file for one in settings.credentials)):
        if str(file).startswith("%d/"):
            told.append(f"the credentials {file} can be looked at only inside of the service")
    for report in settings.reports:
        for search_type in () if report.search_types else settings.sync.search_types:
            if rule := impossible(report, search_type):
                told.append(f"the report {report.name} is not fetched for {search_type}: {rule}")
    return tuple(told)


def _open_to_all(file: Path | None) -> bool:
    return file is not None and file.exists() and bool(file.stat().st_mode & stat.S_IROTH)


class BudgetEstimate(msgspec.Struct, frozen=True):
    """The seed's budget formula with measured figures.

    Args:
        qpm: queries a minute that the workers could send, None before anything was measured. text: for a person.
    """

    qpm: float | None
    quota: int
    text: str

    @property
    def over(self) -> bool:
        """Whether the workers could ask for more than Google allows; the limiter holds them back, so it only warns."""
        return self.qpm is not None and self.qpm > self.quota


def budget_formula(settings: Settings, average_batch_seconds: float | None) -> BudgetEstimate:
    """max_concurrency × batch_size × 60 / average batch seconds ≤ the smallest of Google's quotas (1,200)."""
    workers, rates = settings.workers, settings.rate_limit
    quota = min(rates.site_qpm, rates.user_qpm, rates.project_qpm)
    product = f"{workers.max_concurrency} workers × {workers.batch_size} queries × 60"
    if not average_batch_seconds or average_batch_seconds <= 0:
        even = workers.max_concurrency * workers.batch_size * 60 / quota
        text = f"{product} / average seconds ≤ {quota:,} a minute holds from {even:.1f} s a batch on; none measured yet"
        return BudgetEstimate(None, quota, text)
    qpm = workers.max_concurrency * workers.batch_size * 60 / average_batch_seconds
    verdict = f"of {quota:,} that Google allows" if qpm <= quota else f"over {quota:,}: the limiter holds them back"
    text = f"{product} / {average_batch_seconds:.2f} s a batch = {qpm:,.0f} a minute, {verdict}"
    return BudgetEstimate(qpm, quota, text)
