"""Settings: what `gscd.toml` and the environment say, checked, each value with its origin. Comes before every step."""

from gsc_daemon.settings.checks import (
    BudgetEstimate,
    budget_formula,
    check_places,
    check_together,
    make_state_folder,
    warnings,
)
from gsc_daemon.settings.choice import Choice
from gsc_daemon.settings.compare import changed_since, changes, fingerprints, reloaded
from gsc_daemon.settings.files import read_secret
from gsc_daemon.settings.load import load
from gsc_daemon.settings.schema import (
    ApiSettings,
    HaltSettings,
    LedgerSettings,
    RateLimitSettings,
    Settings,
    SinkSettings,
    SyncSettings,
    TelemetrySettings,
    WorkersSettings,
)
from gsc_daemon.settings.secrets import mask, masked
from gsc_daemon.settings.tables import CredentialSettings
from gsc_daemon.settings.values import wrong_site

__all__ = [
    "ApiSettings",
    "BudgetEstimate",
    "Choice",
    "CredentialSettings",
    "HaltSettings",
    "LedgerSettings",
    "RateLimitSettings",
    "Settings",
    "SinkSettings",
    "SyncSettings",
    "TelemetrySettings",
    "WorkersSettings",
    "budget_formula",
    "changed_since",
    "changes",
    "check_places",
    "check_together",
    "fingerprints",
    "load",
    "make_state_folder",
    "mask",
    "masked",
    "read_secret",
    "reloaded",
    "warnings",
    "wrong_site",
]
