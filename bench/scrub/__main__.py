"""`python -m bench.scrub`: the CPU time of finding secrets, as ratios to one JSON loads, walk and dumps of a body."""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from itertools import islice
from statistics import median
from time import process_time
from typing import Any, Final

import msgspec

from bench.scrub.bodies import Conversation, body
from bench.scrub.hidden import TURNS, growing
from bench.scrub.hostile import SIZE, hostile
from sluicegate.core.redact.scan.finder import RuleFinder, build_finder
from sluicegate.core.redact.walk.body_shapes import BODY
from sluicegate.core.redact.walk.json_walk import walk

ALL_RULES: Final = ("basic", "gitleaks", "pii")
ALL_PII: Final = ("email", "phone", "iban", "card", "ip", "ssn")
ROUNDS: Final = 7
COLD_RATIO: Final = 13.0
WARM_RATIO: Final = 4.0
HIDDEN_RATIO: Final = 12.0
HOSTILE_S: Final = 0.1
"""Upper limits: ratios to the JSON work, and seconds for 100 KB of the worst text."""


@dataclass(frozen=True, slots=True)
class Row:
    name: str
    size: int
    json_ms: float
    scan_ms: float
    promise: float | None = None

    @property
    def ratio(self) -> float:
        return self.scan_ms / self.json_ms


def main() -> None:
    """Measure, print, and end with 1 where a promise is broken."""
    finder = build_finder(rules=ALL_RULES, salt=b"bench", pii=ALL_PII)
    data = encoded(body(1, 2_000_000))
    first_ms = _ms(partial(scan, finder, data))
    rows = [
        cold("cold, basic", build_finder(rules=("basic",), salt=b"bench"), 2_000_000, None),
        cold("cold, all rules", finder, 200_000, None),
        cold("cold, all rules", finder, 2_000_000, COLD_RATIO),
        *warm(finder),
    ]
    grown, held = growing(partial(build_finder, rules=ALL_RULES, salt=b"bench", pii=ALL_PII), json_work)
    name = f"hidden, turn {TURNS} (median)"
    rows.append(Row(name, grown.size, grown.json_ms, grown.hide_ms, HIDDEN_RATIO))
    times = {name: _best(partial(find_anew, finder, text)) for name, text in hostile().items()}
    print(_table(rows))
    print(f"\nRemembered of the last conversation, which has {grown.values} hidden values: {held / 1e3:,.0f} KB")
    print(f"The first 2 MB of a process, while RE2 builds its automata: {first_ms:.0f} ms\n")
    print(_hostile_table(times))
    kept = all(r.promise is None or r.ratio <= r.promise for r in rows) and max(times.values()) <= HOSTILE_S
    print("\nAll promises are kept." if kept else "\nA promise is broken.")
    sys.exit(0 if kept else 1)


def encoded(document: Any) -> bytes:
    return msgspec.json.encode(document)


def scan(finder: RuleFinder, data: bytes) -> int:
    """What the scrubber does with a body in which nothing is found: read, walk, find."""
    return sum(len(finder.find(leaf.text)) for leaf in walk(msgspec.json.decode(data), BODY))


def find_anew(finder: RuleFinder, text: str) -> None:
    finder.forget()
    finder.find(text)


def json_work(data: bytes) -> None:
    document = msgspec.json.decode(data)
    _visit(document)
    encoded(document)


def _visit(value: Any) -> int:
    match value:
        case str():
            return len(value)
        case dict():
            return sum(len(key) + _visit(inner) for key, inner in value.items())
        case list():
            return sum(map(_visit, value))
    return 0


def cold(name: str, finder: RuleFinder, size: int, promise: float | None) -> Row:
    """Bodies that were never seen: as in the first turn, or after a restart."""
    bodies = [encoded(body(seed, size)) for seed in range(2, 2 + ROUNDS)]
    scan(finder, bodies[0])
    finder.forget()
    return Row(
        name,
        len(bodies[0]),
        median(_ms(partial(json_work, data)) for data in bodies),
        median(_ms(partial(scan, finder, data)) for data in bodies),
        promise,
    )


def warm(finder: RuleFinder) -> list[Row]:
    """A conversation of 40 turns: each request has all that was sent before, and one turn more."""
    finder.forget()
    measured: list[Row] = []
    for number, document in enumerate(islice(Conversation(99, 24_000).turns(), 40), 1):
        data = encoded(document)
        base = min(_ms(partial(json_work, data)) for _ in range(3))
        measured.append(Row(f"warm, turn {number}", len(data), base, _ms(partial(scan, finder, data))))
    late = measured[10:]
    worst = max(late, key=lambda row: row.ratio)
    middle = sorted(late, key=lambda row: row.ratio)[len(late) // 2]
    last = measured[-1]
    again = Row("warm, same again", len(data), base, _ms(partial(scan, finder, data)))
    return [
        Row(f"{worst.name} (worst)", worst.size, worst.json_ms, worst.scan_ms),
        Row(f"{middle.name} (median)", middle.size, middle.json_ms, middle.scan_ms),
        Row(last.name, last.size, last.json_ms, last.scan_ms, WARM_RATIO),
        again,
    ]


def _ms(work: Callable[[], Any]) -> float:
    started = process_time()
    work()
    return (process_time() - started) * 1000


def _best(work: Callable[[], Any]) -> float:
    return min(_ms(work) for _ in range(3)) / 1000


def _table(rows: list[Row]) -> str:
    lines = [f"{'':26}{'body MB':>9}{'JSON ms':>10}{'scan ms':>10}{'ratio':>8}{'promised':>11}", "-" * 74]
    for row in rows:
        promised = "" if row.promise is None else f"{row.promise:.0f}"
        numbers = f"{row.size / 1e6:>9.2f}{row.json_ms:>10.2f}{row.scan_ms:>10.2f}{row.ratio:>8.1f}{promised:>11}"
        lines.append(f"{row.name:26}{numbers}")
    return "\n".join(lines)


def _hostile_table(times: dict[str, float]) -> str:
    worst = sorted(times.items(), key=lambda item: -item[1])[:8]
    head = f"{f'hostile text, {SIZE // 1000} KB each':40}{'ms':>10}{'promised':>11}"
    lines = [f"  {name:38}{seconds * 1000:>10.1f}{HOSTILE_S * 1000:>11.0f}" for name, seconds in worst]
    return "\n".join([head, "-" * 61, *lines, f"  … and {len(times) - len(worst)} more, all faster"])


if __name__ == "__main__":
    main()
