"""What the pipeline asks of each step: ledger, budget, source and sink as interfaces, one or many engines behind."""

from gsc_daemon.ports.budget import Budget
from gsc_daemon.ports.ledger import Ledger
from gsc_daemon.ports.sink import Sink
from gsc_daemon.ports.source import Body, Deliver, Response, Source, Sources

__all__ = ["Body", "Budget", "Deliver", "Ledger", "Response", "Sink", "Source", "Sources"]
