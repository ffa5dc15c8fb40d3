"""Step 6, the sink: what goes wrong in Postgres, as our errors.

No text of ours repeats the DSN, which may hold a password.
"""

from __future__ import annotations

import re
from typing import Final

import psycopg
from psycopg import errors

from gsc_daemon.errors import ConfigError, GscdError, Refusal, SinkUnavailable, SourceError

# Before there is a session, libpq gives words only, no SQLSTATE.
_REFUSED_CONNECTIONS: Final = (
    (r"password authentication failed|no password supplied", "Correct the password in sink.dsn_file or ~/.pgpass"),
    (r"(Peer|Ident|GSSAPI|LDAP|PAM|certificate) authentication failed", "Correct the user in sink.dsn, or pg_hba.conf"),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects", "Allow this user and address in pg_hba.conf"),
    (r'role ".*" does not exist|role ".*" is not permitted to log in', "Create the role, or correct sink.dsn"),
    (r'database ".*" does not exist', "Create it (createdb --encoding=UTF8 NAME), or correct sink.dsn"),
    (r"permission denied for database", "GRANT CONNECT ON DATABASE to the user of sink.dsn"),
    (r"invalid connection option|invalid .* value|root certificate file .* does not exist", "Correct sink.dsn"),
)

# The longest prefix of the SQLSTATE that is here decides: postgresql.org/docs/current/errcodes-appendix.html
_AWAY: Final = {
    "": ("it refused", ""),
    "08": ("the connection broke", ""),
    "25006": ("it is read-only", "Is it a standby, or default_transaction_read_only set?"),
    "40": ("two transactions were in each other's way", ""),
    "53": ("it is short of resources", "See its log"),
    "53100": ("its disk is full", "Make room; what is there stays as it is"),
    "53200": ("it is out of memory", "See its log"),
    "53300": ("it takes no more connections", "Raise max_connections, or close some"),
    "55P03": ("a lock is held by somebody else", "See pg_locks for who holds it"),
    "57014": ("it took too long", "See pg_stat_activity for what it is doing"),
    "57P": ("it is shutting down or starting", ""),
}
_MISCONFIGURED: Final = {
    "28": ("it does not let us in", "Correct sink.dsn"),
    "3D": ("there is no such database", "Create it, or correct sink.dsn"),
    "42": (
        "its relations are not as gscd made them",
        "Restore them, or let gscd make them anew in another sink.schema",
    ),
    "3F": ("the schema is gone", "Start gscd again, which makes it"),
    "42501": ("the role may not do this", "Use the role that owns the schema's tables in sink.dsn"),
    "42P07": ("the schema holds relations that are not gscd's", "Choose another sink.schema"),
    "57P04": ("the database was dropped", "Create it again"),
}


def as_ours(error: psycopg.Error) -> GscdError:
    """`SinkUnavailable` for what passes, `ConfigError` for what does not, `SourceError` for rows that fit nowhere."""
    if error.sqlstate is None:
        if isinstance(error, psycopg.DataError):
            return SourceError(Refusal.TRANSIENT, f"a row holds what no column takes: {_words(error)}")
        return _connection(error)
    if error.sqlstate.startswith("22"):
        return SourceError(Refusal.TRANSIENT, f"a row holds what no column takes: {_words(error)}")
    for length in (5, 3, 2, 0):
        prefix = error.sqlstate[:length]
        for table, kind in ((_MISCONFIGURED, ConfigError), (_AWAY, SinkUnavailable)):
            if prefix in table:
                what, hint = table[prefix]
                return kind(f"Postgres: {what} ({_words(error)})", hint=hint)
    raise AssertionError("the empty prefix is in the table")


def passes_at_once(error: psycopg.Error) -> bool:
    """Whether the same transaction may well succeed when tried again now."""
    return isinstance(error, errors.DeadlockDetected | errors.SerializationFailure)


def _connection(error: psycopg.Error) -> GscdError:
    words = _words(error)
    for pattern, hint in _REFUSED_CONNECTIONS:
        if re.search(pattern, words):
            return ConfigError(f"Postgres does not let us in: {words}", hint=hint)
    return SinkUnavailable(f"Postgres does not answer: {words}")


def _words(error: psycopg.Error) -> str:
    """One line, of what the server says; its detail may quote rows."""
    text = error.diag.message_primary or str(error)
    return " ".join(text.split()).removeprefix("connection failed: ")
