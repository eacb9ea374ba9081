"""The finder that a policy asks for: rule sets in, findings out, remembered per text."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from types import MappingProxyType
from typing import Final

from sluicegate.core.redact.rules.detectors import BASIC
from sluicegate.core.redact.rules.gitleaks import RulesError, builtin_rules, file_rules
from sluicegate.core.redact.rules.pii import PII
from sluicegate.core.redact.rules.rule import (
    PatternError,
    Rule,
    pattern_fault,
    type_name,
)
from sluicegate.core.redact.rules.vendor_tokens import VENDOR_TOKENS
from sluicegate.core.redact.scan.base64_secrets import BASE64_RULES
from sluicegate.core.redact.scan.engine import Engine, Match
from sluicegate.core.redact.scan.finding import Finding
from sluicegate.core.redact.scan.overlap_resolution import resolve_overlaps

__all__ = ["RuleFinder", "RulesError", "build_finder"]

_MEMO_TEXTS: Final = 65_536
_MEMO_FINDINGS: Final = 262_144


class RuleFinder:
    """Finds what its rules say, and remembers texts by a keyed hash: neither a text nor a value is kept."""

    def __init__(self, rules: Sequence[Rule], salt: bytes, max_texts: int = _MEMO_TEXTS) -> None:
        self.engine = Engine(rules)
        self.rules: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in rules})
        self._salt = salt
        self._max_texts = max_texts
        self._memo: dict[bytes, tuple[Finding, ...]] = {}
        self._held = 0
        """Findings in the memo."""

    def forget(self) -> None:
        """Forget all texts."""
        self._memo.clear()
        self._held = 0

    def find(self, text: str) -> tuple[Finding, ...]:
        """All findings of one text, in order; no two overlap. Any str will do, lone surrogates included."""
        data = text.encode("utf-8", "surrogatepass")
        key = blake2b(data, digest_size=16, key=self._salt).digest()
        found = self._memo.pop(key, None)
        if found is None:
            found = _findings(resolve_overlaps(self.engine.scan(data), data), data, text)
            self._held += len(found)
            while len(self._memo) >= self._max_texts or (self._held > _MEMO_FINDINGS and self._memo):
                self._held -= len(self._memo.pop(next(iter(self._memo))))
        self._memo[key] = found  # the last to be forgotten
        return found


def _findings(matches: Sequence[Match], data: bytes, text: str) -> tuple[Finding, ...]:
    """The matches with offsets into the str. A match that ends within a character's bytes covers the character."""
    if len(text) == len(data):
        return tuple(Finding(m.start, m.end, m.rule.type, m.rule.id, m.rule.tier) for m in matches)
    found: list[Finding] = []
    at_bytes = at = 0
    for m in matches:
        start, end = m.start, m.end
        while start > at_bytes and data[start] & 0xC0 == 0x80:
            start -= 1
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end += 1
        start = max(start, at_bytes)
        if start >= end:
            continue
        first = at + len(data[at_bytes:start].decode("utf-8", "surrogatepass"))
        at_bytes, at = end, first + len(data[start:end].decode("utf-8", "surrogatepass"))
        found.append(Finding(first, at, m.rule.type, m.rule.id, m.rule.tier))
    return tuple(found)


def build_finder(
    *,
    rules: Sequence[str],
    salt: bytes,
    pii: Sequence[str] = (),
    patterns: Mapping[str, str] | None = None,
    read: Callable[[str], bytes] | None = None,
) -> RuleFinder:
    """A finder for settings.scrub.

    `rules`: basic, gitleaks, pii, file:PATH. `salt`: random bytes of this process, at most 64; what the memo knows a text
    by is keyed with it. `pii`: what the rule set pii looks for. `patterns`: own NAME → regex. `read`: gives a rule file's
    bytes.
    RulesError where a rule file or a pattern is wrong.
    """
    chosen: list[Rule] = []
    for name in dict.fromkeys(rules):
        match name.partition(":"):
            case ("basic", "", _):
                chosen += (*BASIC, *BASE64_RULES, *VENDOR_TOKENS)
            case ("gitleaks", "", _):
                chosen += builtin_rules()
            case ("pii", "", _):
                chosen += (rule for kind in dict.fromkeys(pii) for rule in PII[kind])
            case ("file", ":", path) if read is not None:
                chosen += file_rules(path, read)
            case _:
                raise RulesError(f'there is no rule set "{name}"; known are basic, gitleaks, pii and file:PATH')
    chosen += (_own(name, pattern) for name, pattern in (patterns or {}).items())
    try:
        return RuleFinder(_each_once(chosen), salt)
    except PatternError as error:
        raise RulesError(f"the rules {error}") from None


def _own(name: str, pattern: str) -> Rule:
    if fault := pattern_fault(pattern):
        raise RulesError(f"pattern {name}: {fault}")
    return Rule(f"own:{name}", type_name(name), "secret", pattern)


def _each_once(rules: Sequence[Rule]) -> list[Rule]:
    """A rule that several sets have (a file that extends the built-in set) counts once: the last one given."""
    return list({rule.id: rule for rule in rules}.values())
