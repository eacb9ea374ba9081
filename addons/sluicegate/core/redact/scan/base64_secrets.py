"""Secrets in base64, found without decoding every text: the beginnings of known secrets, as base64 spells them.

A text of n bytes has three spellings in base64, one for each place in a group of three bytes. Their unchanging middle
characters are looked for; what surrounds a hit is then decoded, and counts only if a basic detector finds a secret in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from sluicegate.core.redact.rules.detectors import BASIC
from sluicegate.core.redact.rules.rule import Hit, Rule, Span
from sluicegate.core.redact.scan.engine import Engine, Match

__all__ = ["BASE64_RULES", "base64_forms"]

_BEGINNINGS: Final = (
    "sk-ant-",
    "sk-proj-",
    "sk-svcacct-",
    "github_pat_",
    "ghp_",
    "gho_",
    "ghs_",
    "ghu_",
    "ghr_",
    "AKIA",
    "ASIA",
    "AIza",
    "sk_live_",
    "sk_test_",
    "rk_live_",
    "-----BEGIN ",
    "postgres://",
    "postgresql://",
    "mysql://",
    "mongodb://",
    "mongodb+srv://",
    "$ANSIBLE_VAULT",
    "hvs.",
)
_LONGEST: Final = 64 * 1024
_LOOK: Final = 160
_RUN: Final = re.compile(
    rb"[A-Za-z0-9+/_-]*+(?:\r?\n[A-Za-z0-9+/_-]{20,}+)*+(?:\r?\n[A-Za-z0-9+/_-]{2,19}(?==|\s*(?:[\"'<]|\Z)|\r?\n\r?\n))?={0,2}"
)
_OFFSETS: Final = (0, 2, 3)
"""Where in its group of four characters a spelling begins, by how many bytes come before it in its group of three."""


@cache
def _secrets() -> Engine:
    return Engine([rule for rule in BASIC if rule.id not in ("email", "jwt", "bearer_token", "basic_auth")])


def base64_forms(text: str) -> Iterator[tuple[str, int]]:
    """How base64 spells a text within a longer one: the characters that depend on it alone, and their place in a group."""
    for before, offset in enumerate(_OFFSETS):
        encoded = base64.b64encode(b"\0" * before + text.encode())
        yield encoded[offset : (before + len(text)) * 8 // 6].decode(), offset


@cache
def _offsets() -> Mapping[bytes, int]:
    return {spelling.encode(): offset for beginning in _BEGINNINGS for spelling, offset in base64_forms(beginning)}


def _decoded(hit: Hit) -> Span | None:
    """The groups of four characters that hold the secret, if there is one; wrapped lines are taken whole.

    A secret begins at the hit, so that a short look tells whether there is one.
    """
    first = hit.first - _offsets()[hit.value]
    if first < 0 or not _secrets_in(hit.data, first, hit.first + _LOOK):
        return None
    run = _RUN.match(hit.data, hit.first, hit.first + _LONGEST)
    end = run.end() if run else hit.last
    found = _secrets_in(hit.data, first, end)
    if not found or b"\n" in hit.data[first:end]:
        return first, end
    low, high = min(m.start for m in found) // 3 * 4, -(-max(m.end for m in found) // 3) * 4
    return first + low, min(end, first + high)


def _secrets_in(data: bytes, first: int, end: int) -> Sequence[Match]:
    run = _RUN.match(data, first, end)
    digits = run[0].translate(_STANDARD, b"\r\n=") if run else b""
    return _secrets().scan(base64.b64decode(digits + b"A" * (-len(digits) % 4)))


_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


def _rule() -> Rule:
    words = sorted((re.escape(spelling.decode()) for spelling in _offsets()), key=len, reverse=True)
    pattern = f"({'|'.join(words)})[A-Za-z0-9+/_-]{{8}}"
    return Rule("base64", "BASE64_SECRET", "secret", pattern, judge=_decoded)


BASE64_RULES: Final = (_rule(),)
