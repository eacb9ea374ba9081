"""Restores the values in a text that arrives in pieces, however it is split.

Holds back the longest suffix that is a proper prefix of a known placeholder. Restored values are not scanned again. Unknown
placeholders pass unchanged.
"""

from __future__ import annotations

import json
import re
from typing import Final

from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.hide.placeholders import (
    Context,
    Form,
    json_text,
)

__all__ = ["PlaceholderCounter", "TextRestorer", "restore_text"]

MAX_NAME: Final = 160
"""Length of the longest written placeholder."""

_NAME_PART: Final = re.compile(r"[A-Za-z0-9_:]*")


def restore_text(text: str, placeholders: PlaceholderMap, context: Context = "text") -> str:
    """A complete text with its values."""
    restorer = TextRestorer(placeholders, context)
    return restorer.feed(text) + restorer.end()


def _name(m: re.Match[str]) -> str:
    return m[m.lastindex or 1].replace("%3A", ":").replace("%3a", ":")


class TextRestorer:
    """`feed(text) -> text`, and `end()` for the text held back."""

    __slots__ = ("_forms", "_held", "_pattern", "_starts", "context", "count", "placeholders")

    def __init__(self, placeholders: PlaceholderMap, context: Context = "text") -> None:
        self.placeholders = placeholders
        self.context: Context = context
        self.count = 0
        """Placeholders restored."""
        self._forms = placeholders.grammar.forms[context]
        self._pattern = placeholders.grammar.patterns[context]
        self._starts = placeholders.grammar.starts
        self._held = ""

    def feed(self, text: str) -> str:
        if not self._held and not self._starts.search(text):
            return text
        return self._take(self._held + text, last=False)

    def end(self) -> str:
        return self._take(self._held, last=True) if self._held else ""

    def _take(self, data: str, *, last: bool) -> str:
        out: list[str] = []
        done = at = 0  # end of the output; where the search continues
        while m := self._pattern.search(data, at):
            start, end = m.span()
            name = _name(m)
            value = self.placeholders.values.get(name)
            if value is None:
                at = start + 1  # a known name may be a suffix of this one
                continue
            written = self._forms[(m.lastindex or 1) - 1].write(value)
            if unit := self.placeholders.units.get(name):
                shown, length = self._unit(*unit, data, start, last=last)
                if length < 0:
                    out.append(data[done:start])
                    self._held = data[start:]
                    return "".join(out)
                if length:
                    end, written = start + length, shown
            out += data[done:start], written
            done = at = end
            self.count += 1
        keep = len(data) if last else self._suffix(data, max(done, at))
        out.append(data[done:keep])
        self._held = data[keep:]
        return "".join(out)

    def _unit(self, sent: str, shown: str, data: str, start: int, *, last: bool) -> tuple[str, int]:
        """The value of a numbered span, and its length in the data: 0 if it is not there, -1 if more data is needed."""
        spellings = [sent]
        if self.context == "json":
            shown = json_text(shown)
            spellings = [json_text(sent), json.dumps(sent)[1:-1]]
        for spelling in spellings:
            if data.startswith(spelling, start):
                return shown, len(spelling)
        may_follow = not last and any(spelling.startswith(data[start:]) for spelling in spellings)
        return "", -1 if may_follow else 0

    def _suffix(self, data: str, start: int) -> int:
        """Start of the longest suffix that may become a known placeholder; len(data) if there is none."""
        if self.placeholders:
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
            return self.placeholders.has_name_starting_with(name[0])
        if name[0] in self.placeholders.values and form.after.startswith(left):
            return len(left) < len(form.after)
        return form.before == "%3c" and "%3a".startswith(left) and self.placeholders.has_name_starting_with(name[0] + ":")


class PlaceholderCounter:
    """Counts the placeholders in a text that arrives in pieces, without changing it."""

    __slots__ = ("_pattern", "_starts", "_tail", "known", "placeholders", "unknown")

    def __init__(self, placeholders: PlaceholderMap, context: Context = "text") -> None:
        self.placeholders = placeholders
        self.known = 0
        self.unknown = 0
        self._pattern = placeholders.grammar.patterns[context]
        self._starts = placeholders.grammar.starts
        self._tail = ""

    def feed(self, text: str) -> None:
        if not self._tail and not self._starts.search(text):
            return
        seen = len(self._tail)
        window = self._tail + text
        at = counted = 0
        while m := self._pattern.search(window, at):
            is_known = _name(m) in self.placeholders.values
            at = m.end() if is_known else m.start() + 1
            if m.end() > max(seen, 0 if is_known else counted):
                counted = m.end()
                self.known += is_known
                self.unknown += not is_known
        tail = window[-MAX_NAME:]
        first = self._starts.search(tail)
        self._tail = tail[first.start() :] if first else ""
