"""Emulator, process: the event loop that serves, in the foreground or as the child that `Emulator` starts."""

from __future__ import annotations

import asyncio
import gc
import os
from collections.abc import Callable, Sequence
from typing import Any

from gsc_daemon.emulator.api import Api
from gsc_daemon.emulator.config import EmulatorConfig
from gsc_daemon.emulator.wire import Connection
from gsc_daemon.errors import Unavailable


def serve(
    config: EmulatorConfig,
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    accounts: Sequence[dict[str, str]] = (),
    secret: bytes = b"",
    ready: Callable[[int], Any] | None = None,
) -> None:
    """Serve until interrupted. ``ready`` gets the port once connections are taken. Raises `Unavailable`."""
    api = Api(config, secret or os.urandom(32))
    for account in accounts:
        api.accounts.add(account)
    gc.collect()
    gc.freeze()
    asyncio.run(_serve(api, host, port, ready))


async def _serve(api: Api, host: str, port: int, ready: Callable[[int], Any] | None) -> None:
    loop = asyncio.get_running_loop()
    try:
        server = await loop.create_server(lambda: Connection(api), host, port, backlog=1024)
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else f"{error}"
        raise Unavailable(
            f"the emulator cannot listen on {host}:{port}: {reason}", hint="Give another --port"
        ) from error
    if ready is not None:
        ready(server.sockets[0].getsockname()[1])
    await server.serve_forever()
