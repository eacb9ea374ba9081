"""A conversation that grows and has secrets in it: what hiding them costs a turn, and what is remembered of it."""

from __future__ import annotations

import tracemalloc
from collections import Counter
from collections.abc import Callable
from itertools import islice
from statistics import median
from time import process_time
from typing import Any, Final

import msgspec

from bench.scrub.bodies import Conversation
from sluicegate.core.redact.hide.document_scan import DocumentScan, PlaceholderFactory, ValueKey
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.scan.finder import RuleFinder
from sluicegate.core.redact.walk.json_document import JsonDocument

__all__ = ["TURNS", "Growing", "growing"]

TURNS: Final = 40
LATE: Final = 10
"""The last turns, of which the median is told: in some of them what looks for values is made anew."""


class Growing:
    """Size of the last body, and the late turns' milliseconds: of JSON work, and of reading, finding, hiding, writing."""

    def __init__(self, size: int, json_ms: float, hide_ms: float, values: int) -> None:
        self.size, self.json_ms, self.hide_ms, self.values = size, json_ms, hide_ms, values


def growing(make: Callable[[], RuleFinder], json_work: Callable[[bytes], None]) -> tuple[Growing, int]:
    """The cost, and the bytes that are held at the end (measured in a run of its own)."""
    cost = _run(make(), json_work)
    finder = make()  # the rules themselves are no part of it
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        sweeper = KnownValueScanner(GRAMMARS["angle"])
        _run(finder, None, sweeper)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return cost, held - before


def _run(
    finder: RuleFinder, json_work: Callable[[bytes], None] | None, sweeper: KnownValueScanner | None = None
) -> Growing:
    sweeper = sweeper or KnownValueScanner(GRAMMARS["angle"])
    naming = PlaceholderFactory(b"k" * 32, b"bench", GRAMMARS["angle"])
    rows: list[tuple[float, float]] = []
    size = values = 0
    for document in islice(Conversation(99, 24_000).turns(), TURNS):
        data = msgspec.json.encode(document)
        base = min(_ms(json_work, data) for _ in range(3)) if json_work else 0.0
        started = process_time()
        values = _hidden(data, finder, sweeper, naming)
        rows.append((base, (process_time() - started) * 1000))
        size = len(data)
    return Growing(size, median(r[0] for r in rows[-LATE:]), median(r[1] for r in rows[-LATE:]), values)


def _hidden(data: bytes, finder: RuleFinder, sweeper: KnownValueScanner, naming: PlaceholderFactory) -> int:
    document = JsonDocument.read(data)
    survey = DocumentScan(document.root, "messages", finder, sweeper)
    counts: Counter[str] = Counter()
    ranks: dict[ValueKey, int] = {}
    for kind, digest in survey.asked(naming):
        counts[kind] += 1
        ranks[kind, digest] = counts[kind]
    names = survey.hide(naming, ranks)
    document.root = survey.root
    document.render()
    return len(names.values)


def _ms(work: Callable[[Any], None], data: bytes) -> float:
    started = process_time()
    work(data)
    return (process_time() - started) * 1000
