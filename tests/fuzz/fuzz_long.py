"""Fuzzing by the clock, for `scripts/fuzz`: the targets in turn, each round from a new seed, until the time is over."""

from __future__ import annotations

import argparse
import random
import sys
import time
from collections import Counter
from typing import Any

from fuzz_targets import TARGETS, Target
from hypothesis import HealthCheck, Phase, given, seed, settings

EXAMPLES = {"ledger": 50}  # a round; each makes a database of its own


def a_round(target: Target, examples: int, number: int) -> int:
    """How many inputs were tried; raises what the target raises, with the smallest input that does it."""
    tried = 0

    @seed(number)
    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=(Phase.generate, Phase.shrink),
    )
    @given(target.inputs)
    def one(value: Any) -> None:
        nonlocal tried
        tried += 1
        target.check(value)

    one()
    return tried


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/fuzz")
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("target", nargs="*", choices=[*TARGETS, []], help="all of them if none is named")
    asked = parser.parse_args()
    names = asked.target or list(TARGETS)
    until, tried, number = time.monotonic() + 60 * asked.minutes, Counter[str](), asked.seed
    sys.stdout.write(f"seed {asked.seed}\n")
    while time.monotonic() < until:
        for name in names:
            tried[name] += a_round(TARGETS[name], EXAMPLES.get(name, 1000), number)
        number += 1
    for name in names:
        sys.stdout.write(f"{name:10} {tried[name]:>12,} inputs\n")
    sys.stdout.write(f"{'all':10} {tried.total():>12,} inputs, none of which broke anything\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
