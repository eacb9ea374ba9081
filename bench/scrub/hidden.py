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
from sluicegate.core.redact.hide.document_scan import DocumentScan
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholder_factory import PlaceholderFactory, ValueKey
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.scan.finder import RuleFinder
from sluicegate.core.redact.walk.body_shapes import BODY
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
        known_values = KnownValueScanner(GRAMMARS["angle"])
        _run(finder, None, known_values)
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return cost, held - before


def _run(
    finder: RuleFinder, json_work: Callable[[bytes], None] | None, known_values: KnownValueScanner | None = None
) -> Growing:
    known_values = known_values or KnownValueScanner(GRAMMARS["angle"])
    factory = PlaceholderFactory(b"k" * 32, b"bench", GRAMMARS["angle"])
    rows: list[tuple[float, float]] = []
    size = values = 0
    for document in islice(Conversation(99, 24_000).turns(), TURNS):
        data = msgspec.json.encode(document)
        base = min(_ms(json_work, data) for _ in range(3)) if json_work else 0.0
        started = process_time()
        values = _hidden(data, finder, known_values, factory)
        rows.append((base, (process_time() - started) * 1000))
        size = len(data)
    return Growing(size, median(r[0] for r in rows[-LATE:]), median(r[1] for r in rows[-LATE:]), values)


def _hidden(data: bytes, finder: RuleFinder, known_values: KnownValueScanner, factory: PlaceholderFactory) -> int:
    document = JsonDocument.read(data)
    scan = DocumentScan(document.root, BODY, finder, known_values)
    counts: Counter[str] = Counter()
    numbers: dict[ValueKey, int] = {}
    for kind, digest in scan.keys_to_number(factory):
        counts[kind] += 1
        numbers[kind, digest] = counts[kind]
    names = scan.hide(factory, numbers)
    document.root = scan.root
    document.render()
    return len(names.values)


def _ms(work: Callable[[Any], None], data: bytes) -> float:
    started = process_time()
    work(data)
    return (process_time() - started) * 1000
