"""Emulator: a Search Console on this machine, as strict, slow and unreliable as it is told to be.

Tests and the demo start one with `Emulator`; `gscd emulator` serves one in the foreground. See docs/emulator.md.
"""

from gsc_daemon.emulator.config import FAULT_KINDS, EmulatorConfig, Fault, SiteSpec
from gsc_daemon.emulator.process import Emulator, service_account, write_secret
from gsc_daemon.emulator.server import serve

__all__ = [
    "FAULT_KINDS",
    "Emulator",
    "EmulatorConfig",
    "Fault",
    "SiteSpec",
    "serve",
    "service_account",
    "write_secret",
]
