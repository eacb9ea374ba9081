"""What a provider reports of its usage, in several places of one answer: reading a count, and joining two reports.

message_start states the prompt, message_delta the totals so far ("The token counts shown in the usage field of the
message_delta event are cumulative", docs.anthropic.com, "Streaming Messages"). Servers that do not know a count at the end
send 0 for it, so a 0 takes an earlier count back only if the report accounts for its tokens elsewhere: as tokens of another
kind (cached instead of read), or as an inference beside the top level (docs.anthropic.com, "Compaction").
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["SAMPLED", "count", "merged_usage"]

_MAX_TOKENS: Final = 10**10
SAMPLED: Final = ("message", "fallback_message")
"""The types of iterations whose tokens the top level includes."""
_WRITTEN: Final = "cache_creation_input_tokens"
_SPLIT: Final = "cache_creation"
_LIFETIMES: Final = ("ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens")
_INPUT: Final = ("input_tokens", "cache_read_input_tokens", _WRITTEN)
_COUNTS: Final = frozenset({*_INPUT, "output_tokens"})
_DIGITS: Final = re.compile(r"(\d{1,11})(?:\.0*)?")


def count(v: object) -> int | None:
    """A number of tokens; None if the value is none. Some servers send 1000.0 or "1000"."""
    if type(v) is float and v.is_integer():
        v = int(v)
    elif type(v) is str:
        found = _DIGITS.fullmatch(v) if v.isascii() else None
        v = int(found[1]) if found else None
    return v if type(v) is int and 0 <= v <= _MAX_TOKENS else None


def merged_usage(earlier: Mapping[str, Any], later: Mapping[str, Any]) -> dict[str, Any]:
    """The later report of a usage on top of an earlier one.

    Counts become integers; a value that is not a count changes nothing.
    """
    new = {key: value for key, value in later.items() if value is not None and key not in _COUNTS and key != _SPLIT}
    counts = {key: n for key in _COUNTS if (n := count(later.get(key))) is not None}
    if split := _split(later):
        new[_SPLIT] = _split(earlier) | split
        counts.setdefault(_WRITTEN, sum(new[_SPLIT].values()))
    if earlier and 0 in counts.values():
        _keep_unaccounted(earlier, later, counts)
        if _WRITTEN not in counts:
            new.pop(_SPLIT, None)
    return {**earlier, **new, **counts}


def _split(report: Mapping[str, Any]) -> dict[str, int]:
    """The cache writes by their lifetime, as far as the report has them."""
    split = report.get(_SPLIT)
    parts = split.items() if isinstance(split, dict) else ()
    return {key: n for key, value in parts if key in _LIFETIMES and (n := count(value)) is not None}


def _keep_unaccounted(earlier: Mapping[str, Any], later: Mapping[str, Any], counts: dict[str, int]) -> None:
    """Drop each 0 that would erase a count without accounting for its tokens."""
    before = {key: count(earlier.get(key)) or 0 for key in _COUNTS}
    after = sum(counts.get(key, before[key]) for key in _INPUT) + _beside(later.get("iterations"))
    accounted = after >= sum(before[key] for key in _INPUT)
    for key in [key for key, n in counts.items() if n == 0 and before[key]]:
        if key == "output_tokens" or not accounted:
            del counts[key]


def _beside(iterations: object) -> int:
    """The input tokens of the inferences that the top level does not include."""
    listed = iterations if isinstance(iterations, list) else ()
    beside = (one for one in listed if isinstance(one, dict) and one.get("type") not in SAMPLED)
    return sum(count(one.get(key)) or 0 for one in beside for key in _INPUT)
