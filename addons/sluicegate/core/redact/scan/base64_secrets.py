"""Secrets in base64, found without decoding every text: searches for the base64 forms of known prefixes.

The same bytes have three forms in base64, one for each alignment to the groups of three bytes. The characters that depend
on these bytes alone are searched for; the text around a hit is then decoded, and a basic detector must find a secret in it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from typing import Final

from sluicegate.core.redact.rules.detectors import BASIC
from sluicegate.core.redact.rules.rule import Hit, Rule, Span
from sluicegate.core.redact.scan.engine import Engine, Match

__all__ = ["BASE64_RULES", "base64_forms"]

_PREFIXES: Final = (
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
_PEEK: Final = 160
_RUN: Final = re.compile(
    rb"[A-Za-z0-9+/_-]*+(?:\r?\n[A-Za-z0-9+/_-]{20,}+)*+(?:\r?\n[A-Za-z0-9+/_-]{2,19}(?==|\s*(?:[\"'<]|\Z)|\r?\n\r?\n))?={0,2}"
)
_OFFSETS: Final = (0, 2, 3)
"""For 0, 1, 2 preceding bytes in a group of three: the first base64 character that does not depend on them."""


@cache
def _secrets() -> Engine:
    return Engine([rule for rule in BASIC if rule.id not in ("email", "jwt", "bearer_token", "basic_auth")])


def base64_forms(raw: bytes, encode: Callable[[bytes], bytes] = base64.b64encode) -> Iterator[tuple[str, int]]:
    """The base64 forms of bytes within longer data: the characters that depend on `raw` alone, and their offset."""
    for before, offset in enumerate(_OFFSETS):
        encoded = encode(bytes(before) + raw)
        yield encoded[offset : (before + len(raw)) * 8 // 6].decode(), offset


@cache
def _offsets() -> Mapping[bytes, int]:
    return {form.encode(): offset for prefix in _PREFIXES for form, offset in base64_forms(prefix.encode())}


def _decoded(hit: Hit) -> Span | None:
    """The groups of four characters that hold a secret, if there is one; of wrapped lines, the whole lines.

    A secret starts at the hit, so decoding a few characters shows whether there is one.
    """
    first = hit.value_start - _offsets()[hit.value]
    if first < 0 or not _secrets_in(hit.data, first, hit.value_start + _PEEK):
        return None
    run = _RUN.match(hit.data, hit.value_start, hit.value_start + _LONGEST)
    end = run.end() if run else hit.value_end
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
    words = sorted((re.escape(form.decode()) for form in _offsets()), key=len, reverse=True)
    pattern = f"({'|'.join(words)})[A-Za-z0-9+/_-]{{8}}"
    return Rule("base64", "BASE64_SECRET", "secret", pattern, validate=_decoded)


BASE64_RULES: Final = (_rule(),)
