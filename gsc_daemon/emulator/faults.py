"""Emulator, faults: which call one befalls, and what it makes of the answer."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Final

from gsc_daemon.emulator import replies
from gsc_daemon.emulator.accounts import TokenError
from gsc_daemon.emulator.config import Fault
from gsc_daemon.emulator.deflate import stored
from gsc_daemon.emulator.replies import ApiError, Reply
from gsc_daemon.emulator.request import Query

_ERRORS: Final[dict[str, Callable[[str], ApiError]]] = {
    "500": lambda site: replies.backend_error(500),  # noqa: ARG005 - all are called alike
    "503": lambda site: replies.backend_error(503),  # noqa: ARG005
    "400": lambda site: replies.invalid("Request contains an invalid argument."),  # noqa: ARG005
    "401": lambda site: replies.unauthorized(),  # noqa: ARG005
    "forbidden": replies.forbidden,
    "disabled": lambda site: replies.service_disabled(),  # noqa: ARG005
    "qps": lambda site: replies.qps_exceeded(),  # noqa: ARG005
    "429": lambda site: replies.rate_limited(),  # noqa: ARG005
    "load": lambda site: replies.load_exceeded(),  # noqa: ARG005
}


class Faults:
    """The faults that are set, each with what is left of its ``times``. The first that applies to a call decides."""

    def __init__(self, faults: tuple[Fault, ...], rng: random.Random) -> None:
        self._rng = rng
        self.set(faults)

    def set(self, faults: tuple[Fault, ...]) -> None:
        """Other faults from now on, with all their ``times`` before them."""
        self._left = [(fault, fault.times) for fault in faults]

    def pick(self, path: str, site: str = "", query: Query | None = None) -> Fault | None:
        """What befalls this call."""
        for n, (fault, left) in enumerate(self._left):
            if fault.path != path or (fault.site and fault.site != site) or not _meant(fault, query):
                continue
            if left:
                self._left[n] = (fault, left - 1)
                return fault
            if fault.rate and self._rng.random() < fault.rate:
                return fault
        return None


def _meant(fault: Fault, query: Query | None) -> bool:
    """Whether it concerns that date and those dimensions."""
    if fault.date is not None and (query is None or not query.first == fault.date == query.last):
        return False
    return not fault.rows or (query is not None and bool(query.dimensions))


def instead(fault: Fault | None, site: str) -> Reply | None:
    """The answer that is given in place of the true one, which is never made; None if there is none."""
    if fault is None:
        return None
    if fault.kind in _ERRORS:
        return _ERRORS[fault.kind](site).reply()
    if fault.kind == "html":
        return replies.html_error(502, "Server Error")
    if fault.kind == "invalid_grant":
        return TokenError("invalid_grant", "Token has been expired or revoked.").reply()
    return None


def spoil(reply: Reply, fault: Fault | None) -> Reply:
    """What the fault makes of the true answer."""
    if fault is None:
        return reply
    match fault.kind:
        case "reset" | "hang" | "trickle" | "cut" | "truncate":
            reply.manner, reply.seconds = fault.kind, fault.seconds
        case "late":
            reply.wait += fault.seconds
        case "garbage":
            reply.pieces = [stored(b'{\n  "rows": [\n    {\n      "keys": [\n        "half an ans')]
    if fault.kind in ("reset", "hang", "cut", "truncate", "garbage"):
        reply.fetches = []
    return reply
