"""Multi-line secrets, PEM keys and Ansible vaults: finds the end of a block, however it is cut, indented or numbered.

A block may be complete, truncated (no END), on one line with spaces or `\\n`, quoted line by line in code, or shown with
line numbers (`12→`, `  12⇥`, `12: `, `+` of a diff). Each of these is one finding. A BEGIN line alone counts as well.
"""

from __future__ import annotations

import re
from typing import Final

from sluicegate.core.redact.rules.rule import Hit, Span

__all__ = ["ansible_block", "key_block"]

LONGEST: Final = 64 * 1024
"""Bytes searched for the END of a block: a 16,384-bit RSA key has 12 KB."""

# Separators between two lines of a block. Possessive quantifiers: no backtracking, hence linear.
_BETWEEN: Final = (
    rb"""(?:\\[nrt]|\xe2\x86\x92|[0-9]{1,6}(?=[ ]{0,3}(?:\xe2\x86\x92|[\t:|]))|[\s"'+,\\>|#*;:()&-]|\$\{?){1,40}+"""
)
_HEADER: Final = rb"(?:Proc-Type|DEK-Info|Version|Comment|Hash|Charset|MessageID|[A-Z][A-Za-z-]{2,20}): [^\r\n\\]{1,200}"
_BODY: Final = re.compile(
    rb"(?:%b%b){0,8}+((?:%b[A-Za-z0-9+/=]{16,}+)*+)(?:%b[A-Za-z0-9+/]{0,15}={1,2})?"
    % (_BETWEEN, _HEADER, _BETWEEN, _BETWEEN)
)
_LAST: Final = re.compile(rb"%b[A-Za-z0-9+/=]{1,15}(?![A-Za-z0-9+/=])" % _BETWEEN)
_END: Final = re.compile(rb"-----END[ A-Z0-9_]{0,60}(?:-----|-{0,4}\Z)")
_RUN: Final = re.compile(rb"[A-Za-z0-9+/=]{24}")
_HEX: Final = re.compile(rb"(?:%b[0-9a-f]{6,}+)*+" % _BETWEEN)


def key_block(hit: Hit) -> Span:
    """From BEGIN to END if there is a body in between, else up to the last line that looks like part of a key."""
    data, start, at = hit.data, hit.value_start, hit.value_end
    next_block = data.find(b"-----BEGIN", at, at + LONGEST)
    limit = next_block if next_block >= 0 else min(len(data), at + LONGEST)
    end = _END.search(data, at, limit)
    if end is not None and _RUN.search(data, at, end.start()):
        return start, end.end()
    body = _BODY.match(data, at, limit)
    if body is None or not body[1]:
        return start, at
    last = _LAST.match(data, body.end(), limit)  # the key was truncated within its last line
    return start, last.end() if last else body.end()


def ansible_block(hit: Hit) -> Span:
    """The header and the lines of hexadecimal digits below it."""
    lines = _HEX.match(hit.data, hit.value_end)
    return hit.value_start, lines.end() if lines else hit.value_end
