"""However the starter ends, its servers, their folders and their shared memory are gone soon after."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from private_temp import PrivateTemp

from gsc_daemon.servers.private import Account

STARTER = Path(__file__).with_name("starter.py")
CHECKOUT = Path(__file__).parents[2]


@contextlib.contextmanager
def starter(temp: PrivateTemp, *words: str) -> Iterator[subprocess.Popen[str]]:
    environment = os.environ | {"TMPDIR": str(temp.path), "PYTHONPATH": os.pathsep.join([str(CHECKOUT), *sys.path[1:]])}
    environment |= {"PYTHONDONTWRITEBYTECODE": "1"}
    command: list[str | Path] = [sys.executable, STARTER, *words]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        try:
            yield process
        finally:
            process.kill()


def said(process: subprocess.Popen[str]) -> dict[str, Any]:
    assert process.stdout is not None
    line = process.stdout.readline()
    assert line, "the starter ended before its servers were there"
    answer: dict[str, Any] = json.loads(line)
    return answer


@pytest.mark.usefixtures("postgres_server", "redis_server")
class TestNothingIsLeft:
    def test_after_a_tidy_end(self, temp: PrivateTemp) -> None:
        with starter(temp, "end") as process:
            said(process)
            assert process.wait(60) == 0
            assert temp.entries() == []
            assert temp.processes() == []

    def test_after_sigkill(self, temp: PrivateTemp) -> None:
        with starter(temp) as process:
            said(process)
            assert len(temp.entries()) == 2
            assert len(temp.processes()) >= 2
            process.kill()
            temp.wait_until_nothing_is_left()

    def test_after_sigkill_while_a_forked_worker_lives_on(self, temp: PrivateTemp) -> None:
        with starter(temp, "fork") as process:
            worker = psutil.Process(said(process)["child"])
            try:
                process.kill()
                temp.wait_until_nothing_is_left()
                assert worker.is_running()
            finally:
                worker.kill()

    def test_after_sigkill_while_the_servers_are_frozen(self, temp: PrivateTemp) -> None:
        with starter(temp, "freeze") as process:
            said(process)
            process.kill()
            temp.wait_until_nothing_is_left()

    @pytest.mark.parametrize("sight", ["*/data/PG_VERSION", "*/data/postmaster.pid", "*/redis.sock"])
    def test_after_sigkill_in_the_midst_of_starting(self, temp: PrivateTemp, sight: str) -> None:
        with starter(temp) as process:
            deadline = time.monotonic() + 60
            while not list(temp.path.glob(sight)):
                assert time.monotonic() < deadline
                time.sleep(0.001)
            process.kill()
            temp.wait_until_nothing_is_left()

    def test_a_forked_child_that_leaves_the_block_stops_nothing(self, temp: PrivateTemp) -> None:
        with starter(temp, "leave") as process:
            said(process)  # both servers have answered after the child left
            process.kill()
            temp.wait_until_nothing_is_left()

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become a plain user; this run is one already")
    def test_a_plain_user_needs_nothing_else(self, temp: PrivateTemp) -> None:
        nobody = pwd.getpwnam("nobody").pw_uid
        account = Account(nobody, pwd.getpwnam("nobody").pw_gid)
        if not account.can_reach(CHECKOUT):
            pytest.skip("a plain user cannot reach this checkout")
        with starter(temp, "plain") as process:
            assert said(process)["uid"] == nobody
            assert {entry.stat().st_uid for entry in temp.entries()} == {nobody}
            process.kill()
            temp.wait_until_nothing_is_left()
