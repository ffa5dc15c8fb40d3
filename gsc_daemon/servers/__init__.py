"""Beside the way of the data: throw-away Redis and Postgres servers, for the tests and the demonstration.

``with servers.postgres() as pg: pg.dsn`` and ``with servers.redis() as r: r.url`` start a private server that listens
on a Unix socket in a folder of its own, and leave nothing behind, however the process ends. They take, in this order:
the server that is given, a program of this machine, a program that the wheels of the extra ``demo`` carry.
"""

from gsc_daemon.servers.postgres_server import Postgres, postgres
from gsc_daemon.servers.private import guarded_folder
from gsc_daemon.servers.programs import Program, find_postgres, find_redis
from gsc_daemon.servers.redis_server import Redis, redis

__all__ = ["Postgres", "Program", "Redis", "find_postgres", "find_redis", "guarded_folder", "postgres", "redis"]
