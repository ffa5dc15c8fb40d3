"""Redis and Postgres over TLS, with a private CA: the right server is spoken to, another or an unknown one is not."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import re
import shutil
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from gsc_daemon import servers
from gsc_daemon.budget.rules import RateLimits, rules_of
from gsc_daemon.budget.shared import RedisWindows
from gsc_daemon.errors import BudgetUnavailable, GscdError, Unavailable
from gsc_daemon.servers.private import PrivateServer, server_account
from gsc_daemon.servers.programs import find_redis
from gsc_daemon.settings.encryption import open_ways
from gsc_daemon.sink import PostgresSink

Key = ec.EllipticCurvePrivateKey


def pem(key: Key) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@dataclass
class Authority:
    """A CA of our own. file: its certificate."""

    folder: Path
    name: str

    def __post_init__(self) -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, self.name)])
        self.file = self.folder / f"{self.name}.pem"
        self.file.write_bytes(self._signed(self._subject, self._key, (), ca=True))
        self.file.chmod(0o644)

    def _signed(self, subject: x509.Name, key: Key, names: tuple[x509.GeneralName, ...], *, ca: bool) -> bytes:
        now = dt.datetime.now(dt.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - dt.timedelta(days=1))
            .not_valid_after(now + dt.timedelta(days=1))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)

    def server(self, folder: Path, name: x509.GeneralName) -> tuple[Path, Path]:
        """Certificate and key for a server of that name, in the server's own folder."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "a server")])
        certificate_file, key_file = folder / "server.pem", folder / "server.key"
        account = server_account()
        for file, content in ((certificate_file, self._signed(subject, key, (name,), ca=False)), (key_file, pem(key))):
            file.unlink(missing_ok=True)
            file.write_bytes(content)
            file.chmod(0o600)
            if account is not None:
                os.chown(file, account.uid, account.gid)
        return certificate_file, key_file


HERE = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))
ELSEWHERE = x509.DNSName("redis.example.com")


@pytest.fixture
def ours(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "ours")


@pytest.fixture
def theirs(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "theirs")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def no_tls(what: str, why: object) -> None:
    """Loudly: where the services are required, a server without TLS is a failure."""
    if os.environ.get("GSCD_TEST_REQUIRE_SERVICES") == "1" and shutil.which("redis-server"):
        pytest.fail(f"{what} without TLS: {why}")
    pytest.skip(f"{what} was built without TLS, so that nothing of it is tested: {why}")


# Redis


def serves(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture
def tls_redis() -> Iterator[Callable[[Authority, x509.GeneralName], int]]:
    """Starts a Redis that speaks TLS alone, with a certificate of that name; gives its port."""
    try:
        process = PrivateServer(find_redis(), stop_signal="TERM", guard_signal="KILL")
    except Unavailable as error:
        pytest.skip(str(error))

    def start(authority: Authority, name: x509.GeneralName) -> int:
        port = free_port()
        certificate, key = authority.server(process.folder, name)
        words = f"--port 0 --tls-port {port} --tls-auth-clients no --bind 127.0.0.1 --save".split()
        files = [
            "--tls-cert-file",
            str(certificate),
            "--tls-key-file",
            str(key),
            "--tls-ca-cert-file",
            str(certificate),
        ]
        try:
            process.start([process.program, *words, "", *files], lambda _: serves(port))
        except Unavailable as error:
            no_tls("Redis", error)
        return port

    yield start
    process.close()


def ask_redis(storage: str) -> str:
    windows = RedisWindows(storage, rules_of(RateLimits(1200, 1200, 40_000, 0.8)))
    try:
        return windows.server()[0]
    finally:
        windows.close()


def test_redis_is_spoken_to_if_our_ca_vouches_for_its_name(
    ours: Authority, tls_redis: Callable[[Authority, x509.GeneralName], int]
) -> None:
    port = tls_redis(ours, HERE)
    assert re.match(r"(Redis|Valkey) \d", ask_redis(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ours.file}"))


def test_a_redis_of_another_ca_or_name_is_not_spoken_to(
    ours: Authority, theirs: Authority, tls_redis: Callable[[Authority, x509.GeneralName], int]
) -> None:
    port = tls_redis(theirs, HERE)
    for options in (f"?ssl_ca_certs={ours.file}", ""):
        with pytest.raises(BudgetUnavailable, match="not trusted here") as caught:
            ask_redis(f"rediss://127.0.0.1:{port}/0{options}")
        assert "ssl_ca_certs" in caught.value.hint


def test_a_redis_that_was_vouched_for_under_another_name_is_not_spoken_to(
    ours: Authority, tls_redis: Callable[[Authority, x509.GeneralName], int]
) -> None:
    port = tls_redis(ours, ELSEWHERE)
    with pytest.raises(BudgetUnavailable, match="not trusted here"):
        ask_redis(f"rediss://127.0.0.1:{port}/0?ssl_ca_certs={ours.file}")


def test_no_word_is_said_in_the_clear_to_a_redis_with_tls(
    ours: Authority, tls_redis: Callable[[Authority, x509.GeneralName], int]
) -> None:
    port = tls_redis(ours, HERE)
    with pytest.raises(BudgetUnavailable):
        ask_redis(f"redis://127.0.0.1:{port}/0")


# Postgres


@pytest.fixture
def tls_postgres(own_postgres: servers.Postgres) -> Callable[[Authority, x509.GeneralName], str]:
    """Has the Postgres of this test let in over TLS alone, with a certificate of that name; gives its DSN."""

    def start(authority: Authority, name: x509.GeneralName) -> str:
        data, port = own_postgres.log.parent / "data", free_port()
        own_postgres.stop()
        authority.server(data, name)
        with (data / "postgresql.conf").open("a") as file:
            file.write(f"listen_addresses = '127.0.0.1'\nport = {port}\nssl = on\n")
            file.write("ssl_cert_file = 'server.pem'\nssl_key_file = 'server.key'\n")
        (data / "pg_hba.conf").write_text("hostssl all all 127.0.0.1/32 trust\n")
        try:
            own_postgres.start()
        except Unavailable as error:
            no_tls("Postgres", error)
        return f"host=127.0.0.1 port={port} user=gscd dbname=gsc"

    return start


def ask_postgres(dsn: str) -> str:
    sink = PostgresSink(dsn, "gsc")
    try:
        return sink.facts().server
    finally:
        sink.close()


Start = Callable[[Authority, x509.GeneralName], str]


def test_postgres_is_spoken_to_if_our_ca_vouches_for_its_name(ours: Authority, tls_postgres: Start) -> None:
    dsn = tls_postgres(ours, HERE)
    assert ask_postgres(f"{dsn} sslmode=verify-full sslrootcert={ours.file}").startswith("PostgreSQL ")


def test_a_postgres_of_another_ca_is_not_spoken_to(ours: Authority, theirs: Authority, tls_postgres: Start) -> None:
    dsn = tls_postgres(theirs, HERE)
    with pytest.raises(GscdError, match="certificate verify failed"):
        ask_postgres(f"{dsn} sslmode=verify-full sslrootcert={ours.file}")


def test_a_postgres_that_was_vouched_for_under_another_name_is_not_spoken_to(
    ours: Authority, tls_postgres: Start
) -> None:
    dsn = tls_postgres(ours, x509.DNSName("postgres.example.com"))
    with pytest.raises(GscdError, match="does not match host name"):
        ask_postgres(f"{dsn} sslmode=verify-full sslrootcert={ours.file}")


def test_without_tls_such_a_postgres_lets_nobody_in(ours: Authority, tls_postgres: Start) -> None:
    with pytest.raises(GscdError, match="pg_hba"):
        ask_postgres(f"{tls_postgres(ours, HERE)} sslmode=disable")


# What the settings' warnings say

SAFE = ("postgresql:///gsc", "redis+unix:///run/redis.sock")


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://db.example.com/gsc",
        "postgresql://u:p@db.example.com:5432/gsc?sslmode=require",
        "postgresql://127.0.0.1:5432,db.example.com:5432/gsc?sslmode=verify-ca",
        "postgresql:///gsc?host=10.0.0.1",
        "host=db.example.com dbname=gsc",
        "host = 'db.example.com' sslmode=prefer",
        "host=localhost hostaddr=10.0.0.1",
    ],
)
def test_an_open_way_to_postgres_is_warned_of(dsn: str) -> None:
    assert "verify-full" in next(open_ways(dsn, SAFE[1]))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql:///gsc",
        "postgresql://127.0.0.1/gsc",
        "postgresql://[::1]:5432/gsc",
        "postgresql://u@db.example.com/gsc?sslmode=verify-full&sslrootcert=ca.pem",
        "host=/run/postgresql dbname=gsc",
        "host=db.example.com sslmode=verify-full",
        "dbname=gsc",
    ],
)
def test_a_closed_or_short_way_to_postgres_is_not(dsn: str) -> None:
    assert list(open_ways(dsn, SAFE[1])) == []


@pytest.mark.parametrize(
    ("storage", "warned"),
    [
        ("redis://127.0.0.1:6379/0", False),
        ("redis://[::1]:6379/0", False),
        ("redis://redis.example.com:6379/0", True),
        ("rediss://redis.example.com:6379/0", False),
        ("rediss://redis.example.com:6379/0?ssl_cert_reqs=none", True),
        ("rediss://redis.example.com:6379/0?ssl_check_hostname=False", True),
        ("redis+unix:///run/redis.sock", False),
        ("memory://", False),
    ],
)
def test_an_open_way_to_redis_is_warned_of(storage: str, warned: bool) -> None:
    assert bool(list(open_ways(SAFE[0], storage))) is warned
