"""Beside the way of the data: the reporter process, which looks and tells. Start with `reporter`."""

from gsc_daemon.reporter.reporter import Reporter

__all__ = ["Reporter"]
