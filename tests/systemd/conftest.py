"""One machine for all tests of this folder that want one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from systemd_machine import Machine, booted


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """It is up; nothing is installed."""
    with booted() as up:
        yield up
