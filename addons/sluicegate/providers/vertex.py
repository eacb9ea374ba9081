"""Google Vertex AI: rawPredict for Claude. The Messages API's own streams, with Google's tokens and errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused
from sluicegate.core.formats.buffered import BufferedTransform
from sluicegate.core.formats.cloud_errors import Verdict, document, of_google
from sluicegate.core.formats.messages.attribution import without_attribution
from sluicegate.core.formats.messages.cache_marks import rewritten
from sluicegate.core.formats.vertex import codec as vertex
from sluicegate.core.messages.thinking import without_unsigned_thinking
from sluicegate.core.wire.json_object import loads, top
from sluicegate.providers.auth import google
from sluicegate.providers.auth.held_keys import (
    CredentialError,
    Fetched,
    Fresh,
    bearer,
    no_credential,
)
from sluicegate.providers.base import (
    Credential,
    CredentialSource,
    Origin,
    ProviderRequest,
    ProviderSurface,
    ResponsePlan,
    SigningInput,
    UpstreamRequest,
    is_loopback,
    origin_of,
)
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.plain import plain_fields
from sluicegate.providers.quirks import VERTEX

__all__ = ["Token", "Vertex"]

_REREAD_S: Final = 300.0
"""A token from a file or a command may expire within the hour: it is read again every five minutes."""
_LIFE_S: Final = 900.0


class Vertex:
    kind = "vertex"
    pings = VERTEX.pings
    takes_untranslated: frozenset[ProviderSurface] = frozenset()
    models_path: str | None = None
    warning: str | None = None

    def __init__(self, context: ProviderContext) -> None:
        self.name = context.name
        self._project, self._location = context.settings.project or "", context.settings.location or ""
        self._origin = origin_of(context.settings.resolved_base_url)
        self._unsupported = context.unsupported
        self._betas = context.settings.betas
        self.hosts = frozenset({canonical_host(self._origin.host)})
        self.sources = _sources(context, self._origin.host)

    def origin(self, region: str | None = None) -> Origin:
        host = self._origin.host
        if not region or region == self._location or not host.endswith("aiplatform.googleapis.com"):
            return self._origin
        return replace(
            self._origin, host="aiplatform.googleapis.com" if region == "global" else f"{region}-aiplatform.googleapis.com"
        )

    def prepare(self, request: ProviderRequest, *, model: str | None = None, region: str | None = None) -> UpstreamRequest:
        model = model or (request.facts.model if request.facts else None) or ""
        if not model:
            raise Refused(400, "model: a model is required", should_retry=False)
        counts = request.surface == "count_tokens"
        body, drop = self._body(request, model)
        whole = vertex.from_messages(body, model=model if counts else None, drop=drop, version=request.later_version)
        if len(whole) > (VERTEX.max_body or 0):
            raise Refused(413, f"Vertex accepts requests of up to {VERTEX.max_body:,} bytes; this one has {len(whole):,}")
        named = vertex.COUNT if counts else model
        path = vertex.path_of(self._project, region or self._location, named, stream=request.stream and not counts)
        betas = VERTEX.betas_of(request.betas, self._betas)
        fields = plain_fields(request.fields, "text/event-stream" if request.stream else "application/json")
        if betas:
            fields = (*fields, (b"anthropic-beta", ",".join(betas).encode("latin-1", "replace")))
        lost = (*drop, *(f"beta {flag}" for flag in request.betas if flag not in betas))
        return UpstreamRequest(self._origin.path + path, fields, whole, self._answered, lost)

    def _body(self, request: ProviderRequest, model: str) -> tuple[bytes, tuple[str, ...]]:
        given = top(request.body)
        if given is None:
            raise Refused(400, "the request body must be a JSON object", should_retry=False)
        lacking = sorted(VERTEX.lacks & given.keys())
        if lacking and self._unsupported == "refuse":
            raise Refused(
                400,
                f"{lacking[0]}: Vertex has no equivalent. Remove it, or use a provider that supports it. "
                "`translate.unsupported: drop` sends the request without it",
                should_retry=False,
            )
        body = rewritten(without_attribution(without_unsigned_thinking(request.body)), automatic=False, scope=True)
        return body, (*sorted(VERTEX.drops_of(model) & given.keys()), *lacking)

    # -- the answer
    def _answered(self, status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
        if status < 400:
            return ResponsePlan(status)
        return ResponsePlan(
            of_google(status, b"").status,
            "application/json",
            BufferedTransform(lambda body: _document(status, body), lenient=True),
        )

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict | None:
        return of_google(status, body) if status >= 400 else None

    def forwarded(self, presented: Credential, host: str) -> Credential:
        raise no_credential(self.name, "set providers.<name>.token or credentials.service_account")


def _document(status: int, body: bytes) -> bytes:
    """Claude on Vertex reports some errors in the format of the Messages API: those stay unchanged."""
    value = loads(body)
    if isinstance(value, dict) and value.get("type") == "error" and isinstance(value.get("error"), dict):
        return body
    return document(of_google(status, body))


class Token:
    """A Google token, which expires; it is sent only to Google's hosts or to the configured one."""

    waits = True

    def __init__(self, name: str, fetched: Fetched[str], host: str) -> None:
        self.name = name
        self._fetched = fetched
        self._host = canonical_host(host)

    async def ready(self) -> None:
        await self._fetched.ready()

    def fields(self, request: SigningInput) -> Credential:
        host = canonical_host(request.host)
        if host != self._host and not host.endswith(".googleapis.com") and not is_loopback(host):
            raise CredentialError(f"a Google token is never sent to {request.host}")
        return ((b"authorization", b"Bearer " + self._fetched.value.encode()),)

    def refused(self) -> bool:
        self._fetched.forget()
        return True


def _sources(context: ProviderContext, host: str) -> tuple[CredentialSource, ...]:
    if keys := context.keys():
        return tuple(bearer(key) for key in keys)
    return (Token(context.name, Fetched("Google token", _fetcher(context), context.clock), host),)


def _fetcher(context: ProviderContext) -> Callable[[], Fresh[str]]:
    given, environ, clock = context.settings, context.environ, context.clock
    if (token := given.token) is not None:

        def reread() -> Fresh[str]:
            now = clock()
            return Fresh(token.resolve(environ), now + _REREAD_S, now + _LIFE_S)

        return reread
    if (account := given.credentials.service_account) is not None:
        return lambda: google.from_key_file(google.read_key_file(Path(account)), clock)
    return google.application_default(environ, clock)
