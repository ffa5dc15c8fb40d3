"""The only place that picks implementations: settings in, steps and roles out."""

from __future__ import annotations

import gc
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from gsc_daemon import failpoint, halt, journal
from gsc_daemon.budget import RateLimits
from gsc_daemon.budget import make_budget as budget_for
from gsc_daemon.child import Child
from gsc_daemon.clock import SystemClock
from gsc_daemon.coordinator import READY_BATCHES, Coordinator, Plan
from gsc_daemon.halt import DaemonFile
from gsc_daemon.ledger import SqliteLedger
from gsc_daemon.ledger import open_ledger as open_sqlite
from gsc_daemon.model import BUILT_IN_REPORTS
from gsc_daemon.pipeline import MOST_UNDER_WAY, Limits
from gsc_daemon.ports import Budget, Ledger
from gsc_daemon.process import one_arena
from gsc_daemon.reporter import Reporter
from gsc_daemon.settings import Settings, changes, fingerprints, reloaded
from gsc_daemon.sink import PostgresSink
from gsc_daemon.source import SearchConsole, Sources, check_credentials, read_keyring
from gsc_daemon.supervisor import Role, Supervisor
from gsc_daemon.systemd import Notifier
from gsc_daemon.worker import Steps, Worker

CHILD_PATIENCE: Final = 10.0  # seconds that a child waits for the ledger's lock before it says so
STALE_SECONDS: Final = 30.0  # a coordinator or reporter silent for longer is hung


def open_ledger(
    settings: Settings, *, create: bool = False, read_only: bool = False, patience: float = 30.0
) -> SqliteLedger:
    """The ledger of these settings. Raises as `gsc_daemon.ledger.open_ledger`."""
    path = settings.ledger.path
    return open_sqlite(path, SystemClock(), create=create, read_only=read_only, patience=patience)


def make_sink(settings: Settings) -> PostgresSink:
    """The sink; it connects when first used."""
    return PostgresSink(settings.sink.dsn, settings.sink.schema, settings.sink.reader)


def make_source(settings: Settings, file: Path | None = None) -> SearchConsole:
    """The source of one credentials file, api.credentials unless another is given; it connects when first used."""
    return SearchConsole(
        file or settings.api.credentials,
        settings.api.endpoint,
        transport=settings.api.transport,
        connections=MOST_UNDER_WAY * settings.workers.batch_size,
        deadline=settings.api.deadline_seconds,
        clock=SystemClock(),
    )


def make_sources(settings: Settings) -> Sources:
    """The sources of all credentials, each made when it is first needed."""
    return Sources(read_keyring(settings), lambda file: make_source(settings, file))


def check_all_credentials(settings: Settings) -> None:
    """Whether each can work, as far as that shows without the network. Raises `ConfigError`."""
    for key in read_keyring(settings).keys:
        check_credentials(key.file)


def make_budget(settings: Settings, ledger: Ledger) -> Budget:
    """The budget; it connects when first used, and fills an emptied Redis from the ledger."""
    rates = settings.rate_limit
    return budget_for(
        rates.storage,
        RateLimits(rates.site_qpm, rates.user_qpm, rates.project_qpm, rates.budget_share),
        recent_sends=ledger.recent_sends,
        load_pace=ledger.pace,
        save_pace=ledger.save_pace,
        project_of=read_keyring(settings).project_of,
    )


def wanted_plan(settings: Settings) -> Plan:
    """What the coordinator keeps current."""
    sync = settings.sync
    return Plan(
        sites=sync.choice,
        reports=settings.reports,
        search_types=sync.search_types,
        every=sync.every_seconds,
        new_site_days=sync.new_site_days,
        lookback_days=sync.lookback_days,
        empty_days=sync.stop_after_empty_days,
    )


@dataclass(frozen=True, slots=True)
class Daemon:
    """One run of the daemon: what its children have in common.

    Args:
        run_id: names this run; claims wait until it has read what the sink holds.
    """

    settings: Settings
    run_id: str
    until_idle: bool
    take_over: bool

    def roles(self) -> tuple[Role, ...]:
        """The children that the supervisor keeps alive."""
        workers = self.settings.workers
        return (
            Role("coordinator", self._coordinate, 1, failpoint.patience(STALE_SECONDS)),
            Role("reporter", self._report, 1, failpoint.patience(STALE_SECONDS)),
            Role("worker", self._work, workers.max_concurrency, failpoint.patience(workers.lease_seconds)),
        )

    def _coordinate(self, child: Child) -> int:
        journal.attach(self.settings.telemetry.log_level)
        workers = self.settings.workers
        return Coordinator(
            child,
            lambda: open_ledger(self.settings, patience=failpoint.patience(CHILD_PATIENCE)),
            clock=SystemClock(),
            wanted=wanted_plan(self.settings),
            ready_target=READY_BATCHES * workers.max_concurrency * workers.batch_size,
            max_queue_size=workers.max_queue_size,
            until_idle=self.until_idle,
        ).run()

    def _report(self, child: Child) -> int:
        journal.attach(self.settings.telemetry.log_level)
        return Reporter(child, self.settings, lambda: open_ledger(self.settings, read_only=True, patience=2.0)).run()

    def _work(self, child: Child) -> int:
        journal.attach(self.settings.telemetry.log_level)
        settings = self.settings
        return Worker(
            child,
            self._steps,
            clock=SystemClock(),
            run_id=self.run_id,
            limits=Limits(
                settings.workers.batch_size,
                settings.workers.max_in_flight,
                failpoint.patience(settings.workers.lease_seconds),
            ),
            reports={report.name: report for report in (*BUILT_IN_REPORTS, *settings.reports)},
            sites=settings.sync.choice,
            halt_present=lambda: halt.present(settings.halt.file),
            take_over=self.take_over,
        ).run()

    def _steps(self) -> Steps:
        ledger = open_ledger(self.settings, patience=failpoint.patience(CHILD_PATIENCE))
        return Steps(ledger, make_budget(self.settings, ledger), make_sources(self.settings), make_sink(self.settings))


class Reloading:
    """What HUP does to a running daemon: the new settings where a reload suffices, the old ones elsewhere."""

    def __init__(self, daemon: Daemon, read: Callable[[], Settings], file: DaemonFile) -> None:
        self.daemon, self.read, self.file = daemon, read, file

    def __call__(self) -> tuple[Sequence[Role], str]:
        """The roles from now on, and what changed in words. Raises `ConfigError`; then nothing changes."""
        old, new = self.daemon.settings, self.read()
        if old.credentials != new.credentials:
            check_all_credentials(new)
        live, restart = changes(old, new)
        self.daemon = replace(self.daemon, settings=reloaded(old, new))
        self.file.update(settings=fingerprints(self.daemon.settings, self.daemon.run_id))
        told = f"changed: {', '.join(live)}" if live else "nothing changed"
        if restart:
            told += f"; these want a restart: {', '.join(restart)}"
        return self.daemon.roles(), told


def run_daemon(
    settings: Settings, reload: Callable[[], Settings], *, until_idle: bool = False, take_over: bool = False
) -> int:
    """Be the supervisor until told to stop; gives the exit code.

    The ledger is made if there is none; credentials are checked, without the network, before anything is forked.
    Raises `GscdError` for what makes a start senseless: a second daemon, a bad ledger, bad credentials.
    """
    check_all_credentials(settings)
    daemon = Daemon(settings, str(uuid.uuid4()), until_idle, take_over)
    lock = DaemonFile(halt.daemon_path(settings.ledger.path))
    lock.acquire(daemon.run_id, config=settings.file, settings=fingerprints(settings, daemon.run_id))
    try:
        open_ledger(settings, create=True).close()
        journal.attach(settings.telemetry.log_level)
        one_arena()
        gc.collect()
        gc.freeze()  # the children share these pages until they write to them
        return Supervisor(
            daemon.roles(),
            daemon_file=lock,
            halt_file=settings.halt.file,
            notifier=Notifier(),
            clock=SystemClock(),
            reload=Reloading(daemon, reload, lock),
        ).run()
    finally:
        lock.release()
