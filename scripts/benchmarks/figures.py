"""What a benchmark has measured: figures with their unit, over several runs."""

from __future__ import annotations

import statistics
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure.

    Args:
        what: in words. value: the median over the runs. unit: ``""`` for a plain ratio or count.
        wanted: what it should be, in words, "" for nothing. runs: each run's value.
    """

    what: str
    value: float
    unit: str = ""
    wanted: str = ""
    case: str = ""
    runs: tuple[float, ...] = ()

    @staticmethod
    def merged(case: str, runs: list[list[Figure]]) -> list[Figure]:
        """The same figures of several runs as one each."""
        merged = []
        for same in zip(*runs, strict=True):
            values = tuple(figure.value for figure in same)
            merged.append(replace(same[0], case=case, value=statistics.median(values), runs=values))
        return merged

    def as_json(self) -> dict[str, object]:
        """For other programs."""
        return {name: getattr(self, name) for name in ("case", "what", "value", "unit", "wanted", "runs")}


def _shown(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def table(figures: list[Figure]) -> str:
    """Median, spread, unit and what is wanted, in columns."""
    rows = [("", "median", "from", "to", "unit", "wanted")]
    for figure in figures:
        low, high = (min(figure.runs), max(figure.runs)) if figure.runs else (figure.value, figure.value)
        rows.append((figure.what, _shown(figure.value), _shown(low), _shown(high), figure.unit, figure.wanted))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            row[0].ljust(widths[0]),
            *(cell.rjust(width) for cell, width in zip(row[1:4], widths[1:4], strict=True)),
        ]
        cells += [cell.ljust(width) for cell, width in zip(row[4:], widths[4:], strict=True)]
        lines.append("  " + "  ".join(cells).rstrip())
    return "\n".join(lines)
