"""The supervisor: forks, reaps, restarts, forwards signals, talks to systemd. It has no threads and no connections."""

from gsc_daemon.supervisor.loop import Supervisor
from gsc_daemon.supervisor.slots import Role

__all__ = ["Role", "Supervisor"]
