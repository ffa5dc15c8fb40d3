"""A TMPDIR for each test, to be left empty."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from demo_temp import DemoTemp


@pytest.fixture
def temp(postgres_server: object, redis_server: object) -> Iterator[DemoTemp]:
    """Short enough for a socket, and within reach of every account; skipped where there are no servers to be had."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    folder.chmod(0o1777)
    temp = DemoTemp(folder)
    yield temp
    for process in temp.processes():  # of a failed test
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)
