"""HTTP header fields as on the wire: pairs of name and value in bytes, in order, names in their original case."""

from __future__ import annotations

__all__ = ["HeaderFields"]

HeaderFields = tuple[tuple[bytes, bytes], ...]
