"""The proxy between the gate and the providers (`--mode upstream:`, `providers.X.proxy`)."""

from __future__ import annotations

from typing import Literal

__all__ = ["Via"]


Via = tuple[Literal["http", "https"], tuple[str, int]]
