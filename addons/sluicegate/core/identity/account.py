"""Paths of a provider's API that are no inference: which of them may start a model, and what a batch asks for.

A batch is a list of Messages requests that the provider works off later, at half the price (docs.anthropic.com, "Message
Batches"). What else a provider keeps in an account (files, batches and their results) is reached by its id, or listed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sluicegate.core.messages.facts import read_request

__all__ = ["BatchPart", "batch_parts", "is_batch", "is_own_affair", "may_start_models"]

_READING: Final = frozenset({"GET", "HEAD", "OPTIONS", "DELETE"})
_SEGMENTS: Final = r"(?:/[A-Za-z0-9_][A-Za-z0-9_.-]*)*/?"
_OWN_AFFAIRS: Final = re.compile(rf"/|/api{_SEGMENTS}")
_NO_MODELS: Final = re.compile(rf"/(?:api|v1/files){_SEGMENTS}")
_BATCHES: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)*/v1/messages/batches/?")
_STEERING: Final = re.compile(r"(?:/[A-Za-z0-9_-]+)*/v1/messages/batches/[A-Za-z0-9_-]+/cancel")


@dataclass(frozen=True, slots=True)
class BatchPart:
    """One request of a batch. `body`: its `params`, as JSON."""

    model: str | None
    max_tokens: int | None
    body: bytes


class _Entry(msgspec.Struct):
    params: msgspec.Raw


class _Batch(msgspec.Struct):
    requests: list[_Entry]


_DECODER: Final = msgspec.json.Decoder(_Batch)


def is_batch(method: str, path: str) -> bool:
    """Whether this makes a batch. A path that is spelled oddly is none, but one that `may_start_models`."""
    return method.upper() == "POST" and _BATCHES.fullmatch(_bare(path)) is not None


def may_start_models(method: str, path: str) -> bool:
    """Whether a request on a path that is no inference could start a model, for all that is known of it."""
    bare = _bare(path)
    return method.upper() not in _READING and not _NO_MODELS.fullmatch(bare) and not _STEERING.fullmatch(bare)


def is_own_affair(path: str) -> bool:
    """Whether a path is about the client itself (its settings, its telemetry) and shows nothing of others."""
    return _OWN_AFFAIRS.fullmatch(_bare(path)) is not None


def batch_parts(body: bytes) -> tuple[BatchPart, ...] | None:
    """The requests of a batch; None for what is none."""
    try:
        entries = _DECODER.decode(body).requests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return tuple([_part(bytes(entry.params)) for entry in entries])


def _part(body: bytes) -> BatchPart:
    facts: Any = read_request(body)
    return BatchPart(facts.model if facts else None, facts.max_tokens if facts else None, body)


def _bare(path: str) -> str:
    return path.partition("?")[0]
