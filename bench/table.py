"""The result as a plain-text table: medians with the range over the rounds, and ratios to the first proxy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median

__all__ = ["Sample", "render"]

HEADINGS = ("", "requests/s", "CPU ms/request", "ratio", "first byte ms", "ratio", "RSS MB")


@dataclass(frozen=True, slots=True)
class Sample:
    """One proxy under one workload in one round."""

    round: int
    workload: str
    proxy: str
    requests_per_s: float
    cpu_ms: float | None
    """Per request; None without a proxy."""
    first_byte_ms: float
    """Median of the requests sent one at a time."""
    rss_mb: float | None
    """After the round."""


def render(samples: Sequence[Sample], baseline: str) -> str:
    """One block per workload, one row per proxy, in the order of the samples; `ratio` is to `baseline`, by round."""
    rows: list[tuple[str, ...]] = [HEADINGS]
    for workload in _in_order(s.workload for s in samples):
        of_workload = [s for s in samples if s.workload == workload]
        rows.append((workload, *[""] * (len(HEADINGS) - 1)))
        rows += [_row(of_workload, proxy, baseline) for proxy in _in_order(s.proxy for s in of_workload)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADINGS))]
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]
        lines.append("  ".join(cells).rstrip())
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def _row(samples: Sequence[Sample], proxy: str, baseline: str) -> tuple[str, ...]:
    own = [s for s in samples if s.proxy == proxy]
    base = {s.round: s for s in samples if s.proxy == baseline}
    pairs = [(s, base[s.round]) for s in own if s.round in base]
    rss = [s.rss_mb for s in own if s.rss_mb is not None]
    return (
        f"  {proxy}",
        _spread([s.requests_per_s for s in own], 0),
        _spread([s.cpu_ms for s in own if s.cpu_ms is not None], 2),
        _ratio([a.cpu_ms / b.cpu_ms for a, b in pairs if a.cpu_ms and b.cpu_ms]),
        _spread([s.first_byte_ms for s in own], 2),
        _ratio([a.first_byte_ms / b.first_byte_ms for a, b in pairs]),
        f"{rss[-1]:.0f}" if rss else "-",
    )


def _spread(values: Sequence[float], digits: int) -> str:
    if not values:
        return "-"
    low, middle, high = (f"{v:.{digits}f}" for v in (min(values), median(values), max(values)))
    return f"{middle} ({low}-{high})"


def _ratio(of_rounds: Sequence[float]) -> str:
    """The median of the ratios of each round, so that a slow round cancels out."""
    return f"{median(of_rounds):.2f}" if of_rounds else "-"


def _in_order(names: Iterable[str]) -> list[str]:
    return list(dict.fromkeys(names))
