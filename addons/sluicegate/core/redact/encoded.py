"""Secrets in base64, found without decoding every text: the beginnings of known secrets, as base64 spells them.

A text of n bytes has three spellings in base64, one for each place in a group of three bytes. Their unchanging middle
characters are looked for; what surrounds a hit is then decoded, and counts only if a basic detector finds a secret in it.
"""

from __future__ import annotations

import base64
import binascii
import re
from functools import cache
from typing import Final

from sluicegate.core.redact.detectors import BASIC
from sluicegate.core.redact.engine import Engine
from sluicegate.core.redact.rule import Hit, Rule, Span

__all__ = ["ENCODED", "spellings"]

_BEGINNINGS: Final = (
    "sk-ant-",
    "sk-proj-",
    "sk-svcacct-",
    "github_pat_",
    "ghp_",
    "gho_",
    "ghs_",
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
_RUN: Final = re.compile(rb"[A-Za-z0-9+/_-]*+(?:\r?\n[A-Za-z0-9+/_-]{20,}+)*+={0,2}")
_OFFSETS: Final = (0, 2, 3)
"""Where in its group of four characters a spelling begins, by how many bytes come before it in its group of three."""


@cache
def _secrets() -> Engine:
    return Engine([rule for rule in BASIC if rule.id not in ("email", "jwt", "bearer_token", "basic_auth")])


def spellings(text: str) -> tuple[str, ...]:
    """The three ways in which base64 spells a text within a longer one: the characters that depend on it alone."""
    found = []
    for before in range(3):
        encoded = base64.b64encode(b"\0" * before + text.encode())
        whole = (before + len(text)) * 8 // 6
        found.append(encoded[_OFFSETS[before] : whole].decode())
    return tuple(found)


def _decoded(hit: Hit) -> Span | None:
    """The groups of four characters that hold the secret, if there is one; wrapped lines are taken whole."""
    run = _RUN.match(hit.data, hit.first, hit.first + _LONGEST)
    end = run.end() if run else hit.last
    for offset in _OFFSETS:
        if hit.first >= offset and (span := _secret_in(hit.data, hit.first - offset, end)) is not None:
            return span
    return None


def _secret_in(data: bytes, first: int, end: int) -> Span | None:
    digits = bytes(data[first:end].translate(_STANDARD, b"\r\n="))
    if len(digits) % 4 == 1:
        digits = digits[:-1]
    try:
        text = base64.b64decode(digits + b"=" * (-len(digits) % 4), validate=True)
    except binascii.Error:
        return None
    found = _secrets().scan(text)
    if not found:
        return None
    low, high = min(m.start for m in found) // 3 * 4, -(-max(m.end for m in found) // 3) * 4
    if b"\n" in data[first:end]:
        return first, end
    return first + low, min(end, first + high)


_STANDARD: Final = bytes.maketrans(b"-_", b"+/")


def _rule() -> Rule:
    words = sorted({re.escape(s) for beginning in _BEGINNINGS for s in spellings(beginning)})
    pattern = f"({'|'.join(words)})[A-Za-z0-9+/_-]{{8}}"
    return Rule("base64", "BASE64_SECRET", "secret", pattern, judge=_decoded)


ENCODED: Final = (_rule(),)
