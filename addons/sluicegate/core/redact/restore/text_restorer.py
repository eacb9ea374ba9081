"""Restoring: a text that arrives in pieces gets its values back, however it is cut.

What may still become a placeholder is held back: the longest end of the text that is a proper prefix of a written name that
is known. What was put in is never looked at again. Names that are not known pass as they are.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Mapping
from typing import Final

from sluicegate.core.redact.hide.placeholders import (
    Context,
    Form,
    Grammar,
    json_text,
)

__all__ = ["PlaceholderCounter", "PlaceholderMap", "TextRestorer", "restore_text"]

MAX_NAME: Final = 160
"""Characters of the longest written name."""

_NAME_PART: Final = re.compile(r"[A-Za-z0-9_:]*")


class PlaceholderMap:
    """The placeholders of one request: name → value, and for values with line numbers the mark's whole stretch."""

    __slots__ = ("_sorted", "grammar", "units", "values")

    def __init__(
        self, grammar: Grammar, values: Mapping[str, str], units: Mapping[str, tuple[str, str]] | None = None
    ) -> None:
        self.grammar = grammar
        self.values = values
        self.units = units or {}
        """A LINES name → (what was sent in place of the stretch, the stretch)."""
        self._sorted: list[str] | None = None

    def __bool__(self) -> bool:
        return bool(self.values)

    def some_start_with(self, prefix: str) -> bool:
        if self._sorted is None:
            self._sorted = sorted(self.values)
        at = bisect_left(self._sorted, prefix)
        return at < len(self._sorted) and self._sorted[at].startswith(prefix)


def restore_text(text: str, names: PlaceholderMap, context: Context = "text") -> str:
    """A whole text with its values."""
    restorer = TextRestorer(names, context)
    return restorer.feed(text) + restorer.end()


def _name(m: re.Match[str]) -> str:
    return m[m.lastindex or 1].replace("%3A", ":").replace("%3a", ":")


class TextRestorer:
    """`feed(text) -> text`, and `end()` for what was held back."""

    __slots__ = ("_forms", "_held", "_pattern", "_starts", "context", "count", "names")

    def __init__(self, names: PlaceholderMap, context: Context = "text") -> None:
        self.names = names
        self.context: Context = context
        self.count = 0
        """Placeholders restored."""
        self._forms = names.grammar.forms[context]
        self._pattern = names.grammar.patterns[context]
        self._starts = names.grammar.starts
        self._held = ""

    def feed(self, text: str) -> str:
        if not self._held and not self._starts.search(text):
            return text
        return self._take(self._held + text, last=False)

    def end(self) -> str:
        return self._take(self._held, last=True) if self._held else ""

    def _take(self, data: str, *, last: bool) -> str:
        out: list[str] = []
        done = at = 0  # what is put out; where the search goes on
        while m := self._pattern.search(data, at):
            start, end = m.span()
            name = _name(m)
            value = self.names.values.get(name)
            if value is None:
                at = start + 1  # a known name may be the end of this one
                continue
            written = self._forms[(m.lastindex or 1) - 1].write(value)
            if unit := self.names.units.get(name):
                stretch, length = self._unit(*unit, data, start, last=last)
                if length < 0:
                    out.append(data[done:start])
                    self._held = data[start:]
                    return "".join(out)
                if length:
                    end, written = start + length, stretch
            out += data[done:start], written
            done = at = end
            self.count += 1
        keep = len(data) if last else self._suffix(data, max(done, at))
        out.append(data[done:keep])
        self._held = data[keep:]
        return "".join(out)

    def _unit(self, sent: str, stretch: str, data: str, start: int, *, last: bool) -> tuple[str, int]:
        """What a numbered stretch becomes, and how much of the data it is; 0 where it is not there, -1 if it may yet be."""
        spellings = [sent]
        if self.context == "json":
            stretch = json_text(stretch)
            spellings = [json_text(sent), json.dumps(sent)[1:-1]]
        for spelling in spellings:
            if data.startswith(spelling, start):
                return stretch, len(spelling)
        may_come = not last and any(spelling.startswith(data[start:]) for spelling in spellings)
        return "", -1 if may_come else 0

    def _suffix(self, data: str, start: int) -> int:
        """Where the longest end that may yet become a known placeholder begins; len(data) where there is none."""
        if self.names:
            for m in self._starts.finditer(data, max(start, len(data) - MAX_NAME)):
                if any(self._may_become(data[m.start() :], form) for form in self._forms):
                    return m.start()
        return len(data)

    def _may_become(self, text: str, form: Form) -> bool:
        n = len(form.before)
        if n and len(text) <= n:
            return form.before.startswith(text.lower())
        if text[:n].lower() != form.before:
            return False
        rest = text[n:].replace("%3A", ":").replace("%3a", ":")
        name = _NAME_PART.match(rest)
        assert name is not None
        left = rest[name.end() :].lower()
        if not left:
            return self.names.some_start_with(name[0])
        if name[0] in self.names.values and form.after.startswith(left):
            return len(left) < len(form.after)
        return form.before == "%3c" and "%3a".startswith(left) and self.names.some_start_with(name[0] + ":")


class PlaceholderCounter:
    """Counts the placeholders in a text that arrives in pieces, and changes nothing."""

    __slots__ = ("_pattern", "_starts", "_tail", "known", "names", "unknown")

    def __init__(self, names: PlaceholderMap, context: Context = "text") -> None:
        self.names = names
        self.known = 0
        self.unknown = 0
        self._pattern = names.grammar.patterns[context]
        self._starts = names.grammar.starts
        self._tail = ""

    def feed(self, text: str) -> None:
        if not self._tail and not self._starts.search(text):
            return
        seen = len(self._tail)
        window = self._tail + text
        at = counted = 0
        while m := self._pattern.search(window, at):
            is_known = _name(m) in self.names.values
            at = m.end() if is_known else m.start() + 1
            if m.end() > max(seen, 0 if is_known else counted):
                counted = m.end()
                self.known += is_known
                self.unknown += not is_known
        tail = window[-MAX_NAME:]
        first = self._starts.search(tail)
        self._tail = tail[first.start() :] if first else ""
