"""The proxy between the gate and the providers (`--mode upstream:`, `providers.X.proxy`)."""

from __future__ import annotations

from typing import Literal

__all__ = ["UpstreamProxy"]


UpstreamProxy = tuple[Literal["http", "https"], tuple[str, int]]
"""Its scheme, and its host and port."""
