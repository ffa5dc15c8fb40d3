"""Each test that asks has a TMPDIR of its own to be left empty."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from private_temp import PrivateTemp


@pytest.fixture
def temp() -> Iterator[PrivateTemp]:
    """Short enough for a socket, and within reach of every account, as pytest's own is not."""
    folder = Path(tempfile.mkdtemp(prefix="t-", dir="/tmp"))
    folder.chmod(0o1777)
    temp = PrivateTemp(folder)
    yield temp
    for process in temp.processes():  # of a failed test
        process.kill()
    shutil.rmtree(folder)
