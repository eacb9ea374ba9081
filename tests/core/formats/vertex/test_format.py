"""core/formats/vertex: a client of Vertex AI, in and out."""

from __future__ import annotations

import json

from sluicegate.core.formats.vertex.format import VERTEX, VERTEX_COUNT


def test_vertex_in_and_out() -> None:
    """A Messages request; the answer as it is."""
    path = "/v1/projects/p/locations/l/publishers/anthropic/models/m@1:rawPredict"
    request = VERTEX.decode_request(path, b'{"anthropic_version":"vertex-2023-10-16","max_tokens":5}', model="")
    assert json.loads(request.body) == {"max_tokens": 5, "model": "m@1"}
    assert request.encode_response(200, "text/event-stream", id="i", now_s=0).transform is None
    counted = VERTEX_COUNT.decode_request(path.replace("m@1", "count-tokens"), b'{"model":"m"}', model="")
    assert (counted.surface, json.loads(counted.body)) == ("count_tokens", {"model": "m"})
