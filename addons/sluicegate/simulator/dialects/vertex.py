"""Google Vertex AI's rawPredict for Claude: the model in the path, Google's errors, the stream as the Messages API has it.

https://docs.cloud.google.com/vertex-ai/generative-ai/docs/partner-models/claude/use-claude
"""

from __future__ import annotations

import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from sluicegate.simulator import wire
from sluicegate.simulator.dialects.base import JSON, Glance, Headers
from sluicegate.simulator.dialects.messages import Messages
from sluicegate.simulator.errors import NativeError, invalid

VERSION: Final = "vertex-2023-10-16"
VERSIONS: Final = (VERSION, "2026-10-21")
"""The second one is what Anthropic's SDKs send since 2.14."""
MAX_BODY_BYTES: Final = 30 * 1024 * 1024
_PATH: Final = re.compile(
    r"/v1/projects/[^/]+/locations/[^/]+/publishers/anthropic/models/([^/:]+):(rawPredict|streamRawPredict)$"
)
_STATUS: Final[dict[int, tuple[int, str]]] = {
    400: (400, "INVALID_ARGUMENT"),
    401: (401, "UNAUTHENTICATED"),
    403: (403, "PERMISSION_DENIED"),
    404: (404, "NOT_FOUND"),
    413: (400, "INVALID_ARGUMENT"),
    429: (429, "RESOURCE_EXHAUSTED"),
    500: (500, "INTERNAL"),
    503: (503, "UNAVAILABLE"),
    504: (504, "DEADLINE_EXCEEDED"),
    529: (503, "UNAVAILABLE"),
}
"""An error's status → Google's own, and its name."""


class Vertex(Messages):
    native = False

    def takes(self, request: wire.Request) -> bool:
        return _PATH.search(request.path) is not None

    def counts(self, request: wire.Request) -> bool:
        return request.path.endswith("/count-tokens:rawPredict")

    def glance(self, request: wire.Request, asked: dict[str, Any]) -> Glance:
        found = _PATH.search(request.path)
        named = str(asked.get("model") or "") if self.counts(request) else unquote(found[1]) if found else ""
        return Glance(named, bool(asked.get("stream")))

    def admit(self, request: wire.Request, credential: str, *, required: bool) -> None:
        bearer = request.fields.get("authorization", "").startswith("Bearer ")
        if credential == "invalid" or not bearer or not credential:
            raise NativeError(401, "Request had invalid authentication credentials.")

    def read(self, request: wire.Request, asked: dict[str, Any]) -> dict[str, Any]:
        if len(request.body) > MAX_BODY_BYTES:
            raise NativeError(413, "Request payload size exceeds the limit: 31457280 bytes.")
        if asked.get("anthropic_version") not in VERSIONS:
            raise invalid(f"anthropic_version: Input should be '{VERSION}'")
        if "anthropic_beta" in asked:
            raise invalid("anthropic_beta: Extra inputs are not permitted")
        if self.counts(request):
            return asked
        if "model" in asked:
            raise invalid("model: Extra inputs are not permitted")
        if bool(asked.get("stream")) != request.path.endswith(":streamRawPredict"):
            raise invalid("stream: true belongs to streamRawPredict, and only there")
        return {**asked, "model": self.glance(request, asked).model.replace("@", "-")}

    def headers(self, request_id: str) -> Headers:
        return [("request-id", request_id), ("x-vertex-ai-internal-prediction-backend", "simulator")]

    def error(self, error: NativeError, request_id: str) -> tuple[int, Headers, bytes]:
        status, name = _STATUS.get(error.status, (error.status, "UNKNOWN"))
        document = {"error": {"code": status, "message": error.message, "status": name}}
        return status, list(JSON), msgspec.json.encode(document)
