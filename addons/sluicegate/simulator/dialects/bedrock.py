"""Amazon Bedrock's InvokeModel for Claude: the model in the path, binary frames, exceptions by name.

https://docs.aws.amazon.com/bedrock/latest/userguide/model-parameters-anthropic-claude-messages.html
"""

from __future__ import annotations

import base64
import re
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from sluicegate.core.wire.eventstream import CONTENT_TYPE, encode_frame, frame_of_event
from sluicegate.simulator import events, wire
from sluicegate.simulator.dialects.base import (
    JSON,
    AnswerContext,
    Events,
    Glance,
    Headers,
)
from sluicegate.simulator.errors import NativeError, invalid
from sluicegate.simulator.prompt_cache import InputTokens
from sluicegate.simulator.validation import decode

VERSION: Final = "bedrock-2023-05-31"
VERSIONS: Final = (VERSION, "2026-10-21")
"""The second one is what Anthropic's SDKs send since 2.14."""
MAX_BODY_BYTES: Final = 20 * 1024 * 1024
_STREAM_HEADERS: Final = [("content-type", CONTENT_TYPE), ("x-amzn-bedrock-content-type", "application/json")]
_PATH: Final = re.compile(r"/model/([^/]+)/(invoke|invoke-with-response-stream|count-tokens)$")
_SIGNED: Final = re.compile(
    r"AWS4-HMAC-SHA256 Credential=\w+/\d{8}/[a-z0-9-]+/bedrock/aws4_request, "
    r"SignedHeaders=([a-z0-9;-]+), Signature=[0-9a-f]{64}"
)
_EXCEPTIONS: Final[dict[int, tuple[int, str]]] = {
    400: (400, "ValidationException"),
    401: (403, "AccessDeniedException"),
    403: (403, "AccessDeniedException"),
    404: (404, "ResourceNotFoundException"),
    408: (408, "ModelTimeoutException"),
    413: (413, "RequestEntityTooLargeException"),
    424: (424, "ModelErrorException"),
    429: (429, "ThrottlingException"),
    500: (500, "InternalServerException"),
    504: (408, "ModelTimeoutException"),
    503: (503, "ServiceUnavailableException"),
    529: (503, "ServiceUnavailableException"),
}
"""An error's status → Bedrock's own, and its exception."""
_BETAS: Final = re.compile(
    r"(computer-use|token-efficient-tools|fine-grained-tool-streaming|interleaved-thinking|output-128k|dev-full-thinking"
    r"|context-1m|context-management|effort|compact|tool-search-tool|tool-examples|structured-outputs"
    r"|thinking-binding-controls)-\d{4}-\d\d-\d\d|claude-code-20250219"
)


class Bedrock:
    native = False
    any_model = False
    stream_headers = _STREAM_HEADERS

    def takes(self, request: wire.Request) -> bool:
        return _PATH.search(request.path) is not None

    def counts(self, request: wire.Request) -> bool:
        return request.path.endswith("/count-tokens")

    def glance(self, request: wire.Request, asked: dict[str, Any]) -> Glance:
        found = _PATH.search(request.path)
        return Glance(unquote(found[1]) if found else "", request.path.endswith("-stream"))

    def admit(self, request: wire.Request, credential: str, *, required: bool) -> None:
        """Bedrock always requires a signature, or an API key as Bearer."""
        given = request.fields.get("authorization", "")
        if given.startswith("Bearer ") and credential not in ("", "invalid"):
            return
        signed = _SIGNED.fullmatch(given)
        if signed is None:
            raise NativeError(403, "Missing Authentication Token" if not given else "The security token is invalid.")
        names = set(signed[1].split(";"))
        temporary = "x-amz-security-token" in request.fields
        if not {"host", "x-amz-date"} <= names or "x-amz-date" not in request.fields:
            raise NativeError(403, "The signature covers neither the host nor the date.")
        if temporary and "x-amz-security-token" not in names:
            raise NativeError(403, "The signature does not cover the session token.")

    def read(self, request: wire.Request, asked: dict[str, Any]) -> dict[str, Any]:
        if len(request.body) > MAX_BODY_BYTES:
            raise NativeError(413, "The request is larger than 20 MB.")
        if self.counts(request):
            asked = _inner(asked)
        if asked.get("anthropic_version") not in VERSIONS:
            raise invalid(f"anthropic_version: Input should be '{VERSION}'")
        for name in ("model", "stream", "cache_control"):
            if name in asked:
                raise invalid(f"{name}: Extra inputs are not permitted")
        betas = asked.get("anthropic_beta", [])
        if not isinstance(betas, list) or not all(isinstance(beta, str) and _BETAS.fullmatch(beta) for beta in betas):
            raise invalid("invalid beta flag")
        return {**asked, "model": _bare(self.glance(request, asked).model)}

    def account(self, tokens: InputTokens) -> InputTokens:
        return tokens

    def count(self, tokens: int) -> bytes:
        return msgspec.json.encode({"inputTokens": tokens})

    def whole(self, context: AnswerContext) -> bytes:
        return msgspec.json.encode(context.answer.message())

    def events(self, context: AnswerContext) -> Events:
        """Frames around the events; there are no pings."""
        for event, spent in events.events(context.answer, context.knobs.events):
            if event != events.PING:
                yield frame_of_event(event.partition(b"\ndata: ")[2].rstrip(b"\n")), spent

    def headers(self, request_id: str) -> Headers:
        return [("x-amzn-requestid", request_id)]

    def error(self, error: NativeError, request_id: str) -> tuple[int, Headers, bytes]:
        status, name = _EXCEPTIONS.get(error.status, (error.status, "InternalServerException"))
        headers = [*JSON, ("x-amzn-errortype", f"{name}:http://internal.amazon.com/coral/com.amazon.bedrock/")]
        return status, headers, msgspec.json.encode({"message": error.message})

    def error_event(self, error: NativeError, request_id: str) -> bytes:
        name = _EXCEPTIONS.get(error.status, (0, "internalServerException"))[1]
        headers = {
            ":exception-type": name[0].lower() + name[1:],
            ":content-type": "application/json",
            ":message-type": "exception",
        }
        return encode_frame(headers, msgspec.json.encode({"message": error.message}))


def _bare(model: str) -> str:
    """A model's own name, as its answers have it: without region, vendor and version of the id."""
    return re.sub(r"^(?:.*/)?(?:[a-z]+\.)?anthropic\.|-v\d+:\d+(?=\+|$)", "", model)


def _inner(asked: dict[str, Any]) -> dict[str, Any]:
    """The body within a CountTokens request."""
    try:
        return decode(base64.b64decode(asked["input"]["invokeModel"]["body"], validate=True))
    except (KeyError, TypeError, ValueError):
        raise invalid("input.invokeModel.body: base64 of a request's body is expected") from None
