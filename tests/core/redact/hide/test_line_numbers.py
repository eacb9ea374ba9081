"""core/redact/hide/line_numbers.py: values that a tool shows with line numbers."""

from __future__ import annotations

import pytest

from sluicegate.core.redact.hide.line_numbers import read_numbered


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("  1→BEGIN\n  2→x\n  3→END", "BEGIN\nx\nEND"),
        ("  9\tBEGIN\n 10\tx\n 11\tEND", "BEGIN\nx\nEND"),
        ("7:BEGIN\n8:x\n9:END", "BEGIN\nx\nEND"),
        ("  7 | BEGIN\n  8 | x\n  9 | END", "BEGIN\nx\nEND"),
        ("  1→BEGIN\n  2→x\n  3", "BEGIN\nx\n"),
        ("BEGIN\nx\nEND", None),
        ("  1→BEGIN\n  3→x\n  4→END", None),
        ("  1→BEGIN\nx\nEND", None),
    ],
)
def test_numbered_lines(text: str, value: str | None) -> None:
    """Consecutive numbers, in the forms that tools show, are not part of the value."""
    found = read_numbered(text, text.index("BEGIN"), len(text))
    assert (found.value if found else None) == value


def test_where_the_first_line_starts() -> None:
    """The first number, which lies before the value, is kept apart with its spaces and its separator."""
    text = "x = 1\n  9→key: BEGIN\n 10→x"
    found = read_numbered(text, text.index("BEGIN"), len(text))
    assert found is not None
    assert (found.line_start, found.number, found.separator, found.value) == (6, "  9", "→", "BEGIN\nx")


def test_a_single_line_is_not_numbered() -> None:
    """Its placeholder replaces the value only, and the number stays."""
    assert read_numbered("  1→BEGIN", 4, 9) is None
