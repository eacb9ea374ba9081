"""Points a request at a target: destination, path, format, header fields and credential."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from typing import Literal

import msgspec
from mitmproxy import http

from sluicegate.core.messages.facts import rename_model
from sluicegate.core.messages.models import same_model
from sluicegate.core.messages.thinking import without_thinking
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Target
from sluicegate.exchange.upstream_proxy import UpstreamProxy
from sluicegate.providers import anthropic
from sluicegate.providers.base import Estimated, Provider
from sluicegate.stages.router.prepare import credential_for, prepare_for
from sluicegate.stages.router.upstreams import Candidate

__all__ = ["Unsupported", "own_target", "point_at"]

Unsupported = Literal["refuse", "drop"]
"""`translate.unsupported`."""


def point_at(x: Exchange, candidate: Candidate, unsupported: Unsupported) -> Target:
    """Make the exchange's request one for this candidate. Raises Refused if it cannot be."""
    route_target, key = candidate.route_target, candidate.key
    request, upstream, model = x.flow.request, route_target.upstream, route_target.model
    if upstream.provider and x.inference and (x.facts or not upstream.traits.is_anthropic_api):
        return _translated(x, candidate, upstream.provider, unsupported)
    if upstream.origin:
        tls, host, port = upstream.origin.tls, upstream.origin.host, upstream.origin.port
        if x.format.speaks_messages and (known := x.format.usual_path):
            # one spelling for every provider: the client's may have another host's prefix, or ours from before a replay
            _, mark, query = request.path.partition("?")
            request.path = upstream.origin.path + known + mark + query
        elif upstream.origin.path and x.door == "reverse":
            request.path = upstream.origin.path + request.path
    else:
        tls, host, port = x.origin
    if model and x.facts and x.facts.model != model:
        x.model = x.model or x.facts.model
        request.data.content = _for_another_model(request.data.content or b"", x.facts.model or "", model)
        request.headers["content-length"] = str(len(request.data.content))
    d = request.data
    d.host, d.port, d.scheme = host, port, b"https" if tls else b"http"
    for k, v in upstream.headers:
        request.headers[k.decode()] = v.decode()
    presented = (
        x.client_credentials if host == x.origin[1] else tuple(f for f in x.client_credentials if f[0].lower() != b"cookie")
    )
    if key is not None:
        return Target(tls, host, port, upstream.name, model, upstream.via, credential_for(key, route_target.region))
    forwarded = anthropic.forwarded(presented, host)
    return Target(tls, host, port, upstream.name, model, upstream.via, lambda _: forwarded)


def _translated(x: Exchange, candidate: Candidate, provider: Provider, unsupported: Unsupported) -> Target:
    """The request in the provider's own format."""
    route_target, key = candidate.route_target, candidate.key
    upstream, request = route_target.upstream, x.flow.request
    x.routing.translation = None
    if (
        route_target.model
        and x.facts
        and route_target.model != x.facts.model
        and not same_model(x.facts.model or "", route_target.model)
    ):
        with contextlib.suppress(ValueError):
            request.data.content = without_thinking(request.data.content or b"")
    made = prepare_for(
        x,
        provider,
        model=route_target.model,
        region=route_target.region,
        unsupported=unsupported,
    )
    origin = provider.origin(route_target.region)
    if isinstance(made, Estimated):
        body = msgspec.json.encode({"input_tokens": made.input_tokens})
        x.answer = http.Response.make(200, body, {"content-type": "application/json", "x-sluicegate-estimated": "true"})
        return Target(origin.tls, origin.host, origin.port, upstream.name, route_target.model, upstream.via)
    x.routing.translation = made
    for k, v in upstream.headers:
        request.headers[k.decode()] = v.decode()
    target = Target(origin.tls, origin.host, origin.port, upstream.name, route_target.model, upstream.via)
    if key is not None:
        return replace(target, credential=credential_for(key, route_target.region))
    same = origin.host == x.origin[1]
    presented = x.client_credentials if same else tuple(f for f in x.client_credentials if f[0].lower() != b"cookie")
    forwarded = provider.forwarded(presented, origin.host)
    return replace(target, credential=lambda _: forwarded)


def _for_another_model(body: bytes, asked: str, model: str) -> bytes:
    """The request for another model, which cannot verify the thinking that the requested model signed."""
    if not same_model(asked, model):
        with contextlib.suppress(ValueError):  # not a Messages request: the provider says what is wrong with it
            body = without_thinking(body)
    return rename_model(body, model)


def own_target(x: Exchange, via: UpstreamProxy | None) -> Target:
    """The host that the client named, with the client's own credential, which is bound to that host."""
    tls, host, port = x.origin
    anthropic.forwarded(x.client_credentials, host)  # may refuse
    credential = tuple(
        f for f in x.client_credentials if f[0].lower() not in (b"proxy-authorization", b"x-sluicegate-admin")
    )
    d = x.request.data
    d.host, d.port, d.scheme = host, port, b"https" if tls else b"http"
    return Target(tls, host, port, via=via, credential=lambda _: credential)
