"""Settings, whether what travels to another machine is encrypted, and to the right one. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final
from urllib.parse import parse_qs, urlsplit

from gsc_daemon.settings.values import is_loopback

VERIFYING: Final = "verify-full"  # postgresql.org/docs/current/libpq-ssl.html: the only one that looks at the name too
_NO: Final = ("none", "optional", "false", "no", "0")
_PAIR: Final = re.compile(r"(\w+)\s*=\s*(?:'((?:[^'\\]|\\.)*)'|((?:\\.|[^\s'\\])*))")


def open_ways(dsn: str, storage: str) -> Iterator[str]:
    """What others on the way to Postgres or Redis could read or pretend to be; a sentence each, without passwords."""
    hosts, mode = _postgres(dsn)
    away = [host for host in hosts if host and not host.startswith("/") and not is_loopback(host)]
    if away and mode != VERIFYING:
        yield (
            f"sink.dsn leads to {away[0]} without making sure that it is it; "
            f"add sslmode={VERIFYING} and sslrootcert=FILE"
        )
    yield from _redis(storage)


def _postgres(dsn: str) -> tuple[list[str], str]:
    """Hosts and sslmode."""
    if dsn.startswith(("postgres://", "postgresql://")):
        try:
            url = urlsplit(dsn)
            given = {name: values[-1] for name, values in parse_qs(url.query).items()}
        except ValueError:
            return [], ""
        names = re.sub(r":\d*(?=,|$)", "", url.netloc.rpartition("@")[2]).replace("[", "").replace("]", "")
        host = given.get("host", names)
    else:
        given = {name: quoted or plain for name, quoted, plain in _PAIR.findall(dsn)}
        host = given.get("host", "")
    return (given.get("hostaddr") or host).split(","), given.get("sslmode", "")


def _redis(storage: str) -> Iterator[str]:
    scheme = storage.partition("://")[0]
    if scheme in ("memory", "redis+unix"):
        return
    try:
        url = urlsplit(storage)
        host, given = url.hostname or "", parse_qs(url.query)
    except ValueError:
        return
    if not host or is_loopback(host):
        return
    if scheme == "redis":
        yield f"rate_limit.storage leads to {host} without encryption; use rediss://, with ssl_ca_certs=FILE"
    elif any(given.get(name, [""])[-1].lower() in _NO for name in ("ssl_cert_reqs", "ssl_check_hostname")):
        yield f"rate_limit.storage leads to {host} without making sure that it is it; leave ssl_cert_reqs as it is"
