"""core/redact/hide/headers.py: what is in header values, and what stays."""

from __future__ import annotations

from kits.hiding import Rules
from sluicegate.core.redact.hide.headers import replace_in_headers, scan_headers
from sluicegate.core.redact.scan.finding import Finding


def name(f: Finding, value: str) -> str:
    return f"[{f.type} of {len(value)}]"


def test_values_are_exchanged_and_nothing_else() -> None:
    """Every find in every value; names, order, repeated fields and all other bytes stay, whatever they are."""
    fields = (
        (b"Host", b"x"),
        (b"X-Title", b"sk-aaaabbbb and sk-ccccdddd!"),
        (b"x-odd", b"\xff\xfe sk-aaaabbbb \xc3\xa9"),
        (b"x-odd", b"plain"),
        (b"User-Agent", b"bot/1 (ann@corp.com)"),
    )
    found = scan_headers(fields, Rules())
    assert {at: len(finds) for at, finds in found.items()} == {1: 2, 2: 1, 4: 1}
    assert replace_in_headers(fields, found, name) == (
        (b"Host", b"x"),
        (b"X-Title", b"[API_KEY of 11] and [API_KEY of 11]!"),
        (b"x-odd", b"\xff\xfe [API_KEY of 11] \xc3\xa9"),
        (b"x-odd", b"plain"),
        (b"User-Agent", b"bot/1 ([EMAIL of 12])"),
    )


def test_a_credential_is_meant_for_whom_it_is_sent_to() -> None:
    """A header that says by its name that it holds one is left alone, and so is what the connection needs."""
    names = (b"X-Corp-Authorization", b"cf-access-client-secret", b"x-goog-iap-jwt-assertion", b"x-auth-token", b"Host")
    assert scan_headers(tuple((n, b"sk-aaaabbbb") for n in names), Rules()) == {}
    assert scan_headers((), Rules()) == {}
