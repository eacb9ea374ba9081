"""Plain tables for terminals of 80 columns: no colour, no rules, numbers aligned right."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["age", "money", "printable", "rows", "size"]


def rows(table: Sequence[Sequence[str]], right: str = "", gap: str = "  ") -> str:
    """Lines of aligned cells. `right`: an `r` for each right-aligned column, any other character for the others."""
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))] if table else []
    lines = []
    for row in table:
        sides = right.ljust(len(row))
        cells = [c.rjust(w) if side == "r" else c.ljust(w) for c, w, side in zip(row, widths, sides, strict=True)]
        lines.append(gap.join(cells).rstrip())
    return "\n".join(lines)


def money(usd: float | None) -> str:
    """US dollars; `?` if they are unknown. A small amount is not shown as none."""
    if usd is None:
        return "?"
    if usd >= 100:
        return f"${usd:,.0f}"
    return f"${usd:.6f}" if 0 < usd < 0.00005 else f"${usd:.4f}"


def size(n: float) -> str:
    for unit in ("B", "kB", "MB"):
        if n < 1000:
            return f"{n:.0f} {unit}"
        n /= 1000
    return f"{n:.1f} GB"


def age(seconds: float) -> str:
    for unit, length in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{max(0, seconds):.0f}s"


def printable(raw: bytes | str) -> str:
    """Text that is safe to print: control characters become question marks."""
    text = raw if isinstance(raw, str) else raw.decode("utf-8", "replace")
    return "".join(c if c.isprintable() or c in "\n\t" else "?" for c in text)
