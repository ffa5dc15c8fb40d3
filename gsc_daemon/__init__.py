"""gscd keeps a complete and correct copy of Google Search Console data in PostgreSQL.

The way of the data, each step a module of its name:
plan → ledger (queue, claim) → budget (check rate) → source (fetch) → sink (publish) → ledger (finish) → reconcile.
"""

__version__ = "0.1.0"
