"""Steps 3 to 7 for one worker: take_batch → check_rate → fetch_query_batch → submit_results, or requeue_batch."""

from gsc_daemon.pipeline.loop import MOST_UNDER_WAY, SERVICE_RETRY, Pipeline
from gsc_daemon.pipeline.sitting import Arrival, Limits

__all__ = ["MOST_UNDER_WAY", "SERVICE_RETRY", "Arrival", "Limits", "Pipeline"]
