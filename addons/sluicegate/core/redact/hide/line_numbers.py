"""Line numbers in front of the lines of a value: a tool that shows a file adds them; they are no part of the value.

Claude Code's Read shows `   12→text`, `cat -n` a tab, `grep -n` a colon. Were they kept, a placeholder that the model puts
into an Edit would come back with the numbers in it and spoil the file.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["NumberedValue", "read_numbered"]

_GUTTER: Final = re.compile(r"([ \t]*)([0-9]{1,9})(→|\t|: ?| ?\| ?|-)")


@dataclass(frozen=True, slots=True)
class NumberedValue:
    """A value of several lines, shown with their numbers."""

    line_start: int
    """Where in the text the first line begins, with its number."""
    number: str
    """The first line's number as it stands there, spaces included."""
    separator: str
    value: str
    """The value without the numbers."""


def read_numbered(text: str, start: int, end: int) -> NumberedValue | None:
    """Read `text[start:end]` as a value with line numbers: each line one more than the one before; None where it is not."""
    stretch = text[start:end]
    if "\n" not in stretch:
        return None
    line_start = text.rfind("\n", 0, start) + 1
    first = _GUTTER.match(text, line_start, start)
    if first is None:
        return None
    lines = stretch.split("\n")
    bare = [lines[0]]
    for number, line in enumerate(lines[1:], int(first[2]) + 1):
        m = _GUTTER.match(line)
        if m is None or int(m[2]) != number or m[3].strip() != first[3].strip():
            if line.strip() == "" or line.strip() == str(number):  # cut off within the number
                bare.append("")
                continue
            return None
        bare.append(line[m.end() :])
    return NumberedValue(line_start, first[1] + first[2], first[3], "\n".join(bare))
