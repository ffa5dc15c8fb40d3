"""No step of the way: named points before and after every commit and hand-over, at which tests break the program.

In a normal run nothing is armed and a point costs one comparison. A test names a folder in ``GSCD_FAILPOINTS``; a file
there, called as a point, is one charge: ``kill``, ``raise`` or ``stop``, and at which hit of one process it goes off
(``kill 3``). Whoever takes the charge moves the file into ``spent`` first, with its pid, so that it goes off once among
all processes. As long as the variable is set, nobody waits longer than three seconds for somebody silent or away.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from pathlib import Path
from typing import Final

VARIABLE: Final = "GSCD_FAILPOINTS"
PATIENCE: Final = 3.0  # seconds

POINTS: Final = (
    # ledger: around COMMIT, by verb
    *(
        f"ledger.{verb}.{side}"
        for verb in (
            "add_days",
            "add_next_item",
            "ask_again",
            "cancel_days",
            "chore_failed",
            "claim_chore",
            "clear_outage",
            "ensure_sites",
            "forget_site",
            "halt",
            "load_refused",
            "mark_missing",
            "migrate",
            "note_batch",
            "note_final",
            "note_outage",
            "park_site",
            "probe_failed",
            "promote",
            "prune",
            "register_worker",
            "release_dead",
            "renew_chores",
            "requeue_batch",
            "requeue_quarantined",
            "resume",
            "retire_worker",
            "save_pace",
            "save_sites",
            "seed",
            "seed_done",
            "start_items",
            "submit_results",
            "take_batch",
            "top_up",
            "unpark_site",
            "watch",
        )
        for side in ("before", "after")
    ),
    # Postgres: around COMMIT, and between the lock on the receipt and the first row
    "sink.publish.locked",
    *(
        f"sink.{verb}.{side}"
        for verb in ("forget", "migrate", "own", "partition", "publish")
        for side in ("before", "after")
    ),
    # Redis: around the round trip
    *(f"budget.{verb}.{side}" for verb in ("fill", "slow", "take") for side in ("before", "after")),
    # Google: around the request, and an answer's way from its thread to the worker
    "source.exchange.before",
    "source.exchange.after",
    "source.deliver.before",
    "source.deliver.after",
    # processes: fork, the lines between supervisor and child, signals
    "fork.before",
    "fork.child",
    "fork.after",
    "order.before",
    "order.after",
    "order.heard",
    "word.before",
    "word.after",
    "signal.received",
)

_folder: Final = Path(os.environ[VARIABLE]) if os.environ.get(VARIABLE) else None
_hits: Final[Counter[str]] = Counter()


def hit(point: str, error: type[Exception] | None = None) -> None:
    """This process is at ``point``. Raises ``error``, the way the driver would, if a test has asked for that."""
    if _folder is not None:
        _look(_folder, point, error)


def armed() -> bool:
    """Whether this is a test."""
    return _folder is not None


def patience(seconds: float) -> float:
    """``seconds``; in a test not more than three."""
    return seconds if _folder is None else min(seconds, PATIENCE)


def _look(folder: Path, point: str, error: type[Exception] | None) -> None:
    try:
        action, _, number = (folder / point).read_text().partition(" ")
    except FileNotFoundError:
        return
    _hits[point] += 1
    if _hits[point] < int(number or 1):
        return
    spent = folder / "spent" / f"{point}~{os.getpid()}"
    try:
        (folder / point).rename(spent)
    except FileNotFoundError:
        return  # another process was faster
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        case _ if error is not None:
            raise error(f"failpoint {point}")
