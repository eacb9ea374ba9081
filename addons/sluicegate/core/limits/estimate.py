"""Predicts what a call uses: input tokens from the size of its body, output tokens from earlier answers."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from sluicegate.core.limits.counters import Charge, Counter, Unit
from sluicegate.core.messages.usage import Usage

__all__ = ["Amounts", "History", "charges", "input_tokens", "most_input_tokens", "output_tokens", "used_tokens"]

WORST_OUTPUT_TOKENS: Final = 128_000
"""Reserved in strict mode for a request without max_tokens."""
_BYTES_PER_TOKEN: Final = 4
_IMAGE_TOKENS: Final = 1_600
"""A full-size image (docs.anthropic.com, "Vision"); the size of its base64 does not tell its tokens."""
_MOST_IMAGE_TOKENS: Final = 5_000
_PROMPT_TOKENS: Final = 1_000
"""Upper bound of the system prompt that providers add for tools and other features, a few hundred tokens each."""
_BASE64: Final = re.compile(rb'"data"\s*:\s*"([A-Za-z0-9+/=\\]{512,})"')
_charge: Final[Callable[[tuple[Counter, int]], Charge]] = partial(tuple.__new__, Charge)
_SAMPLES: Final = 64
_MOST_PAIRS: Final = 2_000


class Amounts(NamedTuple):
    """Usage of one call by unit. `input_tokens` excludes cache reads."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0
    concurrency: int = 1

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def charges(counters: Iterable[Counter], amounts: Amounts) -> tuple[Charge, ...]:
    """The charge to each of these counters."""
    a = amounts
    of: dict[Unit, int] = {
        "requests": a.requests,
        "input_tokens": a.input_tokens,
        "output_tokens": a.output_tokens,
        "tokens": a.input_tokens + a.output_tokens,
        "nano_usd": a.nano_usd,
        "concurrency": a.concurrency,
    }
    return tuple([_charge((counter, of[counter.unit])) for counter in counters])


def input_tokens(body: bytes) -> int:
    """Estimated tokens of a request body: one for four bytes, and a full-size image for each one in base64."""
    size = len(body)
    images = 0
    if b'"base64"' in body:
        for found in _BASE64.finditer(body):
            size -= len(found[1])
            images += 1
    return -(-size // _BYTES_PER_TOKEN) + images * _IMAGE_TOKENS


def output_tokens(events: int, document_bytes: int, most: int | None) -> int:
    """Estimated tokens of an answer: one for an event of a stream, one for four bytes of JSON; `most` is max_tokens."""
    tokens = events or -(-document_bytes // _BYTES_PER_TOKEN)
    return min(tokens, most) if most and most > 0 else tokens


def most_input_tokens(body: bytes) -> int:
    """Upper bound of a request body's tokens: a token has at least one byte. Files and URLs in it are not counted."""
    return len(body) + _PROMPT_TOKENS + body.count(b'"base64"') * _MOST_IMAGE_TOKENS


def used_tokens(usage: Usage) -> tuple[int, int]:
    """Input tokens (without cache reads) and output tokens of a finished call, with everything that is billed with it."""
    if not usage.iterations:
        return usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens, usage.output_tokens
    parts = (usage, *(part for _, part in usage.iterations))
    read = sum(u.input_tokens + u.cache_write_5m_tokens + u.cache_write_1h_tokens for u in parts)
    return read, sum(u.output_tokens for u in parts)


class History:
    """Output tokens of the latest answers, by key and model."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()
        self._p95: dict[tuple[str, str], int] = {}

    def add(self, key_id: str, model: str, output_tokens: int) -> None:
        """Record the length of a complete answer."""
        pair = (key_id, model)
        latest = self._latest.get(pair)
        if latest is None:
            if len(self._latest) >= _MOST_PAIRS:
                oldest, _ = self._latest.popitem(last=False)
                del self._p95[oldest]
            latest = self._latest[pair] = deque(maxlen=_SAMPLES)
        else:
            self._latest.move_to_end(pair)
        latest.append(output_tokens)
        ordered = sorted(latest)
        self._p95[pair] = ordered[-(-len(ordered) * 95 // 100) - 1]

    def p95(self, key_id: str, model: str) -> int | None:
        """The 95th percentile of their lengths; None without any."""
        return self._p95.get((key_id, model))
