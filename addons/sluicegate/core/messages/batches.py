"""The requests inside a batch.

A batch is a list of Messages requests that the provider works off later, at half the price (docs.anthropic.com, "Message
Batches").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import msgspec

from sluicegate.core.messages.facts import read_request

__all__ = ["BatchPart", "batch_parts"]


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


def batch_parts(body: bytes) -> tuple[BatchPart, ...] | None:
    """The requests of a batch; None if the body is not one."""
    try:
        entries = _DECODER.decode(body).requests
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None
    return tuple([_part(bytes(entry.params)) for entry in entries])


def _part(body: bytes) -> BatchPart:
    facts: Any = read_request(body)
    return BatchPart(facts.model if facts else None, facts.max_tokens if facts else None, body)
