"""The request as one provider takes it: path, header fields, body, destination and credential.

    client's format → Messages → provider's format

A request goes unchanged to a provider that takes its format, unless a stage has to read the answers.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from mitmproxy import http

from sluicegate.core.messages.facts import RequestFacts, read_request
from sluicegate.core.messages.version import FIRST
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.exchange.answering import decode_request
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.translation import Translation
from sluicegate.providers.base import (
    Credential,
    CredentialSource,
    Estimated,
    Provider,
    ProviderRequest,
    ProviderSurface,
    SigningInput,
)
from sluicegate.providers.plain import plain_fields

if TYPE_CHECKING:  # loaded when first needed: translation takes a tenth of a second
    from sluicegate.core.formats.client_format import ClientRequest
    from sluicegate.core.translate.base import Policy

__all__ = ["credential_for", "prepare_for"]

_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


def prepare_for(
    x: Exchange,
    provider: Provider,
    *,
    model: str | None = None,
    region: str | None = None,
    unsupported: Policy = "refuse",
) -> Translation | Estimated:
    """Make the exchange's request one for this provider: path, header fields, body and destination.

    The request is as the stages left it, of an inference call, and without a translation. Raises Refused if the
    provider's format cannot express it. Estimated: the provider cannot count tokens, and the request is unchanged.
    """
    request = x.request
    d = request.data
    body = d.content or b""
    facts = x.facts  # of the request as it is now, not of an earlier attempt's
    decoded = _decoded(x, provider, model or (facts.model if facts else None) or "", unsupported)
    asked = _asked(x, decoded, facts, body)
    prepared = provider.prepare(asked, model=model, region=region)
    if isinstance(prepared, Estimated):
        return prepared
    if model and facts and facts.model != model:
        x.model = facts.model
    origin = provider.origin(region)
    d.host, d.port, d.scheme = origin.host, origin.port, b"https" if origin.tls else b"http"
    request.path = prepared.path
    if prepared.body is not body or prepared.fields is not d.headers.fields:
        length = (b"content-length", b"%d" % len(prepared.body))
        d.headers.fields = (*(f for f in prepared.fields if f[0].lower() not in _FRAMING), length)
        d.content = prepared.body
    return Translation(provider, prepared, decoded, facts)


def _decoded(x: Exchange, provider: Provider, model: str, unsupported: Policy) -> ClientRequest | None:
    if x.format.speaks_messages:
        return None
    if x.surface in provider.takes_untranslated and not x.policy.reads_answers:
        return None
    return decode_request(x, model, unsupported)


def _asked(x: Exchange, decoded: ClientRequest | None, facts: RequestFacts | None, body: bytes) -> ProviderRequest:
    fields = x.request.data.headers.fields
    if decoded is None:
        surface = cast("ProviderSurface", x.surface)  # a provider takes no other format as it is
        return ProviderRequest(surface, x.request.path, fields, body, facts)
    _, mark, query = x.request.path.partition("?")
    facts = read_request(decoded.body)
    return ProviderRequest(decoded.surface, mark + query, _messages_fields(fields, decoded, facts), decoded.body, facts)


def _messages_fields(fields: HeaderFields, decoded: ClientRequest, facts: RequestFacts | None) -> HeaderFields:
    """The header fields of a request that came in another format."""
    plain = plain_fields(fields, "text/event-stream" if facts and facts.stream else "application/json")
    betas = ((b"anthropic-beta", ",".join(decoded.betas).encode("latin-1", "replace")),) if decoded.betas else ()
    return (*plain, (b"anthropic-version", (decoded.version or FIRST).encode()), *betas)


def credential_for(source: CredentialSource, region: str | None = None) -> _OfSource:
    """For `Target.credential`: the source's fields for the request at the moment of sending."""
    return _OfSource(source, region)


@dataclass(frozen=True, slots=True)
class _OfSource:
    source: CredentialSource
    region: str | None

    def __call__(self, request: http.Request) -> Credential:
        d = request.data
        tls = d.scheme == b"https"
        host = f"[{d.host}]" if ":" in d.host else d.host
        authority = host if d.port == (443 if tls else 80) else f"{host}:{d.port}"
        sent = SigningInput(
            method=request.method,
            tls=tls,
            host=d.host,
            authority=authority,
            path=request.path,
            fields=d.headers.fields,
            body=d.content or b"",
            now_s=time.time(),
            region=self.region,
        )
        return self.source.fields(sent)
