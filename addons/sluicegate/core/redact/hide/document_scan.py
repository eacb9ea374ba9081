"""Scans a JSON document, and hides what was found behind placeholders.

    scan = DocumentScan(document, body_shapes.BODY, finder, known_values)
    keys = scan.keys_to_number(factory)            the values that need a number, in document order
    placeholders = scan.hide(factory, numbers)     changes the document; returns the map that restores its values

A value that was found is hidden in all its spellings (spellings.py) across the whole document, each spelling under a name
of its own. Text that looks like a placeholder becomes a LITERAL, so that no name can be smuggled in.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.core.redact.hide.known_values import HiddenSpan, KnownValueScanner, merge_spans
from sluicegate.core.redact.hide.line_numbers import NumberedValue, read_numbered
from sluicegate.core.redact.hide.placeholder_factory import AssignedPlaceholders, PlaceholderFactory, ValueKey
from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import LINES
from sluicegate.core.redact.rules.rule import Tier, type_name
from sluicegate.core.redact.scan.finding import Finder
from sluicegate.core.redact.walk.body_shapes import Shape
from sluicegate.core.redact.walk.edits import apply_edits
from sluicegate.core.redact.walk.json_walk import Leaf, walk

__all__ = ["DocumentScan", "FirstFinding", "shown_path"]


@dataclass(frozen=True, slots=True)
class FirstFinding:
    """Rule and path of the first finding, for an error message."""

    rule: str
    path: str


class DocumentScan:
    """The spans of a document that have to be hidden."""

    def __init__(self, root: Any, shape: Shape, finder: Finder, known_values: KnownValueScanner | None) -> None:
        """`known_values`: None for detection without hiding."""
        self.root = root
        self.found: Counter[str] = Counter()
        """Rule → number of distinct values."""
        self.first: FirstFinding | None = None
        self._spans: dict[str, list[HiddenSpan]] = {}
        self._texts: dict[str, list[Leaf]] = {}
        """Each distinct text, in document order, and the leaves that hold it."""
        values = self._find(finder, shape)
        if known_values:
            for text, spans in known_values.spans(list(self._texts), values):
                self._spans.setdefault(text, []).extend(spans)
            for text, found in self._spans.items():
                self._spans[text] = merge_spans(text, found, known_values.grammar)

    def _find(self, finder: Finder, shape: Shape) -> dict[str, tuple[str, Tier]]:
        values: dict[str, tuple[str, Tier]] = {}
        counted: set[tuple[str, str]] = set()
        for leaf in walk(self.root, shape):
            text = leaf.text
            if text in self._texts:
                self._texts[text].append(leaf)
                continue
            self._texts[text] = [leaf]
            for f in finder.find(text):
                if self.first is None:
                    self.first = FirstFinding(f.rule, shown_path(leaf.path, leaf.is_key, finder))
                kind = type_name(f.type)
                bare = read_numbered(text, f.start, f.end)
                value = bare.value if bare else text[f.start : f.end]
                self._spans.setdefault(text, []).append(HiddenSpan(f.start, f.end, kind, f.tier))
                values.setdefault(value, (kind, f.tier))
                if (f.rule, value) not in counted:
                    counted.add((f.rule, value))
                    self.found[f.rule] += 1
        return values

    def keys_to_number(self, factory: PlaceholderFactory) -> list[ValueKey]:
        """The keys of the values that need a number, in document order, without repetition."""
        if not factory.numbered:
            return []
        return list(
            dict.fromkeys((kind, factory.digest(kind, value)) for kind, value, tier in self._values() if tier == "secret")
        )

    def _values(self) -> list[tuple[str, str, Tier]]:
        out: list[tuple[str, str, Tier]] = []
        for text in self._texts:
            for span, bare in self._pieces(text):
                if bare:
                    out.append((LINES, text[bare.line_start : span.end], "secret"))
                out.append((span.kind, bare.value if bare else text[span.start : span.end], span.tier))
        return list(dict.fromkeys(out))

    def _pieces(self, text: str) -> list[tuple[HiddenSpan, NumberedValue | None]]:
        out: list[tuple[HiddenSpan, NumberedValue | None]] = []
        done = 0
        for span in self._spans.get(text, ()):
            bare = read_numbered(text, span.start, span.end)
            apart = bare is not None and (bare.line_start > done or bare.line_start == 0)
            out.append((span, bare if apart else None))
            done = span.end
        return out

    def places(self) -> Iterator[tuple[Leaf, HiddenSpan]]:
        """Every hidden span, and the leaf that contains it, in document order."""
        for text, leaves in self._texts.items():
            yield from ((leaf, span) for leaf in leaves for span in self._spans.get(text, ()))

    @property
    def empty(self) -> bool:
        return not self._spans

    def hide(self, factory: PlaceholderFactory, numbers: Mapping[ValueKey, int]) -> PlaceholderMap:
        """Change the document; returns the map that restores it. Raises KeyCollision."""
        assigned, units = AssignedPlaceholders(factory, numbers), dict[str, tuple[str, str]]()
        edits: list[tuple[Leaf, str]] = []
        for text, leaves in self._texts.items():
            if text in self._spans:
                new = self._hidden(text, assigned, units)
                edits += ((leaf, new) for leaf in leaves)
        self.root = apply_edits(self.root, edits)
        return PlaceholderMap(factory.grammar, assigned.values, units)

    def _hidden(self, text: str, assigned: AssignedPlaceholders, units: dict[str, tuple[str, str]]) -> str:
        out: list[str] = []
        done = 0
        written = assigned.factory.grammar.written
        for span, bare in self._pieces(text):
            if bare is None:
                name = assigned.name_of(span.kind, text[span.start : span.end], span.tier)
                out += text[done : span.start], written(name)
            else:
                shown = text[bare.line_start : span.end]
                mark = assigned.name_of(LINES, shown, "secret", restore_as=bare.number)
                name = assigned.name_of(span.kind, bare.value, span.tier)
                rest = text[bare.line_start + len(bare.number) : span.start]
                sent = written(mark) + rest + written(name)
                units[mark] = sent, shown
                out += text[done : bare.line_start], sent
            done = span.end
        out.append(text[done:])
        return "".join(out)


_PLAIN_STEP: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")


def shown_path(path: Sequence[str | int], is_key: bool, finder: Finder) -> str:
    """A path for an error message: a key that may be a secret itself is not shown."""
    shown = ""
    for at, step in enumerate(path):
        if isinstance(step, int):
            shown += f"[{step}]"
            continue
        own = is_key and at == len(path) - 1
        safe = not own and len(step) <= 40 and _PLAIN_STEP.issuperset(step) and not finder.find(step)
        shown += f".{step if safe else '(a key)'}"
    return shown.lstrip(".") or "(the whole body)"
