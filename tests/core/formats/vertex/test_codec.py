"""core/formats/vertex/codec.py: Vertex AI's requests, to and from the Messages API."""

from __future__ import annotations

import json

import pytest

from sluicegate.core.formats.vertex.codec import (
    InPath,
    from_messages,
    path_of,
    read_path,
    to_messages,
)


def test_paths() -> None:
    """The model's @ stays; what a model's name may hold besides is encoded, and read back."""
    path = path_of("p", "us-east5", "claude-sonnet-4-5@20250929", stream=True)
    assert (
        path == "/v1/projects/p/locations/us-east5/publishers/anthropic/models/claude-sonnet-4-5@20250929:streamRawPredict"
    )
    assert read_path(path + "?alt=sse") == InPath("claude-sonnet-4-5@20250929", "streamRawPredict")
    assert read_path(path_of("p", "l", "a/b:c", stream=False)) == InPath("a/b:c", "rawPredict")
    assert read_path("/v1/projects/p/locations/l/publishers/google/models/gemini:generateContent") is None
    assert ".." not in path_of("p", "l", "../../x", stream=False).replace("..%2F", "")


def test_towards_vertex() -> None:
    """The model goes, except where tokens are counted; stream stays."""
    body = b'{"model":"m","stream":true,"x":1.0}'
    assert from_messages(body) == b'{"stream":true,"x":1.0,"anthropic_version":"vertex-2023-10-16"}'
    assert json.loads(from_messages(body, model="n"))["model"] == "n"


@pytest.mark.parametrize(("verb", "stream"), [("rawPredict", None), ("streamRawPredict", True)])
def test_from_a_client_of_vertex(verb: str, stream: bool | None) -> None:
    """The model comes from the path, and streaming too, where the body does not say it."""
    body = to_messages(b'{"anthropic_version":"vertex-2023-10-16","x":1}', InPath("m", verb))
    assert json.loads(body) == {"x": 1, "model": "m", **({"stream": True} if stream else {})}


def test_counting_keeps_the_model_in_the_body() -> None:
    """There the path has no model."""
    assert to_messages(b'{"model":"m"}', InPath("count-tokens", "rawPredict")) == b'{"model":"m"}'
