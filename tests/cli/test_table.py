"""Plain tables: aligned, short numbers, and nothing that steers the terminal."""

from __future__ import annotations

import pytest

from sluicegate.cli.table import age, money, printable, rows, size


def test_rows_are_aligned_and_end_without_blanks() -> None:
    """Columns marked `r` are aligned right, the others left."""
    assert rows([("model", "calls"), ("a", "7")], "lr") == "model  calls\na          7"
    assert rows([("model", "x"), ("a", "")]) == "model  x\na"
    assert rows([]) == ""


@pytest.mark.parametrize(
    ("usd", "shown"),
    [
        (None, "?"),
        (0.0, "$0.0000"),
        (0.00001, "$0.000010"),
        (0.00104, "$0.0010"),
        (99.99994, "$99.9999"),
        (12345.6, "$12,346"),
    ],
)
def test_money(usd: float | None, shown: str) -> None:
    """Four decimals while they matter; an unknown cost is not zero, and a small one is not shown as zero."""
    assert money(usd) == shown


@pytest.mark.parametrize(("n", "shown"), [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (2_500_000, "2 MB"), (3e9, "3.0 GB")])
def test_size(n: float, shown: str) -> None:
    """Bytes in decimal units."""
    assert size(n) == shown


@pytest.mark.parametrize(("seconds", "shown"), [(-1, "0s"), (59, "59s"), (60, "1m"), (7200, "2h"), (200_000, "2d")])
def test_age(seconds: float, shown: str) -> None:
    """The largest unit that is at least one."""
    assert age(seconds) == shown


def test_control_characters_do_not_reach_the_terminal() -> None:
    """A cached response may hold escape sequences and bytes that are not UTF-8."""
    assert printable("a\x1b[31mb\rc\n\td") == "a?[31mb?c\n\td"
    assert printable(b"\xff\x1b") == "\N{REPLACEMENT CHARACTER}?"
