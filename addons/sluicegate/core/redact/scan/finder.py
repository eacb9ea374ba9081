"""Builds a finder from the configured rule sets, and caches its findings per text."""

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

_CACHED_TEXTS: Final = 65_536
_CACHED_FINDINGS: Final = 262_144


class RuleFinder:
    """Finds what its rules match. The cache knows a text by a keyed hash: it holds neither texts nor values."""

    def __init__(self, rules: Sequence[Rule], salt: bytes, max_texts: int = _CACHED_TEXTS) -> None:
        self.engine = Engine(rules)
        self.rules: Mapping[str, Rule] = MappingProxyType({rule.id: rule for rule in rules})
        self._salt = salt
        self._max_texts = max_texts
        self._cache: dict[bytes, tuple[Finding, ...]] = {}
        self._held = 0
        """Findings in the cache."""

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()
        self._held = 0

    def find(self, text: str) -> tuple[Finding, ...]:
        """All findings in a text, in order, without overlaps. Accepts any str, lone surrogates included."""
        data = text.encode("utf-8", "surrogatepass")
        key = blake2b(data, digest_size=16, key=self._salt).digest()
        found = self._cache.pop(key, None)
        if found is None:
            found = _findings(resolve_overlaps(self.engine.scan(data), data), data, text)
            self._held += len(found)
            while len(self._cache) >= self._max_texts or (self._held > _CACHED_FINDINGS and self._cache):
                self._held -= len(self._cache.pop(next(iter(self._cache))))
        self._cache[key] = found  # most recently used
        return found


def _findings(matches: Sequence[Match], data: bytes, text: str) -> tuple[Finding, ...]:
    """The matches with offsets into the str. A match that ends within the bytes of a character covers the character."""
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

    `rules`: basic, gitleaks, pii, file:PATH. `salt`: random bytes of this process, at most 64, the key of the cache's
    hashes. `pii`: the kinds that the rule set pii finds. `patterns`: the user's own, NAME → regex. `read`: returns the
    bytes of a rule file. Raises RulesError if a rule file or a pattern is invalid.
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
                raise RulesError(f'unknown rule set "{name}"; known are basic, gitleaks, pii and file:PATH')
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
    """Of rules with the same id (a file that extends the built-in set), the last one counts."""
    return list({rule.id: rule for rule in rules}.values())
