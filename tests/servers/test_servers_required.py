"""The fixtures skip with the reason where a server cannot be had, and fail where services are required."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from private_temp import PrivateTemp

CHECKOUT = Path(__file__).parents[2]


@pytest.mark.parametrize(("required", "status", "word"), [("", 0, "SKIPPED"), ("1", 1, "ERROR")])
def test_a_missing_redis_is_told(tmp_path: Path, temp: PrivateTemp, required: str, status: int, word: str) -> None:
    hidden = {
        "PATH": str(tmp_path),
        "GSCD_SERVERS_FROM": "machine",
        "GSCD_TEST_REDIS_URL": "",
        "TMPDIR": str(temp.path),
    }
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "tests/servers/test_servers.py", "-k", "frozen"],
        env=os.environ | hidden | {"GSCD_TEST_REQUIRE_SERVICES": required},
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == status, run.stdout
    assert word in run.stdout
    assert "no redis-server 6.2 or newer was found" in run.stdout
    assert (temp.entries(), temp.processes()) == ([], [])  # although PATH was useless to the guard, too
