"""Allowlists of a rule file: matches that are not secrets, by regular expression or by stopword."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import re2

from sluicegate.core.redact.rules.rule import Hit, PatternError, compile_pattern
from sluicegate.core.redact.rules.toml_table import TomlTable

__all__ = ["Allowlist", "allowlists"]

MAX_ENTRIES: Final = 5_000
_LONGEST_LINE: Final = 4_096

Target = Literal["secret", "match", "line"]
_TARGETS: Final[dict[str, Target]] = {"": "secret", "secret": "secret", "match": "match", "line": "line"}


@dataclass(frozen=True, slots=True)
class Allowlist:
    regex: Any
    """One pattern for all regexes; None if there are none."""
    target: Target
    stopwords: Any
    """One pattern for all words; None if there are none."""
    all_of: bool
    needs_path_or_commit: bool
    """It has a condition on a path or a commit, which a prompt does not have."""
    only_for: frozenset[str]

    def is_for(self, rule: str) -> bool:
        return not self.only_for or rule in self.only_for

    def applies(self, hit: Hit) -> bool:
        if self.all_of:
            return not self.needs_path_or_commit and all(self._checks(hit))
        return any(self._checks(hit))

    def _checks(self, hit: Hit) -> Iterator[bool]:
        if self.regex is not None:
            yield self.regex.search(_target(hit, self.target)) is not None
        if self.stopwords is not None:
            yield self.stopwords.search(hit.value.lower()) is not None


def _target(hit: Hit, target: Target) -> bytes:
    match target:
        case "secret":
            return hit.value
        case "match":
            return hit.data[hit.start : hit.end]
        case "line":
            start = max(hit.data.rfind(b"\n", 0, hit.start) + 1, hit.start - _LONGEST_LINE)
            end = hit.data.find(b"\n", hit.end, hit.end + _LONGEST_LINE)
            return hit.data[start : end if end >= 0 else hit.end + _LONGEST_LINE]


def allowlists(fields: TomlTable) -> tuple[Allowlist, ...]:
    """The allowlists of a rule or of a file: `[[allowlists]]` and the older `[allowlist]`."""
    tables = fields.tables("allowlists")
    if "allowlist" in fields:
        tables = [*tables, *(fields.tables("allowlist") if fields.is_list("allowlist") else [fields.table("allowlist")])]
    found = (_allowlist(table.at(f"{fields.where}: allowlist")) for table in tables)
    return tuple(a for a in found if a.regex is not None or a.stopwords is not None)


def _allowlist(fields: TomlTable) -> Allowlist:
    regexes, stopwords = fields.texts("regexes"), [w.lower() for w in fields.texts("stopwords") if w]
    if len(regexes) + len(stopwords) > MAX_ENTRIES:
        raise fields.fault("regexes and stopwords", f"more than {MAX_ENTRIES} entries; remove some")
    target = _TARGETS.get(fields.text("regexTarget") or "")
    if target is None:
        raise fields.fault("regexTarget", "expected secret, match or line")
    condition = (fields.text("condition") or "OR").upper()
    if condition not in ("AND", "OR", "&&", "||"):
        raise fields.fault("condition", "expected AND or OR")
    return Allowlist(
        _either(regexes, fields),
        target,
        _any_of(stopwords),
        condition in ("AND", "&&"),
        bool(fields.texts("paths") or fields.texts("commits")),
        frozenset(fields.texts("targetRules")),
    )


def _either(patterns: Sequence[str], fields: TomlTable) -> Any:
    for pattern in patterns:
        try:
            compile_pattern(pattern)
        except PatternError as error:
            raise fields.fault("regexes", f"{pattern[:80]!r}: {error}; gitleaks uses the same RE2 syntax") from None
    try:
        return compile_pattern("|".join(f"(?:{pattern})" for pattern in patterns), limit=None) if patterns else None
    except PatternError as error:
        raise fields.fault("regexes", f"all of them together: {error}; remove some") from None


def _any_of(words: Sequence[str]) -> Any:
    if not words:
        return None
    return compile_pattern("|".join(re2.escape(w) for w in words), limit=None)
