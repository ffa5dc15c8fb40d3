"""Addresses that are wrong in every way: neither our error, nor its traceback with its causes, repeats a password."""

from __future__ import annotations

import traceback
from pathlib import Path

import pytest

from gsc_daemon.budget.rules import RateLimits, rules_of
from gsc_daemon.budget.shared import RedisWindows
from gsc_daemon.errors import GscdError
from gsc_daemon.settings import load
from gsc_daemon.sink import PostgresSink

CANARY = "c4n4ry"
DSNS = (
    f"postgresql://u:{CANARY}@127.0.0.1:9/d",
    f"postgresql://u:{CANARY}@127.0.0.1:99999999/d",
    f"postgresql://u:{CANARY}%zz@127.0.0.1:9/d",
    f"postgresql://u:%{CANARY}@127.0.0.1:9/d",
    f"postgresql://u:{CANARY} x@127.0.0.1:9/d",
    f"postgresql://u:{CANARY}@[::1/d",
    f"postgresql://u:{CANARY}/x@127.0.0.1:9/d",
    f"postgresql://u:{CANARY}#x@127.0.0.1:9/d",
    f"postgresql://127.0.0.1:9/d?password={CANARY}&nonsense=1",
    f"postgresql://127.0.0.1:9/d?password={CANARY}%&x",
    f"host=127.0.0.1 port=9 password={CANARY}",
    f"host=127.0.0.1 port=9 password='{CANARY}",
    f"host=127.0.0.1 port=9 password={CANARY} nonsense=1",
    f"host=127.0.0.1 port=9 passwort={CANARY}",
    f"host=127.0.0.1 port=9 password = {CANARY} {CANARY}",
)
STORAGES = (
    f"redis://:{CANARY}@127.0.0.1:9/0",
    f"redis://:{CANARY}@127.0.0.1:port/0",
    f"redis://:{CANARY}@127.0.0.1:99999999/0",
    f"redis://u:{CANARY}/x@127.0.0.1:9/0",
    f"redis://u:{CANARY}#x@127.0.0.1:9/0",
    f"redis://:{CANARY}@[::1/0",
    f"redis://127.0.0.1:9/0?password={CANARY}",
    f"redis://127.0.0.1:9/0?password={CANARY}&socket_timeout=x",
    f"rediss://:{CANARY}@127.0.0.1:9/0?ssl_ca_certs=/nowhere",
    f"redis+unix://:{CANARY}@/nowhere/redis.sock",
    f"redis+sentinel://:{CANARY}@127.0.0.1:9/",
    f"redis+sentinel://:{CANARY}@127.0.0.1:9/main",
    f"redis+cluster://:{CANARY}@127.0.0.1:9",
)


def told(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + str(error)


@pytest.mark.parametrize("dsn", DSNS)
def test_a_dsn_that_is_wrong(dsn: str) -> None:
    sink = PostgresSink(dsn, "gsc")
    try:
        with pytest.raises(GscdError) as caught:
            sink.facts()
    finally:
        sink.close()
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("storage", STORAGES)
def test_a_storage_that_is_wrong(storage: str) -> None:
    windows = RedisWindows(storage, rules_of(RateLimits(1200, 1200, 40_000, 0.8)))
    try:
        with pytest.raises(GscdError) as caught:
            windows.server()
    finally:
        windows.close()
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize("inline", [True, False])
@pytest.mark.parametrize(
    ("section", "key", "address"),
    [("sink", "dsn", one) for one in DSNS]
    + [("rate_limit", "storage", one) for one in STORAGES]
    + [("sink", "dsn", f"mysql://u:{CANARY}@h/d"), ("rate_limit", "storage", f"http://u:{CANARY}@h/d")],
)
def test_settings_that_are_wrong(tmp_path: Path, inline: bool, section: str, key: str, address: str) -> None:
    file = tmp_path / "gscd.toml"
    if inline:
        file.write_text(f"[{section}]\n{key} = '''{address}'''\n[workers]\nmax_concurrency = 200\n")
    else:
        (tmp_path / "secret").write_text(f"{address}\n")
        file.write_text(f"[{section}]\n{key}_file = 'secret'\n[workers]\nmax_concurrency = 200\n")
    with pytest.raises(GscdError) as caught:
        load(file, {}, root=False)
    assert CANARY not in told(caught.value)


@pytest.mark.parametrize(
    "broken", [f'dsn = "{CANARY}', f"dsn = {CANARY}", f'dsn = ["{CANARY}"]', f'dsn = {{a = "{CANARY}"}}']
)
def test_toml_that_is_wrong(tmp_path: Path, broken: str) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text(f"[sink]\n{broken}\n")
    with pytest.raises(GscdError) as caught:
        load(file, {}, root=False)
    assert CANARY not in told(caught.value)


def test_values_of_the_environment_that_are_wrong(tmp_path: Path) -> None:
    file = tmp_path / "gscd.toml"
    file.write_text("")
    for name in ("GSCD_SINK__DSN", "GSCD_RATE_LIMIT__STORAGE"):
        with pytest.raises(GscdError) as caught:
            load(file, {name: f"x://u:{CANARY}@h", "GSCD_SYNC__SITES": "sc-domain:example.com"}, root=False)
        assert CANARY not in told(caught.value)
