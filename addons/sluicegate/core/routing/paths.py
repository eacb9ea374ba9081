"""What a request's path decides besides its format: which credential goes with it, and whether it can start a model."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["is_batch", "is_first_party_path", "may_start_models", "takes_our_keys"]

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_SEGMENTS: Final = r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*/?"
_FIRST_PARTY: Final = re.compile(rf"/|/api{_SEGMENTS}")
_NO_MODELS: Final = re.compile(rf"/(?:api|v1/files){_SEGMENTS}")
_BATCHES: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)*/v1/messages/batches/?")
_CANCELLING: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)*/v1/messages/batches/[A-Za-z0-9_-]+/cancel")


def takes_our_keys(door: str, *, inference: bool, path: str) -> bool:
    """Whether the gate's own key of a provider goes with a request to that provider.

    Through a proxy door only API calls get it; telemetry and account pages keep the client's own credential.
    """
    return door == "reverse" or inference or path.startswith("/v1/")


def may_start_models(method: str, path: str) -> bool:
    """Whether a request outside inference could start a model, judged by its path."""
    bare = _bare(path)
    return method.upper() not in _READING and not _NO_MODELS.fullmatch(bare) and not _CANCELLING.fullmatch(bare)


def is_batch(method: str, path: str) -> bool:
    """Whether this creates a batch. An oddly spelled path does not count as one; it still `may_start_models`."""
    return method.upper() == "POST" and _BATCHES.fullmatch(_bare(path)) is not None


def is_first_party_path(path: str) -> bool:
    """Whether a path concerns only the client itself (its settings, its telemetry) and shows nothing of others."""
    return _FIRST_PARTY.fullmatch(_bare(path)) is not None


def _bare(path: str) -> str:
    return path.partition("?")[0]
