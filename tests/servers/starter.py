"""A process that starts both servers, says so in one line of JSON on stdout, and waits to be killed.

Arguments: ``fork`` leaves a forked child that lives on; ``freeze`` stops the servers' processes; ``leave`` ends a
forked child through the ``with`` blocks; ``plain`` becomes the user nobody first; ``end`` ends tidily, without waiting.
"""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import signal
import sys

import psycopg

from gsc_daemon import servers


def become_nobody() -> None:
    nobody = pwd.getpwnam("nobody")
    os.setgroups([])
    os.setresgid(nobody.pw_gid, nobody.pw_gid, nobody.pw_gid)
    os.setresuid(nobody.pw_uid, nobody.pw_uid, nobody.pw_uid)


def main(words: list[str]) -> None:
    if "plain" in words:
        become_nobody()
    with contextlib.ExitStack() as stack:
        pg = stack.enter_context(servers.postgres(private=True))
        redis = stack.enter_context(servers.redis(private=True))
        child = 0
        if "fork" in words:
            child = os.fork()
            if child == 0:
                signal.pause()
        if "leave" in words:
            leaver = os.fork()
            if leaver == 0:
                sys.exit(0)
            os.waitpid(leaver, 0)
            redis.flush()
        with psycopg.connect(pg.dsn) as connection:
            connection.execute("SELECT 1")
        if "freeze" in words:
            pg.freeze()
            redis.freeze()
        said = {"child": child, "uid": os.getuid(), "postgres": pg.version, "redis": redis.version}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()
        if "end" not in words:
            signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
