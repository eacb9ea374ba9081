"""Line numbers before the lines of a value: a tool that shows a file adds them, so they are not part of the value.

Claude Code's Read shows `   12→text`, `cat -n` a tab, `grep -n` a colon. If the value kept them, a placeholder that the
model puts into an Edit would be restored with the numbers and corrupt the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["NumberedValue", "read_numbered"]

_GUTTER: Final = re.compile(r"([ \t]*)([0-9]{1,9})(→|\t|: ?| ?\| ?|-)")


@dataclass(frozen=True, slots=True)
class NumberedValue:
    """A value of several lines that is shown with line numbers."""

    line_start: int
    """Offset of the first line, number included."""
    number: str
    """The number of the first line as shown, spaces included."""
    separator: str
    value: str
    """The value without the numbers."""


def read_numbered(text: str, start: int, end: int) -> NumberedValue | None:
    """Read `text[start:end]` as a value with consecutive line numbers; None if it has none."""
    shown = text[start:end]
    if "\n" not in shown:
        return None
    line_start = text.rfind("\n", 0, start) + 1
    first = _GUTTER.match(text, line_start, start)
    if first is None:
        return None
    lines = shown.split("\n")
    bare = [lines[0]]
    for number, line in enumerate(lines[1:], int(first[2]) + 1):
        m = _GUTTER.match(line)
        if m is None or int(m[2]) != number or m[3].strip() != first[3].strip():
            if line.strip() == "" or line.strip() == str(number):  # truncated within the number
                bare.append("")
                continue
            return None
        bare.append(line[m.end() :])
    return NumberedValue(line_start, first[1] + first[2], first[3], "\n".join(bare))
