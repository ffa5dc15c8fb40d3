"""Doctor, the words: a check, its verdict, and the instruments to look with."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from gsc_daemon.errors import GscdError
from gsc_daemon.ports import Budget, Ledger, Sink
from gsc_daemon.settings import Settings, mask
from gsc_daemon.source import Sources


class Verdict(enum.StrEnum):
    """What came of a check; the worst last."""

    OK = "ok"
    WARNING = "warning"  # the daemon works, but not as well or as safely as it could
    PROBLEM = "problem"  # the daemon cannot do its work


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was looked at.

    Args:
        text: what is so. do: what to do about it, "" for nothing; both are sentences without their period.
    """

    name: str
    verdict: Verdict
    text: str
    do: str = ""


@dataclass(frozen=True, slots=True)
class Instruments:
    """What is looked at, and with what: the same implementations that the daemon takes.

    Args:
        open_ledger: for reading; only called where there is a file. ledger_exists: whether there is.
        check_credentials: offline. web_date: the Date header of a URL in UTC seconds since 1970.
    """

    settings: Settings
    ledger_exists: bool
    open_ledger: Callable[[], Ledger]
    make_budget: Callable[[], Budget]
    make_sources: Callable[[], Sources]
    make_sink: Callable[[], Sink]
    check_credentials: Callable[[Path], object]
    web_date: Callable[[str], float]


Look = Callable[[Instruments], Iterator[Check]]


def looked_at(name: str, look: Look, instruments: Instruments, otherwise: str) -> Iterator[Check]:
    """The checks of one look; what it raises is a problem like any other.

    Args:
        otherwise: what to do about a failure that has no hint of its own.
    """
    try:
        yield from look(instruments)
    except GscdError as error:
        yield Check(name, Verdict.PROBLEM, mask(error.message), mask(error.hint) or otherwise)
    except Exception as error:  # noqa: BLE001 - one look that fails must not keep the others from being made
        said = " ".join(mask(f"{type(error).__name__}: {error}").split())
        yield Check(name, Verdict.PROBLEM, f"could not be looked at: {said}", "This is a fault of gscd; please report")
