"""How often each point was broken, each way; written where ``GSCD_TEST_FAILPOINT_REPORT`` says."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path


class Report:
    """Counts over all tests of a run."""

    def __init__(self) -> None:
        self.broken: Counter[tuple[str, str]] = Counter()

    def add(self, how: str, spent: list[tuple[str, int]]) -> None:
        self.broken.update((how, point) for point, _ in spent)
        target = os.environ.get("GSCD_TEST_FAILPOINT_REPORT")
        if target:
            Path(target).write_text(self.text())

    def text(self) -> str:
        lines = []
        for how in sorted({how for how, _ in self.broken}):
            counts = {point: count for (kind, point), count in self.broken.items() if kind == how}
            least = min(counts.values())
            lines.append(f"{how}: {sum(counts.values()):,} times at {len(counts)} points, each at least {least} times")
        return "\n".join(lines) + "\n"
