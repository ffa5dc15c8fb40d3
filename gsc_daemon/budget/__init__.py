"""Step 4, check_rate: what we allow ourselves of Google's quota, shared by all workers. Start with `budget`.

`rules` has the figures, `windows` the words, `windows.lua` (Redis) and `memory` the arithmetic, `shared` the driver.
"""

from gsc_daemon.budget.budget import RateBudget, make_budget
from gsc_daemon.budget.rules import RateLimits

__all__ = ["RateBudget", "RateLimits", "make_budget"]
