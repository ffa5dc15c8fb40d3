"""Whatever comes in from outside ends in an answer or in one of our own errors; a few hundred inputs each."""

from __future__ import annotations

from typing import Any

import pytest
from fuzz_targets import TARGETS
from hypothesis import HealthCheck, given, settings

FEW = {"ledger": 30}


@pytest.mark.parametrize("name", TARGETS)
def test_any_input(name: str) -> None:
    target = TARGETS[name]

    @settings(max_examples=FEW.get(name, 300), deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(target.inputs)
    def one(value: Any) -> None:
        target.check(value)

    one()
