"""Estimate a request's tokens from its bytes alone: good enough to see that it cannot fit."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["fits", "least_tokens"]

BYTES_PER_TOKEN: Final = 5
"""Bytes per token, more than the average of text, code or JSON (3 to 4.5), so that the estimate is low."""
IMAGE_TOKENS: Final = 1_000
"""An image takes width × height / 750 tokens, 1,600 at most (docs.anthropic.com, "Vision")."""

_ENCODED: Final = re.compile(rb'"data"\s*:\s*"[A-Za-z0-9+/=_-]{256,}+"')


def least_tokens(body: bytes) -> int:
    """A low estimate of the prompt's tokens: images and files count by number, the rest by bytes."""
    if b'"data"' not in body:
        return len(body) // BYTES_PER_TOKEN
    rest, pieces = _ENCODED.subn(b"", body)
    return len(rest) // BYTES_PER_TOKEN + pieces * IMAGE_TOKENS


def fits(body: bytes, max_tokens: int | None, window: int | None) -> bool:
    """Whether a prompt and its response may fit into a model's context window; True if the window is unknown."""
    return window is None or least_tokens(body) + (max_tokens or 0) <= window
