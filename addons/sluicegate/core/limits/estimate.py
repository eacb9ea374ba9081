"""What a call may use, before it is made: tokens in by the size of its body, tokens out by what came before."""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from functools import partial
from typing import Final, NamedTuple

from sluicegate.core.limits.counters import Charge, Counter, Unit
from sluicegate.core.messages.usage import Usage

__all__ = ["Amounts", "History", "charges", "input_tokens", "most_input_tokens", "used_tokens"]

WORST_OUTPUT_TOKENS: Final = 128_000
"""What is reserved in strict mode for a request that sets no max_tokens."""
_BYTES_PER_TOKEN: Final = 4
_IMAGE_TOKENS: Final = 1_600
"""A full-size image (docs.anthropic.com, "Vision"); its bytes in base64 say nothing of its tokens."""
_MOST_IMAGE_TOKENS: Final = 5_000
_PROMPT_TOKENS: Final = 1_000
"""What providers add by themselves for tools and the like, at most a few hundred tokens a feature."""
_BASE64: Final = re.compile(rb'"data"\s*:\s*"([A-Za-z0-9+/=\\]{512,})"')
_charge: Final[Callable[[tuple[Counter, int]], Charge]] = partial(tuple.__new__, Charge)
_SAMPLES: Final = 64
_MOST_PAIRS: Final = 2_000


class Amounts(NamedTuple):
    """What a call uses of each unit. `input_tokens`: without reads from the cache."""

    requests: int = 1
    input_tokens: int = 0
    output_tokens: int = 0
    nano_usd: int = 0
    concurrency: int = 1

    @property
    def tokens(self) -> int:
        return self.input_tokens + self.output_tokens


def charges(counters: Iterable[Counter], amounts: Amounts) -> tuple[Charge, ...]:
    """What these counters are charged for it."""
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
    """About how many tokens a request body is: a token for four bytes, a full image for each one in base64."""
    size = len(body)
    images = 0
    if b'"base64"' in body:
        for found in _BASE64.finditer(body):
            size -= len(found[1])
            images += 1
    return -(-size // _BYTES_PER_TOKEN) + images * _IMAGE_TOKENS


def most_input_tokens(body: bytes) -> int:
    """As many tokens as a request body can be: none is shorter than a byte. What it only refers to is not known."""
    return len(body) + _PROMPT_TOKENS + body.count(b'"base64"') * _MOST_IMAGE_TOKENS


def used_tokens(usage: Usage) -> tuple[int, int]:
    """Tokens in (without reads from the cache) and out of a finished call, everything that is billed with it included."""
    if not usage.iterations:
        return usage.input_tokens + usage.cache_write_5m_tokens + usage.cache_write_1h_tokens, usage.output_tokens
    parts = (usage, *(part for _, part in usage.iterations))
    read = sum(u.input_tokens + u.cache_write_5m_tokens + u.cache_write_1h_tokens for u in parts)
    return read, sum(u.output_tokens for u in parts)


class History:
    """How long the latest answers were, by key and model."""

    def __init__(self) -> None:
        self._latest: OrderedDict[tuple[str, str], deque[int]] = OrderedDict()
        self._p95: dict[tuple[str, str], int] = {}

    def add(self, key_id: str, model: str, output_tokens: int) -> None:
        """A whole answer was so long."""
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
        """The length that 95 of 100 answers did not exceed; None while there was none."""
        return self._p95.get((key_id, model))
