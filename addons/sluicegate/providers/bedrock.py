"""Amazon Bedrock: InvokeModel for Claude. Binary streams, betas in the body, signatures or API keys."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Final

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused
from sluicegate.core.formats.bedrock import codec as bedrock
from sluicegate.core.formats.buffered import BufferedTransform
from sluicegate.core.formats.cloud_errors import (
    Verdict,
    aws_kind,
    document,
    of_aws,
)
from sluicegate.core.formats.messages.attribution import without_attribution
from sluicegate.core.formats.messages.cache_marks import rewritten
from sluicegate.core.messages.thinking import without_unsigned_thinking
from sluicegate.core.wire.eventstream import CONTENT_TYPE, MessagesFromFrames
from sluicegate.core.wire.json_object import top
from sluicegate.providers.auth import aws
from sluicegate.providers.auth.held_keys import no_credential
from sluicegate.providers.base import (
    Credential,
    Origin,
    ProviderRequest,
    ProviderSurface,
    ResponsePlan,
    UpstreamRequest,
    is_loopback,
    origin_of,
)
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.plain import plain_fields
from sluicegate.providers.quirks import BEDROCK

__all__ = ["Bedrock"]

_AWS: Final = (".amazonaws.com", ".amazonaws.com.cn", ".api.aws")


class Bedrock:
    kind = "bedrock"
    pings = BEDROCK.pings
    takes_untranslated: frozenset[ProviderSurface] = frozenset()
    models_path: str | None = None
    warning: str | None = None

    def __init__(self, context: ProviderContext) -> None:
        self.name = context.name
        self._region = context.settings.region or ""
        self._origin = origin_of(context.settings.resolved_base_url)
        self._unsupported = context.unsupported
        self._betas = context.settings.betas
        own = canonical_host(self._origin.host)
        self.hosts = frozenset({own})
        self.sources = aws.sources(context, "bedrock", lambda host: _is_aws(host) or canonical_host(host) == own)

    def origin(self, region: str | None = None) -> Origin:
        """Another region's target is at that region's host, unless the base URL names none."""
        if not region or region == self._region or not _is_aws(self._origin.host):
            return self._origin
        labels = self._origin.host.split(".")
        return replace(self._origin, host=".".join(region if label == self._region else label for label in labels))

    def prepare(self, request: ProviderRequest, *, model: str | None = None, region: str | None = None) -> UpstreamRequest:
        model = model or (request.facts.model if request.facts else None) or ""
        if not model or model in (".", ".."):
            raise Refused(400, "model: a model is required", should_retry=False)
        body, dropped = self._body(request, model)
        plan_response: Callable[..., ResponsePlan] = self._answered
        if request.surface == "count_tokens":
            body, plan_response = bedrock.count_request(body), self._counted
            path = bedrock.path_of(model, "count-tokens")
        else:
            path = bedrock.path_of(model, "invoke-with-response-stream" if request.stream else "invoke")
        if len(body) > (BEDROCK.max_body or 0):
            raise Refused(413, f"Bedrock accepts requests of up to {BEDROCK.max_body:,} bytes; this one has {len(body):,}")
        accept = CONTENT_TYPE if request.stream and request.surface != "count_tokens" else "application/json"
        return UpstreamRequest(self._origin.path + path, plain_fields(request.fields, accept), body, plan_response, dropped)

    def _body(self, request: ProviderRequest, model: str) -> tuple[bytes, tuple[str, ...]]:
        given = top(request.body)
        if given is None:
            raise Refused(400, "the request body must be a JSON object", should_retry=False)
        betas = BEDROCK.betas_of(request.betas, self._betas)
        lacking = sorted(BEDROCK.lacks & given.keys())
        if lacking and self._unsupported == "refuse":
            raise Refused(
                400,
                f"{lacking[0]}: Bedrock has no equivalent. Remove it, or use a provider that supports it. "
                "`translate.unsupported: drop` sends the request without it",
                should_retry=False,
            )
        drop = sorted(BEDROCK.drops_of(model) & given.keys()) + lacking
        body = rewritten(without_attribution(without_unsigned_thinking(request.body)), automatic=True, scope=True)
        lost = (*drop, *(f"beta {flag}" for flag in request.betas if flag not in betas))
        return bedrock.from_messages(body, betas, drop=drop, version=request.later_version), lost

    # -- the answer
    def _answered(self, status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
        fields = _request_id(headers)
        if status >= 400:
            return self._failed(status, headers, fields)
        if headers.get("content-type", "").startswith(CONTENT_TYPE):
            transform = MessagesFromFrames(aws_kind)
            return ResponsePlan(status, "text/event-stream; charset=utf-8", transform, fields=fields)
        return ResponsePlan(status, fields=fields)

    def _counted(self, status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
        fields = _request_id(headers)
        if status >= 400:
            return self._failed(status, headers, fields)
        return ResponsePlan(status, "application/json", BufferedTransform(bedrock.count_answer), fields=fields, whole=True)

    def _failed(self, status: int, headers: Mapping[str, str], fields: Mapping[str, str]) -> ResponsePlan:
        exception = headers.get("x-amzn-errortype", "")
        shown = of_aws(status, exception, b"").status
        return ResponsePlan(
            shown,
            "application/json",
            BufferedTransform(lambda body: document(of_aws(status, exception, body)), lenient=True),
            fields=fields,
        )

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict | None:
        return of_aws(status, headers.get("x-amzn-errortype", ""), body) if status >= 400 else None

    def forwarded(self, presented: Credential, host: str) -> Credential:
        """A client's signature covers its own request, not ours, so nothing is passed on."""
        raise no_credential(self.name, "set providers.<name>.keys (a Bedrock API key) or credentials")


def _request_id(headers: Mapping[str, str]) -> dict[str, str]:
    found = headers.get("x-amzn-requestid")
    return {"request-id": found} if found else {}


def _is_aws(host: str) -> bool:
    return canonical_host(host).endswith(_AWS) or is_loopback(host)
