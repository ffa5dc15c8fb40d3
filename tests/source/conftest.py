"""The source against a Google of the tests: a key file, a server, and what the source delivers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from scripted_google import ScriptedGoogle
from source_scene import Inbox, MakeSource

from gsc_daemon.clock import SystemClock
from gsc_daemon.source import SearchConsole


@pytest.fixture(scope="session")
def rsa_key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(65537, 2048)


@pytest.fixture
def google(rsa_key: rsa.RSAPrivateKey) -> Iterator[ScriptedGoogle]:
    server = ScriptedGoogle(rsa_key)
    yield server
    server.close()


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    box = Inbox()
    yield box
    box.close()


@pytest.fixture
def key_file(google: ScriptedGoogle, tmp_path: Path) -> Path:
    file = tmp_path / "key.json"
    file.write_text(json.dumps(google.service_account()))
    return file


@pytest.fixture
def make_source(google: ScriptedGoogle, key_file: Path) -> Iterator[MakeSource]:
    """Sources that are closed after the test; deadlines long unless the test is about them."""
    made: list[SearchConsole] = []

    def make(credentials: Path = key_file, *, transport: str = "parallel", deadline: float = 30.0) -> SearchConsole:
        made.append(
            SearchConsole(
                credentials, google.url, transport=transport, connections=8, deadline=deadline, clock=SystemClock()
            )
        )
        return made[-1]

    yield make
    for source in made:
        source.close()


@pytest.fixture
def source(make_source: MakeSource) -> SearchConsole:
    return make_source()
