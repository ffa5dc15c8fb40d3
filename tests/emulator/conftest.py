"""A running emulator and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from emulator_client import Client, Start, config

from gsc_daemon.emulator import Emulator


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start an emulator with settings of one's own and get a client of it."""
    with ExitStack() as stack:
        started = 0

        def begin(**more: Any) -> Client:
            nonlocal started
            started += 1
            folder = tmp_path / f"emulator-{started}"
            emulator = stack.enter_context(Emulator(config(**more), folder))
            client = Client(emulator, folder)
            stack.callback(client.close)
            return client

        yield begin


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """An emulator for tests that leave it as it is."""
    folder = tmp_path_factory.mktemp("emulator")
    with Emulator(config(), folder) as emulator:
        client = Client(emulator, folder)
        yield client
        client.close()


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """One without anonymised queries, so that every figure is the sum of the finest rows."""
    folder = tmp_path_factory.mktemp("emulator")
    with Emulator(config(hide_anonymised=0.0), folder) as emulator:
        client = Client(emulator, folder)
        yield client
        client.close()
