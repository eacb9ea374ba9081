"""Hiding: what is found in a document gets a name, the same one each time in a conversation.

    survey = Survey(document, "messages", finder, sweeper)     what there is to hide, and where
    survey.asked(naming)                                       the values that need a rank, in walking order
    names = survey.hide(naming, ranks)                         changes the document; what restores it

A value that was found is hidden in all its spellings (spellings.py) across the whole document, each spelling under a name
of its own. Text in the shape of a placeholder becomes a LITERAL, so that no name can be smuggled in.
"""

from __future__ import annotations

import hmac
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.core.redact.hide.known_values import HiddenSpan, KnownValueScanner, merge_spans
from sluicegate.core.redact.hide.line_numbers import NumberedValue, read_numbered
from sluicegate.core.redact.hide.placeholders import LINES, Grammar, type_name
from sluicegate.core.redact.restore.text_restorer import PlaceholderMap
from sluicegate.core.redact.scan.finding import Finder, Tier
from sluicegate.core.redact.walk.edits import apply_edits
from sluicegate.core.redact.walk.json_walk import Leaf, WalkSurface, walk

__all__ = ["DocumentScan", "FirstFinding", "PlaceholderFactory", "ValueKey", "shown_path"]

ValueKey = tuple[str, bytes]
"""A type, and the keyed digest of a value: all that a store of ranks ever sees."""


@dataclass(frozen=True, slots=True)
class PlaceholderFactory:
    """How the values of one conversation are named."""

    key: bytes
    conversation: bytes
    """What stands for the conversation: kept with its ranks, so a keyed digest where they are kept."""
    grammar: Grammar
    ranked: bool = True
    """Secrets are counted; else every name is a keyed hash and no state is kept."""

    def digest(self, kind: str, value: str, turn: int = 0, tier: Tier = "secret") -> bytes:
        """Of a secret another one in each conversation; of an identifier always the same: requests can be correlated."""
        within = self.conversation if tier == "secret" else b""
        said = b"\0".join((b"%d" % turn, kind.encode(), within, value.encode("utf-8", "surrogatepass")))
        return hmac.digest(self.key, said, "sha256")[:16]

    def unranked(self, kind: str, value: str) -> str:
        """A name, as written, that is the same everywhere: for what is not restored."""
        kind = type_name(kind)
        return self.grammar.written(self.grammar.hashed(kind, self.digest(kind, value, 1, "identifier")))


@dataclass(frozen=True, slots=True)
class FirstFinding:
    """The first finding: its rule, and where it is."""

    rule: str
    path: str


class DocumentScan:
    """What there is to hide in a document."""

    def __init__(self, root: Any, surface: WalkSurface, finder: Finder, sweeper: KnownValueScanner | None) -> None:
        """Without a sweeper: only what the finder says, for those who do not hide."""
        self.root = root
        self.found: Counter[str] = Counter()
        """Rule → values found."""
        self.first: FirstFinding | None = None
        self._spans: dict[str, list[HiddenSpan]] = {}
        self._texts: dict[str, list[Leaf]] = {}
        """Each text once, in walking order, and where it stands."""
        values = self._find(finder, surface)
        if sweeper:
            for text, spans in sweeper.spans(list(self._texts), values):
                self._spans.setdefault(text, []).extend(spans)
            for text, found in self._spans.items():
                self._spans[text] = merge_spans(text, found, sweeper.grammar)

    def _find(self, finder: Finder, surface: WalkSurface) -> dict[str, tuple[str, Tier]]:
        values: dict[str, tuple[str, Tier]] = {}
        counted: set[tuple[str, str]] = set()
        for leaf in walk(self.root, surface):
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

    # -- names
    def asked(self, naming: PlaceholderFactory) -> list[ValueKey]:
        """The values that need a rank, in walking order, each once."""
        if not naming.ranked:
            return []
        return list(
            dict.fromkeys((kind, naming.digest(kind, value)) for kind, value, tier in self._values() if tier == "secret")
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
        """Every stretch that is hidden, and the string in which it stands, in walking order."""
        for text, leaves in self._texts.items():
            yield from ((leaf, span) for leaf in leaves for span in self._spans.get(text, ()))

    @property
    def empty(self) -> bool:
        return not self._spans

    def hide(self, naming: PlaceholderFactory, ranks: Mapping[ValueKey, int]) -> PlaceholderMap:
        """Change the document; what restores it. `walk.Collision` where two keys became one."""
        names, units = _Names(naming, ranks), dict[str, tuple[str, str]]()
        edits: list[tuple[Leaf, str]] = []
        for text, leaves in self._texts.items():
            if text in self._spans:
                new = self._edited(text, names, units)
                edits += ((leaf, new) for leaf in leaves)
        self.root = apply_edits(self.root, edits)
        return PlaceholderMap(naming.grammar, names.values, units)

    def _edited(self, text: str, names: _Names, units: dict[str, tuple[str, str]]) -> str:
        out: list[str] = []
        done = 0
        written = names.naming.grammar.written
        for span, bare in self._pieces(text):
            if bare is None:
                name = names.of(span.kind, text[span.start : span.end], span.tier)
                out += text[done : span.start], written(name)
            else:
                stretch = text[bare.line_start : span.end]
                mark = names.of(LINES, stretch, "secret", stands_for=bare.number)
                name = names.of(span.kind, bare.value, span.tier)
                rest = text[bare.line_start + len(bare.number) : span.start]
                sent = written(mark) + rest + written(name)
                units[mark] = sent, stretch
                out += text[done : bare.line_start], sent
            done = span.end
        out.append(text[done:])
        return "".join(out)


class _Names:
    """Names given so far; no two values share one."""

    def __init__(self, naming: PlaceholderFactory, ranks: Mapping[ValueKey, int]) -> None:
        self.naming = naming
        self.values: dict[str, str] = {}
        self._ranks = ranks
        self._given: dict[tuple[str, str], str] = {}

    def of(self, kind: str, value: str, tier: Tier, *, stands_for: str | None = None) -> str:
        name = self._given.get((kind, value))
        if name is None:
            name = self._given[kind, value] = self._new(kind, value, tier)
            self.values[name] = value if stands_for is None else stands_for
        return name

    def _new(self, kind: str, value: str, tier: Tier) -> str:
        naming = self.naming
        if naming.ranked and tier == "secret":
            return naming.grammar.ranked(kind, self._ranks[kind, naming.digest(kind, value)])
        turn = 1
        while (name := naming.grammar.hashed(kind, naming.digest(kind, value, turn, tier))) in self.values:
            turn += 1
        return name


_PLAIN_STEP: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-$")


def shown_path(path: Sequence[str | int], is_key: bool, finder: Finder) -> str:
    """A path fit for an error message: a key that may be a secret itself is not shown."""
    shown = ""
    for at, step in enumerate(path):
        if isinstance(step, int):
            shown += f"[{step}]"
            continue
        own = is_key and at == len(path) - 1
        safe = not own and len(step) <= 40 and _PLAIN_STEP.issuperset(step) and not finder.find(step)
        shown += f".{step if safe else '(a key)'}"
    return shown.lstrip(".") or "(the whole body)"
