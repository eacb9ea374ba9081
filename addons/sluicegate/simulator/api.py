"""The endpoints: from a request to its reply."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qs, unquote

import msgspec

from sluicegate.simulator import models, wire
from sluicegate.simulator.answers import answer
from sluicegate.simulator.behaviour import (
    Behaviour,
    BehaviourError,
    base_model,
    behaviour,
    header_knobs,
    model_knobs,
)
from sluicegate.simulator.bill import Bill
from sluicegate.simulator.calls import Call, CallLog
from sluicegate.simulator.connection import Plan
from sluicegate.simulator.control import Control
from sluicegate.simulator.dialects import MESSAGES, Dialect, dialect_of
from sluicegate.simulator.dialects.base import JSON, AnswerContext, Glance
from sluicegate.simulator.errors import NativeError, invalid
from sluicegate.simulator.prompt import prompt_blocks
from sluicegate.simulator.prompt_cache import PromptCache
from sluicegate.simulator.ratelimits import RateLimits
from sluicegate.simulator.script import Asked, Script
from sluicegate.simulator.steps import Upgrade
from sluicegate.simulator.thinking import Signer
from sluicegate.simulator.transmit import Reply, Transmission
from sluicegate.simulator.validation import check, decode
from sluicegate.simulator.websocket import EchoStream, accept_key

ORGANIZATION_ID = "51a7e000-0000-4000-8000-000000000001"

type Endpoint = Literal["models", "hello", "echo", "ws", "unknown"]


@dataclass(slots=True)
class Api:
    """All the state of one simulator, and `handle`, which a connection calls for every request."""

    clock: Callable[[], float]
    require_auth: bool
    signer: Signer
    release: Callable[[], int] = int
    """Ends the pauses of all answers and returns their number."""
    log: CallLog = field(default_factory=CallLog)
    bill: Bill = field(default_factory=Bill)
    script: Script = field(default_factory=Script)
    cache: PromptCache = field(init=False)
    limits: RateLimits = field(init=False)
    control: Control = field(init=False)

    def __post_init__(self) -> None:
        self.cache = PromptCache(self.clock)
        self.limits = RateLimits(self.clock)
        self.control = Control(self.log, self.bill, self.script, self.release)

    def handle(self, request: wire.Request) -> Plan:
        """The steps of the answer; every request gets one."""
        controlled = self.control.plan(request)
        if controlled is not None:
            return controlled
        credential = credential_of(request.fields)
        call = self.log.open(request, credential, self.clock())
        request_id = f"req_sim{call.number:017d}"
        knobs = Behaviour()
        dialect = dialect_of(request) or MESSAGES
        asks = dialect.takes(request) and request.method == "POST"
        try:
            asked = _lenient(request.body) if asks else {}
            glance = dialect.glance(request, asked) if asks else Glance("", False)
            call.model = glance.model
            knobs = self._knobs(request, call, glance.stream)
            reply = self._scripted(knobs, glance.stream, call, dialect, request_id)
            if reply is None:
                reply = self._asked(dialect, request, call, knobs) if asks else self._reply(request, call)
        except NativeError as error:
            reply = Reply(*dialect.error(error, request_id))
        headers = [*reply.headers, *dialect.headers(request_id)]
        if dialect.native:
            headers += self._native_headers(request_id, credential)
        headers += knobs.headers.items()
        reply = Reply(reply.status, headers, reply.body, reply.events, reply.upgrade)
        keep_alive = request.keep_alive and not knobs.close
        if request.http_1_0 and reply.events is not None:
            keep_alive = False
        return Plan(Transmission(reply, knobs, request, call, request_id, dialect).steps(), keep_alive, call)

    def settle(self, call: Call, outcome: str) -> None:
        """The call has ended: charge what was sent and close its record."""
        tokens = call.tokens
        if tokens is not None and call.answered:
            call.input_tokens = tokens.total
            call.cost_usd = self.bill.charge(call.model, call.credential, tokens, call.output_tokens)
            self.limits.count(call.credential, tokens.total, call.output_tokens)
        else:
            call.output_tokens = 0
        self.log.close(call, outcome, self.clock())

    def _knobs(self, request: wire.Request, call: Call, stream: bool) -> Behaviour:
        """The knobs, by precedence: script, header, model name."""
        layers: list[Mapping[str, Any]] = []
        scripted = self.script.take(Asked(request.method, request.path, call.model, call.credential, stream))
        try:
            if "+" in call.model:
                layers.append(model_knobs(call.model))
                call.model = base_model(call.model)
            if header := request.fields.get("x-sim"):
                layers.append(header_knobs(header))
            if scripted is not None:
                layers.append(scripted)
            merged: dict[str, Any] = {}
            for layer in layers:
                merged.update(layer)
            return behaviour(merged)
        except BehaviourError as error:
            raise invalid(f"simulator: {error}") from None

    def _scripted(self, knobs: Behaviour, stream: bool, call: Call, dialect: Dialect, request_id: str) -> Reply | None:
        """The reply of a call that fails before any check of its body."""
        status = knobs.status
        if status is None and knobs.fault == "error" and not stream:
            status = 529
        if status is None:
            return None
        call.fault = "fault:status"
        if knobs.body is not None:
            return Reply(status, [("content-type", knobs.content_type)], knobs.body.encode())
        return Reply(*dialect.error(NativeError(status, knobs.error_message, knobs.error_type), request_id))

    def _reply(self, request: wire.Request, call: Call) -> Reply:
        if request.too_large:
            raise NativeError(413, "Request exceeds the maximum size")
        match endpoint_of(request):
            case "models":
                MESSAGES.admit(request, call.credential, required=self.require_auth)
                return _models(request)
            case "hello":
                return Reply(200, [("content-type", "text/plain")])
            case "echo":
                return _echo(request)
            case "ws":
                return _websocket(request)
            case "unknown":
                raise NativeError(404, "Not Found")

    def _asked(self, dialect: Dialect, request: wire.Request, call: Call, knobs: Behaviour) -> Reply:
        """The answer to a request for a message or a count, in its wire format."""
        if request.too_large:
            raise NativeError(413, "Request exceeds the maximum size")
        dialect.admit(request, call.credential, required=self.require_auth)
        asked = decode(request.body)
        body = dialect.read(request, asked)
        counts = dialect.counts(request)
        check(body, needs_max_tokens=not counts, any_model=dialect.any_model)
        if counts:
            count = sum(block.tokens for block in prompt_blocks(body))
            return Reply(200, list(JSON), dialect.count(knobs.usage.get("input_tokens", count)))
        self.signer.check(body)
        tokens = dialect.account(self.cache.account(call.credential, call.model, prompt_blocks(body)))
        digest = hashlib.sha256(request.body).hexdigest()
        context = AnswerContext(answer(body, digest, tokens, knobs, self.signer), asked, knobs, self.clock())
        call.tokens = context.answer.tokens
        if dialect.glance(request, asked).stream:
            return Reply(200, list(dialect.stream_headers), events=dialect.events(context))
        call.output_tokens = context.answer.output_tokens
        return Reply(200, list(JSON), dialect.whole(context))

    def _native_headers(self, request_id: str, credential: str) -> list[tuple[str, str]]:
        identity = [("request-id", request_id), ("anthropic-organization-id", ORGANIZATION_ID)]
        return identity + self.limits.headers(credential)


def credential_of(fields: Mapping[str, str]) -> str:
    """The key or token of the request, or the access key of its signature; x-api-key takes precedence; "" without one."""
    key = fields.get("x-api-key")
    if key:
        return key
    scheme, _, token = fields.get("authorization", "").partition(" ")
    if scheme == "AWS4-HMAC-SHA256":
        return token.partition("Credential=")[2].partition("/")[0]
    return token.strip() if scheme.lower() == "bearer" else ""


def endpoint_of(request: wire.Request) -> Endpoint:
    """The endpoint of other requests, by method and end of path, so that a base URL may have a path."""
    path = request.path
    if path.endswith("/_sim/echo"):
        return "echo"
    if request.method in ("GET", "HEAD"):
        if path.endswith("/v1/models") or "/v1/models/" in path:
            return "models"
        if path.endswith("/_sim/ws"):
            return "ws"
        if path.endswith("/api/hello") or (path == "/" and request.method == "HEAD"):
            return "hello"
    return "unknown"


def _lenient(body: bytes) -> dict[str, Any]:
    """The body for the script and the knobs; validation reports its errors later."""
    with suppress(NativeError):
        return decode(body)
    return {}


def _json(value: Any) -> Reply:
    return Reply(200, list(JSON), msgspec.json.encode(value))


def _models(request: wire.Request) -> Reply:
    _, _, model_id = request.path.partition("/v1/models/")
    if model_id:
        for row in models.MODELS:
            if row[0] == unquote(model_id):
                return _json(models.entry(row))
        raise NativeError(404, f"model: {unquote(model_id)}")
    limit = parse_qs(request.query).get("limit", ["20"])[0]
    if not limit.isdigit() or not 1 <= int(limit) <= 1000:
        raise invalid("limit: Input should be between 1 and 1000")
    return _json(models.listing(int(limit)))


def _echo(request: wire.Request) -> Reply:
    return _json(
        {
            "method": request.method,
            "path": request.path,
            "query": request.query,
            "headers": request.headers,
            "body_bytes": len(request.body),
            "body_sha256": hashlib.sha256(request.body).hexdigest(),
        }
    )


def _websocket(request: wire.Request) -> Reply:
    key = request.fields.get("sec-websocket-key")
    if not key or request.fields.get("upgrade", "").lower() != "websocket":
        raise NativeError(426, "a WebSocket upgrade is expected here")
    headers = [("upgrade", "websocket"), ("connection", "Upgrade"), ("sec-websocket-accept", accept_key(key))]
    return Reply(101, headers, upgrade=Upgrade(EchoStream()))
