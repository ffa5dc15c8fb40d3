"""Step 6, the sink: Postgres, the truth about data.

`PostgresSink` has the verbs; `line` the connection that can be cut, `migrate` and `partitions` the structure, `rows`
what becomes of the API's rows, `publish` the one transaction of a day, `audit` what is really there, `failures` what
goes wrong.
"""

from gsc_daemon.sink.postgres import PostgresSink

__all__ = ["PostgresSink"]
