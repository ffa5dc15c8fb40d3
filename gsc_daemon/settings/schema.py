"""Settings, what there is to set: one frozen struct per section of gscd.toml, each setting with its description.

The names and defaults are the design's. `gscd config example` and docs/settings.md are made from what stands here.
"""

# ruff: noqa: RUF009 - the sections are frozen

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from gsc_daemon.model import BUILT_IN_REPORTS, Report
from gsc_daemon.settings import values
from gsc_daemon.settings.about import About, Kind, Section, abouts, described, setting
from gsc_daemon.settings.choice import Choice
from gsc_daemon.settings.tables import CREDENTIALS, REPORTS, CredentialSettings, ReportSettings


@described
class LedgerSettings(Section, frozen=True):
    """The SQLite file that holds the truth about work."""

    path: Path = setting(
        Kind.PATH,
        Path("/var/lib/gscd/ledger.db"),
        "The ledger: a file on a local disk (no network file system), in a folder that belongs to the daemon's user.",
        example="/srv/gscd/ledger.db",
    )


@described
class HaltSettings(Section, frozen=True):
    """The persistent stop."""

    file: Path = setting(
        Kind.PATH,
        Path("/var/lib/gscd/HALT"),
        "While this file exists, nothing is sent or written. `gscd halt` makes it, `gscd resume` removes it.",
        example="/srv/gscd/HALT",
    )


@described
class WorkersSettings(Section, frozen=True):
    """How much is done at once."""

    max_concurrency: int = setting(
        Kind.WHOLE,
        3,
        "Worker processes. 1 is the sequential mode, which gives the same rows. "
        "`gscd rollout` says when more may be tried.",
        unit="processes",
        example=5,
        low=1,
        high=64,
        reload=True,
    )
    batch_size: int = setting(
        Kind.WHOLE,
        10,
        "Items that one worker leases at once, all of one site; each is one query.",
        unit="items",
        example=20,
        low=1,
        high=1000,
        reload=True,
    )
    max_in_flight: int = setting(
        Kind.WHOLE,
        10,
        "Batches (not items) leased at one time by all workers together. "
        "At least 2 × max_concurrency, since a worker overlaps two batches.",
        unit="batches",
        example=12,
        low=2,
        high=1000,
        reload=True,
    )
    max_queue_size: int = setting(
        Kind.WHOLE,
        1000,
        "Ready and waiting items together: from 50% on there is a warning, from 80% on nothing is added.",
        unit="items",
        example=2000,
        low=10,
        high=1_000_000,
        reload=True,
    )
    lease_seconds: int = setting(
        Kind.WHOLE,
        180,
        "How long a batch belongs to its worker without a sign of life from it.",
        unit="seconds",
        example=300,
        low=10,
        high=3600,
        reload=True,
    )


@described
class ApiSettings(Section, frozen=True):
    """Google's API, or the emulator."""

    endpoint: str = setting(
        Kind.TEXT,
        "https://searchconsole.googleapis.com",
        "Where the API is. Only an address of this machine may do without https.",
        example="http://127.0.0.1:8080",
        wrong=values.wrong_endpoint,
    )
    credentials: Path = setting(
        Kind.PATH,
        Path("/etc/gscd/service-account.json"),
        "The key file of the service account (or an authorized user) that may read the properties. "
        "The token endpoint is the one in this file. application-default: no file, but the account of this machine.",
        example="%d/service-account.json",
    )
    transport: str = setting(
        Kind.TEXT,
        "parallel",
        'How a batch is sent: "parallel" requests, or one HTTP "multipart" request.',
        example="multipart",
        choices=("parallel", "multipart"),
    )
    deadline_seconds: int = setting(
        Kind.WHOLE,
        60,
        "What one response may take, from sending to its last byte.",
        unit="seconds",
        example=120,
        low=5,
        high=600,
    )


@described
class RateLimitSettings(Section, frozen=True):
    """The budget: what we allow ourselves of Google's quota."""

    storage: str = setting(
        Kind.TEXT,
        "redis://127.0.0.1:6379/0",
        "Redis (6.2 or newer) or Valkey, which all workers share: redis://, rediss://, redis+unix://, "
        "redis+sentinel:// or redis+cluster://, spelled as the limits package does. Keys begin with gscd:. "
        "memory:// only with one worker.",
        example="redis+unix:///run/redis/redis.sock",
        wrong=values.wrong_storage,
        secret=True,
    )
    storage_file: Path | None = setting(
        Kind.PATH,
        None,
        "A file that holds storage, for an address with a password.",
        example="%d/redis",
    )
    site_qpm: int = setting(
        Kind.WHOLE,
        1200,
        "Google's quota for one property.",
        unit="queries a minute",
        example=600,
        low=1,
        high=1_000_000,
        reload=True,
    )
    user_qpm: int = setting(
        Kind.WHOLE,
        1200,
        "Google's quota for one credential.",
        unit="queries a minute",
        example=600,
        low=1,
        high=1_000_000,
        reload=True,
    )
    project_qpm: int = setting(
        Kind.WHOLE,
        40_000,
        "Google's quota for the credential's Cloud project. Some projects have far less: the Cloud Console shows it.",
        unit="queries a minute",
        example=60,
        low=1,
        high=10_000_000,
        reload=True,
    )
    budget_share: float = setting(
        Kind.NUMBER,
        0.8,
        "The part of each quota that gscd allows itself. Lower it where other programs use the same credential.",
        example=0.5,
        above=0,
        high=1,
        reload=True,
    )


@described
class SinkSettings(Section, frozen=True):
    """PostgreSQL (15 or newer), the truth about data."""

    dsn: str = setting(
        Kind.TEXT,
        "postgresql:///gsc",
        "The database, as libpq's URI or key=value pairs. Passwords belong into dsn_file or ~/.pgpass.",
        example="postgresql://gscd@db.example.com/gsc?sslmode=verify-full",
        wrong=values.wrong_dsn,
        secret=True,
    )
    dsn_file: Path | None = setting(
        Kind.PATH,
        None,
        "A file that holds dsn.",
        example="%d/dsn",
    )
    schema: str = setting(
        Kind.TEXT,
        "gsc",
        "The schema for all relations; gscd makes it if it may.",
        example="search_console",
        wrong=values.wrong_schema,
    )
    reader: str = setting(
        Kind.TEXT,
        "",
        "A role that may read the views and nothing else, for analysts and their tools; gscd makes it if it may. "
        "Let people in by GRANT gsc_reader TO somebody.",
        example="gsc_reader",
        wrong=values.wrong_reader,
    )


@described
class SyncSettings(Section, frozen=True):
    """What is kept in step by itself."""

    sites: tuple[str, ...] = setting(
        Kind.TEXTS,
        (),
        "The properties, as Google spells them, or patterns: * stands for any text, so that "
        '["*"] means every property that a credential can read, and ["*", "!https://staging.*"] all but some. '
        "Properties that come to match later are taken up as new_sites says. No default. "
        "A site that leaves the list keeps its data, its queued days are cancelled.",
        example=("sc-domain:example.com", "https://www.example.com/"),
        wrong=values.wrong_sites,
        reload=True,
    )
    search_types: tuple[str, ...] = setting(
        Kind.TEXTS,
        ("web",),
        "web, image, video, news, discover, googleNews. Each costs its own requests.",
        example=("web", "discover"),
        wrong=values.wrong_search_types,
        reload=True,
    )
    every: str = setting(
        Kind.TEXT,
        "6h",
        'How often the newest days are looked for: "30m", "6h", "1d"; "" means only when asked by `gscd sync`.',
        example="1d",
        wrong=values.wrong_every,
        reload=True,
    )
    new_sites: str = setting(
        Kind.TEXT,
        "recent",
        'What is wanted of a site that was never synced: "recent" (the look-back), a number of days such as "150d", '
        'or "all" that Google keeps (16 months).',
        example="150d",
        wrong=values.wrong_new_sites,
        reload=True,
    )
    lookback_days: int = setting(
        Kind.WHOLE,
        4,
        "How many of the newest final days are fetched again once a day, since Google still changes some of them.",
        unit="days",
        example=7,
        low=0,
        high=90,
        reload=True,
    )

    stop_after_empty_days: int = setting(
        Kind.WHOLE,
        14,
        "gscd sync full-history ends at so many consecutive days without rows that are older than days with some; "
        "0 means never.",
        unit="days",
        example=30,
        low=0,
        high=500,
        reload=True,
    )

    @property
    def every_seconds(self) -> int | None:
        """Seconds between two looks at the newest days; None for only when asked."""
        return values.seconds(self.every) or None

    @property
    def new_site_days(self) -> int | None:
        """Days wanted of a site that was never synced: the look-back for "recent", None for all that Google keeps."""
        if self.new_sites == "all":
            return None
        return self.lookback_days if self.new_sites == "recent" else values.days(self.new_sites)

    @property
    def choice(self) -> Choice:
        """Which properties are meant."""
        return Choice(self.sites)

    @property
    def all_sites(self) -> bool:
        """Whether the sites depend on what Google lists."""
        return self.choice.open


@described
class TelemetrySettings(Section, frozen=True):
    """What the daemon tells."""

    listen: str = setting(
        Kind.TEXT,
        "127.0.0.1:9464",
        'Where /metrics and the page are; an address of this machine alone. "" means nowhere.',
        example="127.0.0.1:9500",
        wrong=values.wrong_listen,
    )
    slack_webhook_file: Path | None = setting(
        Kind.PATH,
        None,
        "A file that holds the URL of a Slack-compatible webhook for alerts.",
        example="%d/slack",
    )
    heartbeat_url_file: Path | None = setting(
        Kind.PATH,
        None,
        "A file that holds a URL that is asked every minute while all is well; "
        "whoever watches it raises the alarm when the machine is dead.",
        example="%d/heartbeat",
    )
    log_level: str = setting(
        Kind.TEXT,
        "info",
        "The least that the journal gets: error (a person is needed), warning (heals by itself), info, debug.",
        example="debug",
        choices=("error", "warning", "info", "debug"),
        reload=True,
    )

    @property
    def listen_address(self) -> tuple[str, int] | None:
        """Host and port, or None."""
        return values.split_address(self.listen) if self.listen else None


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings in force. Secrets are left out of its repr.

    Args:
        file: the file that they were read from. origins: ``section.key`` → where its value comes from: ``default``,
            ``FILE:LINE``, the name of an environment variable, or the secrets file. state_folder: the folder that `run`
            makes if it is missing; None when the settings name an existing one.
    """

    ledger: LedgerSettings = LedgerSettings()
    halt: HaltSettings = HaltSettings()
    workers: WorkersSettings = WorkersSettings()
    api: ApiSettings = ApiSettings()
    rate_limit: RateLimitSettings = RateLimitSettings()
    sink: SinkSettings = SinkSettings()
    sync: SyncSettings = SyncSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    reports: tuple[Report, ...] = BUILT_IN_REPORTS
    credentials: tuple[CredentialSettings, ...] = ()
    file: Path | None = None
    origins: Mapping[str, str] = field(default_factory=dict, repr=False, compare=False)
    state_folder: Path | None = None

    def origin(self, name: str) -> str:
        """Where the value of ``section.key`` comes from."""
        return self.origins.get(name, "default")

    @property
    def default_credentials(self) -> Path | None:
        """What reads the properties that none of ``[[credentials]]`` is for; None where those are all there are."""
        return None if self.credentials and self.origin("api.credentials") == "default" else self.api.credentials


TABLES: Final[Mapping[str, type[Any]]] = {REPORTS: ReportSettings, CREDENTIALS: CredentialSettings}
SECTIONS: Final[Mapping[str, type[Any]]] = {
    "ledger": LedgerSettings,
    "halt": HaltSettings,
    "workers": WorkersSettings,
    "api": ApiSettings,
    "rate_limit": RateLimitSettings,
    "sink": SinkSettings,
    "sync": SyncSettings,
    "telemetry": TelemetrySettings,
}


def every_setting() -> dict[str, About]:
    """``section.key`` → description of every setting but the reports."""
    return {f"{name}.{key}": about for name, section in SECTIONS.items() for key, about in abouts(section).items()}
