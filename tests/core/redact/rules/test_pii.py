"""core/redact/rules/pii.py: personal data."""

from __future__ import annotations

import pytest

from sluicegate.core.redact.scan.finder import build_finder


def found(kind: str, text: str) -> list[str]:
    finder = build_finder(rules=("pii",), salt=b"s", pii=(kind,))
    return [text[f.start : f.end] for f in finder.find(text)]


@pytest.mark.parametrize(
    ("kind", "text", "values"),
    [
        ("email", "to Ann.O'Hara+x@mail.example.co.uk!", ["Hara+x@mail.example.co.uk"]),
        ("card", "pay 4111 1111 1111 1111, 5500-0000-0000-0004 or 378282246310005.", 3),
        ("card", "amex 3782 822463 10005", ["3782 822463 10005"]),
        ("card", "order 1234 4111 1111 1111 1111", ["4111 1111 1111 1111"]),
        ("iban", "DE89 3704 0044 0532 0130 00 and GB29NWBK60161331926819", 2),
        ("ip", "from 203.0.113.7:443 and 198.51.100.2. Via 2001:db8::8a2e:370:7334", 3),
        ("ssn", "SSN 078-05-1120, 219 09 9999", 2),
        ("phone", "call +49 30 901820 or +1-212-555-0123, +442071838750", 3),
    ],
)
def test_identifiers_are_found(kind: str, text: str, values: list[str] | int) -> None:
    """In their usual spellings, next to each other, followed by punctuation."""
    assert (found(kind, text) if isinstance(values, list) else len(found(kind, text))) == values


@pytest.mark.parametrize(
    ("kind", "text"),
    [
        ("card", "4111 1111 1111 1112, 0000000000000000, 4444444444444444, 1718000000000000, 9999999999999995"),
        ("iban", "DE89 3704 0044 0532 0130 01, AB12CDEF"),
        (
            "ip",
            "127.0.0.1, ::1, 0.0.0.0, 255.255.255.0, Chrome/120.1.2.3, 1.2.3, 300.1.2.3, v1.2.3.4, std::vec::Vec, 12:34:56",
        ),
        ("ssn", "000-12-3456, 666-12-3456, 900-12-3456, 123-00-4567, 123-45-0000, 2026-01-12, 123-456-7890"),
        ("phone", "1 + 23456789, x+12345678901, 2026-01-01T00:00:00+02:00, a = +1, +0 123 456 789"),
    ],
)
def test_what_only_looks_alike_is_not(kind: str, text: str) -> None:
    """Check digits, ranges, local addresses, versions, dates."""
    assert found(kind, text) == []


def test_only_what_was_asked_for_is_looked_for() -> None:
    """`pii: [iban]` leaves addresses alone."""
    assert found("iban", "bob@example.com 4111111111111111 203.0.113.7") == []
