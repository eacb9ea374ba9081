"""Vertex AI's rawPredict for Claude, to and from the Messages API: the model is in the path, the version is Vertex's own.

(docs.cloud.google.com, Vertex AI, "Claude: request predictions"; the model stays in the body where tokens are counted.)
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple
from urllib.parse import quote, unquote

from sluicegate.core.wire.json_object import edited, loads, top

__all__ = ["InPath", "from_messages", "path_for", "path_of", "read_path", "to_messages"]

VERSION: Final = "vertex-2023-10-16"
COUNT: Final = "count-tokens"

_PATH: Final = re.compile(r"/models/([^/]+):(rawPredict|streamRawPredict)/?$", re.IGNORECASE)


class InPath(NamedTuple):
    """The parts of a path: the model (`count-tokens` if tokens are counted) and the verb."""

    model: str
    verb: str

    @property
    def counts(self) -> bool:
        return self.model == COUNT


def read_path(path: str) -> InPath | None:
    """Read a path without regard to its query; None if it is not one of Vertex's."""
    found = _PATH.search(path.partition("?")[0])
    return InPath(unquote(found[1]), found[2]) if found else None


def path_of(project: str, location: str, model: str, *, stream: bool) -> str:
    """The path for a model; COUNT as the model counts tokens."""
    verb = "streamRawPredict" if stream else "rawPredict"
    place = f"/v1/projects/{quote(project, safe=':')}/locations/{quote(location, safe='')}"
    return f"{place}/publishers/anthropic/models/{quote(model, safe='@')}:{verb}"


def path_for(path: str, model: str) -> str:
    """The same path for another model. ValueError if it is not one of Vertex'."""
    found = _PATH.search(path.partition("?")[0])
    if found is None:
        raise ValueError("the path does not name a model")
    return path[: found.start(1)] + quote(model, safe="@") + path[found.end(1) :]


def from_messages(
    body: bytes, *, model: str | None = None, drop: tuple[str, ...] = (), version: str | None = None
) -> bytes:
    """A Messages request for Vertex; `model` only if tokens are counted. ValueError if the body is not an object."""
    put: dict[str, object] = {"anthropic_version": version or VERSION}
    if model is not None:
        put["model"] = model
    return edited(body, drop=drop if model is not None else ("model", *drop), put=put)


def to_messages(body: bytes, asked: InPath) -> bytes:
    """A Vertex request as a Messages request. ValueError if the body is not a JSON object."""
    fields = top(body) or {}
    put: dict[str, object] = {} if asked.counts else {"model": asked.model}
    if asked.verb.lower().startswith("stream") and loads(fields.get("stream", b"null")) is not True:
        put["stream"] = True
    return edited(body, drop=("anthropic_version",), put=put)
