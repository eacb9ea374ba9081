"""How many tokens a request may be, told from its bytes alone: good enough to see that it can not fit."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["fits", "least_tokens"]

BYTES_PER_TOKEN: Final = 5
"""More than text, code or JSON take on average (3 to 4.5): the estimate stays on the low side."""
IMAGE_TOKENS: Final = 1_000
"""An image takes width × height / 750 tokens, 1,600 at most (docs.anthropic.com, "Vision")."""

_ENCODED: Final = re.compile(rb'"data"\s*:\s*"[A-Za-z0-9+/=_-]{256,}+"')


def least_tokens(body: bytes) -> int:
    """A low estimate of the prompt's tokens: images and files count by piece, the rest by its bytes."""
    if b'"data"' not in body:
        return len(body) // BYTES_PER_TOKEN
    rest, pieces = _ENCODED.subn(b"", body)
    return len(rest) // BYTES_PER_TOKEN + pieces * IMAGE_TOKENS


def fits(body: bytes, max_tokens: int | None, window: int | None) -> bool:
    """Whether a prompt and its answer may fit into a model's window; True where the window is not known."""
    return window is None or least_tokens(body) + (max_tokens or 0) <= window
