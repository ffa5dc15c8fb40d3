"""Beside the way of the data: everything that the daemon needs, looked at one by one, each with what to do about it.

Every look is made, whatever came of the others; a failure of any kind becomes a problem of its own.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from gsc_daemon.doctor import machine, services
from gsc_daemon.doctor.check import Check, Instruments, Verdict, looked_at

__all__ = ["THIS_MACHINE", "Check", "Instruments", "Verdict", "examine", "worst"]

# The names are those of the checks. Where the look itself fails, that is told under its name, and what to do unless
# the failure knows better.
LOOKS = {
    "settings": (machine.look_at_settings, ""),
    "user": (machine.look_at_user, ""),
    "ledger": (machine.look_at_ledger, ""),
    "halt file": (machine.look_at_halt_file, ""),
    "disk": (machine.look_at_disk, ""),
    "credentials": (services.look_at_credentials, ""),
    "API": (services.look_at_api, "Look at the network, at proxy and firewall, and at api.endpoint"),
    "Redis": (services.look_at_redis, "Start it, or correct rate_limit.storage"),
    "Postgres": (services.look_at_postgres, "Start it, or correct sink.dsn"),
    "clock": (services.look_at_clock, ""),
}
# What needs no more of the settings than where ledger and halt file are.
THIS_MACHINE = ("user", "ledger", "halt file", "disk")


def examine(instruments: Instruments, names: Iterable[str] = tuple(LOOKS)) -> Iterator[Check]:
    """The checks of these looks, each as soon as it is made; nothing is raised."""
    for name in names:
        look, otherwise = LOOKS[name]
        yield from looked_at(name, look, instruments, otherwise)


def worst(checks: Iterable[Check]) -> Verdict:
    """The verdict on the whole."""
    order = list(Verdict)
    return max((check.verdict for check in checks), key=order.index, default=Verdict.OK)
