"""Rule files in gitleaks' format: the built-in set (gitleaks 8.30) and the users' own `.gitleaks.toml`.

Supported: `[extend]` (useDefault, path, disabledRules); `[[rules]]` with id, regex, secretGroup, entropy, keywords and
skipReport; allowlists in both spellings at both levels with regexes, regexTarget, stopwords, condition and targetRules.
A prompt has no path and no commit: rules with only a path are skipped, an allowlist that requires a path and another
condition never applies, and a rule with a path and a regex runs everywhere.

Two deliberate differences. gitleaks reads source files, where a quote, a space or a semicolon follows a secret; in prose
and JSON any other character can follow. And a match needs its keyword nearby, where gitleaks needs it anywhere in the file.
"""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path, PurePath
from typing import Final

from sluicegate.core.redact.rules.allowlist import Allowlist, allowlists
from sluicegate.core.redact.rules.rule import (
    Hit,
    PatternError,
    Rule,
    Span,
    Validator,
    compile_pattern,
    type_name,
)
from sluicegate.core.redact.rules.toml_table import RulesError, TomlTable

__all__ = ["RulesError", "builtin_rules", "file_rules"]

MAX_BYTES: Final = 1_000_000
MAX_RULES: Final = 2_000
MAX_DEPTH: Final = 3
"""Length of a chain of files that extend each other."""
MAX_KEYWORDS: Final = 200

_BUILTIN: Final = Path(__file__).with_name("gitleaks.toml")
_BUILTIN_NAME: Final = "the built-in rules"

type Read = Callable[[str], bytes]


@dataclass(frozen=True, slots=True)
class _Draft:
    """A rule as written. None: not set here, so a base file's value applies."""

    id: str
    file: str
    regex: str | None
    group: int | None
    entropy: float | None
    keywords: tuple[str, ...]
    allow: tuple[Allowlist, ...]
    silent: bool


@dataclass(frozen=True, slots=True)
class _RuleFile:
    drafts: Mapping[str, _Draft]
    allow: tuple[Allowlist, ...]


@cache
def builtin_rules() -> tuple[Rule, ...]:
    """The rule set `gitleaks`."""
    return _rules(_builtin())


def file_rules(path: str, read: Read) -> tuple[Rule, ...]:
    """The rules of a file and of the files it extends. `read` returns the bytes of a file. Raises RulesError."""
    return _rules(_file(path, read, 1))


@cache
def _builtin() -> _RuleFile:
    return _parsed(_BUILTIN.read_bytes(), _BUILTIN_NAME)[0]


def _file(path: str, read: Read, depth: int) -> _RuleFile:
    if depth > MAX_DEPTH:
        raise RulesError(f"{path}: more than {MAX_DEPTH} files extend each other; merge some of them")
    try:
        content = read(path)
    except OSError as error:
        raise RulesError(f"{path}: cannot be read: {error.strerror or error}; check path and permissions") from None
    own, extend = _parsed(content, path)
    bases = [_builtin()] if extend.flag("useDefault") else []
    if base := extend.text("path"):
        bases.append(_file(str(PurePath(path).parent / base), read, depth + 1))
    disabled = frozenset(extend.texts("disabledRules"))
    merged: dict[str, _Draft] = {}
    allow: tuple[Allowlist, ...] = ()
    for part in (*bases, own):
        kept = part.drafts if part is own else {k: d for k, d in part.drafts.items() if k not in disabled}
        merged |= {name: _over(draft, merged.get(name)) for name, draft in kept.items()}
        allow += part.allow
    if len(merged) > MAX_RULES:
        raise RulesError(f"{path}: more than {MAX_RULES} rules; remove some")
    return _RuleFile(merged, allow)


def _over(draft: _Draft, base: _Draft | None) -> _Draft:
    if base is None:
        return draft
    return replace(
        draft,
        regex=base.regex if draft.regex is None else draft.regex,
        group=base.group if draft.group is None else draft.group,
        entropy=base.entropy if draft.entropy is None else draft.entropy,
        keywords=tuple(dict.fromkeys((*base.keywords, *draft.keywords))),
        allow=(*base.allow, *draft.allow),
    )


def _parsed(content: bytes, file: str) -> tuple[_RuleFile, TomlTable]:
    if len(content) > MAX_BYTES:
        raise RulesError(f"{file}: is larger than {MAX_BYTES} bytes; split it or remove rules")
    try:
        document = tomllib.loads(content.decode())
    except UnicodeDecodeError:
        raise RulesError(f"{file}: is not UTF-8; save it as UTF-8") from None
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise RulesError(f"{file}: not valid TOML: {str(error)[:200]}") from None
    top = TomlTable(document, file)
    entries = top.tables("rules")
    if len(entries) > MAX_RULES:
        raise RulesError(f"{file}: more than {MAX_RULES} rules; remove some")
    drafts: dict[str, _Draft] = {}
    for number, entry in enumerate(entries, 1):
        draft = _draft(entry, number, file)
        if draft.id in drafts:
            raise RulesError(f'{file}: rule "{draft.id}" is defined twice; rename one of them')
        drafts[draft.id] = draft
    return _RuleFile(drafts, allowlists(top)), top.table("extend")


def _draft(entry: TomlTable, number: int, file: str) -> _Draft:
    name = entry.text("id")
    if not name:
        raise RulesError(f"{file}: rule {number} has no id")
    entry = entry.at(f'{file}: rule "{name[:80]}"')
    keywords = tuple(k.lower() for k in entry.texts("keywords") if k)
    if len(keywords) > MAX_KEYWORDS:
        raise entry.fault("keywords", f"more than {MAX_KEYWORDS}; remove some")
    group = entry.whole("secretGroup")
    entropy = entry.number("entropy")
    return _Draft(name, file, entry.text("regex"), group, entropy, keywords, allowlists(entry), entry.flag("skipReport"))


def _rules(file: _RuleFile) -> tuple[Rule, ...]:
    built = (_rule(draft, file.allow) for draft in file.drafts.values() if draft.regex is not None and not draft.silent)
    return tuple(built)


def _rule(draft: _Draft, everywhere: Sequence[Allowlist]) -> Rule:
    where = f'{draft.file}: rule "{draft.id[:80]}"'
    pattern = relaxed(draft.regex or "")
    try:
        found = compile_pattern(pattern)
        empty = found.search(b"")
    except PatternError as error:
        raise RulesError(f"{where}: regex: {error}; gitleaks uses the same RE2 syntax") from None
    if empty is not None:
        raise RulesError(f"{where}: regex: matches the empty string; require at least one character")
    group = draft.group or 0
    if group < 0 or group > found.groups:
        raise RulesError(f"{where}: secretGroup: group {group} does not exist; the regex has {found.groups}")
    allow = (*draft.allow, *(a for a in everywhere if a.is_for(draft.id)))
    prefix = "gitleaks" if draft.file == _BUILTIN_NAME else "file"
    return Rule(
        f"{prefix}:{draft.id}",
        type_name(draft.id),
        "secret",
        pattern,
        keywords=draft.keywords,
        near_keyword=bool(draft.keywords),
        group=group,
        min_length=SHORTEST_VALUE if not group else 1,
        entropy=draft.entropy or 0.0,
        validate=_validator(draft.entropy or 0.0, allow, draft.id),
    )


_WIDEST: Final = "generic-api-key"
_WORD: Final = re.compile(rb"[A-Za-z_.=-]+|[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+")
"""The widest rule matches any name with `key` in it; letters alone, or the name of a constant, are not its secret."""

SHORTEST_VALUE: Final = 6
"""Without secretGroup the first group is the value, unless it is only a part such as `(ab-){3}`: then the match is."""

_RIGHT_EDGES: Final = (
    r"(?:\s|\z)",
    r"(?:\B|\s|\z)",
    r"(?:[\/|\#|\?|:]|$)",
    r"""(?:[\x60'"\s;]|\\[nr]|$)""",
    r"""(?:[\x60'"\s;]|\\[nr]|$|\b)""",
    r"""(?:$|[\\'"\x60\s<),])""",
)
_ANY_EDGE: Final = r"(?:[^\w]|$)"
_LONG: Final = re.compile(r"\{([1-9][0-9]+),[0-9]{3,}\}(?!\?)")
_LEFT_WORD: Final = re.compile(r"^((?:\(\?i\))?)\\b\(")
_IDLE_BEGINNING: Final = re.compile(r"^((?:\(\?i\))?)\[\\w\.-\]\{0,50\}\?((?:\(\?i:)?)(?:\[\\w\.-\]\{0,50\}\?)?(?=\(\?)")


def relaxed(pattern: str) -> str:
    """The pattern adapted to prose and JSON: any non-word character ends a value, an escape such as `\\n` may precede it.

    An upper bound of 100 or more is removed: a value longer than the rule expected is hidden to its end, at less cost.
    An optional lazy prefix is removed: it changes no finding, but makes the search expensive.
    """
    pattern = _LONG.sub(r"{\1,}", pattern)
    for edge in _RIGHT_EDGES:
        pattern = pattern.replace(edge, _ANY_EDGE)
    pattern = _LEFT_WORD.sub(r"\1(?:\\b|\\\\[nrt])(", pattern)
    return _IDLE_BEGINNING.sub(r"\1\2", pattern)


_PASSWORDS: Final = "hashicorp-tf-password"
_ABOUT_PASSWORDS: Final = re.compile(
    rb"""(?i)password[_.-](?:policy|strength|quality|type|length|method|mode|status|field|label|level)["'\\]*\s*[^\w\s]"""
)
"""A name that tells of passwords, and not one: `password_policy = "excellent"`."""
_DIGEST: Final = re.compile(
    rb"[0-9A-Fa-f]{32}|[0-9A-Fa-f]{40}|[0-9A-Fa-f]{56}|[0-9A-Fa-f]{64}|[0-9A-Fa-f]{96}|[0-9A-Fa-f]{128}"
)
_OF_DIGEST: Final = re.compile(
    rb"""(?i)(?:\bchecksum/[\w.-]+|(?:checksum|digest|fingerprint|sha-?(?:1|224|256|384|512)(?:sum)?|md5(?:sum)?))"""
    rb"""["'\\]*\s*(?:=>|:=|[:=])\s*["'\\]*$"""
)
"""The name of a digest right before it: Helm's `checksum/secret: <sha256>`, `secret_sha256 = "…"`."""
_NAME_REACH: Final = 120


def _is_named_otherwise(hit: Hit, rule: str) -> bool:
    """Whether the value's name says that it is no secret. Only the name right before the value counts."""
    if rule == _PASSWORDS:
        return _ABOUT_PASSWORDS.search(hit.data[hit.start : hit.value_start]) is not None
    if rule == _WIDEST and _DIGEST.fullmatch(hit.value):
        return _OF_DIGEST.search(hit.data[max(0, hit.value_start - _NAME_REACH) : hit.value_start]) is not None
    return False


def _validator(entropy: float, allow: Sequence[Allowlist], rule: str) -> Validator:
    word = _WORD if rule == _WIDEST else None

    def validate(hit: Hit) -> Span | None:
        value = hit.value
        if word is not None and word.fullmatch(value) is not None:
            return None
        if entropy and bits_per_byte(value) <= entropy:
            return None
        if _is_named_otherwise(hit, rule):
            return None
        return None if any(a.applies(hit) for a in allow) else (hit.value_start, hit.value_end)

    return validate


def bits_per_byte(value: bytes) -> float:
    """Shannon entropy."""
    total = len(value)
    counts = (value.count(byte) for byte in set(value))
    return -sum(n / total * math.log2(n / total) for n in counts)
