"""Router: chooses the target of a request, and reads the provider's answer.

Inference and count_tokens requests follow the routes. Other paths go to the host that the client named (regular door), or
to the first Anthropic provider among the routes (reverse door).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Coroutine, Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Final

import msgspec
from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.core.formats.bedrock.format import BEDROCK
from sluicegate.core.formats.registry import served
from sluicegate.core.messages.facts import rename_model
from sluicegate.core.messages.models import same_model
from sluicegate.core.messages.prompt_size import fits
from sluicegate.core.messages.thinking import without_thinking
from sluicegate.core.messages.usage import ResponseReader
from sluicegate.core.routing.attempts import Backoff, Plan, Queue
from sluicegate.core.routing.paths import takes_our_keys
from sluicegate.core.routing.routes import first_route
from sluicegate.exchange.answering import translate_answer
from sluicegate.exchange.call import Call
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Target
from sluicegate.exchange.upstream_proxy import UpstreamProxy
from sluicegate.providers import anthropic
from sluicegate.providers.base import (
    CredentialSource,
    Estimated,
    Origin,
    Provider,
    origin_of,
)
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.registry import build
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings import retry as retry_settings
from sluicegate.settings.provider_kinds import KINDS, ProviderKind
from sluicegate.stages.base import Stage
from sluicegate.stages.router.attempts import Attempts, Candidate, is_repeatable
from sluicegate.stages.router.prepare import credential_for, prepare_for

__all__ = ["Router"]


@dataclass(frozen=True, slots=True)
class Upstream:
    """A configured provider, as the router uses it."""

    name: str
    origin: Origin | None
    """None: the door's own target (no provider is configured)."""
    keys: tuple[CredentialSource, ...]
    headers: tuple[tuple[bytes, bytes], ...] = ()
    via: UpstreamProxy | None = None
    traits: ProviderKind = KINDS["anthropic"]
    provider: Provider | None = None
    """None: the door's own target, whose requests are not changed."""
    least_loaded: bool = True
    """A request without a session takes the key with the most room; else each in turn."""


_OPENAIS: Final = re.compile(r"^/(?:v1/)?(?:responses|embeddings|completions|moderations|images|audio|realtime)(?:/|$)")
"""Paths of OpenAI's API that Anthropic does not have, and that are no Chat Completions."""
_CONVERSE: Final = re.compile(r"/model/.+/converse(?:-stream)?$")


@dataclass(frozen=True, slots=True)
class RouteTarget:
    """One target of a route: an upstream, and the model to ask it for (None: the client's own)."""

    upstream: Upstream
    model: str | None = None
    region: str | None = None
    context: int | None = None
    """The context window of that model in tokens, if the configuration gives it."""


@dataclass(frozen=True, slots=True)
class Route:
    """One route: a model pattern, and its targets, best first."""

    pattern: str
    targets: tuple[RouteTarget, ...]


class Router(Stage):
    name: ClassVar[str] = "router"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        upstreams = {name: self._upstream(name) for name in settings.providers}
        self.upstreams = tuple(upstreams.values())
        default = next(iter(upstreams.values()), Upstream(services.default_provider, None, (), via=services.via))
        self.routes = [
            Route(
                route.model, tuple(RouteTarget(upstreams[t.provider], t.model, t.region, t.context) for t in route.targets)
            )
            for route in settings.routes
        ] or [Route("*", (RouteTarget(default),))]
        widest = sorted(self.routes, key=lambda route: route.pattern != "*")
        self.general = next(
            (r.upstream for route in widest for r in route.targets if r.upstream.traits.is_anthropic_api), None
        )
        """The default upstream for paths outside inference on the reverse listener."""
        self.first = widest[0].targets[0].upstream
        self.prices = services.prices_for(settings)
        self.plan = _plan(settings)
        self.by_host = {host: p for p in reversed(self.upstreams) for host in _hosts(p)}
        if not upstreams:
            self.by_host = dict.fromkeys(anthropic.HOSTS, default)
        for host in anthropic.HOSTS:
            self.by_host.setdefault(host, Upstream("anthropic", origin_of(anthropic.BASE_URL), (), via=services.via))

    def _upstream(self, name: str) -> Upstream:
        p = self.settings.providers[name]
        context = ProviderContext(
            name,
            p,
            self.services.environ,
            self.settings.translate.unsupported,
            self.settings.state_dir,
            hold=self.services.provider_keys.hold,
        )
        provider = build(context)
        if provider.warning:
            log.warning("provider.warning", provider=name, warning=provider.warning)
        headers = tuple((k.encode(), v.encode()) for k, v in p.headers.items())
        if any(c in k + v for k, v in p.headers.items() for c in "\r\n\0"):
            raise ValueError(f"providers.{name}.headers: a header cannot contain a line break")
        origin = origin_of(p.resolved_base_url)
        via = self.services.via_of(p.proxy)
        least = p.balance == "least_loaded"
        return Upstream(name, origin, tuple(provider.sources), headers, via, p.traits, provider, least)

    # -- the request
    def request(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        targets = self._fitting(x, self._choose(x))
        if not targets:
            x.routing.target = own_target(x, self.services.via)
        else:
            pools, candidates = zip(
                *((n, c) for n, route_target in enumerate(targets) for c in self._candidates(x, route_target)), strict=True
            )
            plan = replace(
                self.plan,
                targets=[c.name for c in candidates],
                pools=pools,
                sticky=x.session_id is not None,
                repeatable=is_repeatable(x),
            )
            x.routing.attempts = Attempts(x, plan, candidates, self.services)
            if any(c.key is not None and c.key.waits for c in candidates):
                return self._request_later(x, x.routing.attempts)
            x.routing.target = x.routing.attempts.start(x)
            if x.websocket:
                x.routing.attempts = None  # after an upgrade the stream's own id is the only one towards the server
        x.routing.call = Call(x.routing.target, time.monotonic())
        return None

    async def _request_later(self, x: Exchange, attempts: Attempts) -> None:
        x.routing.target = await attempts.begin(x)
        x.routing.call = Call(x.routing.target, time.monotonic())

    def _fitting(self, x: Exchange, targets: tuple[RouteTarget, ...]) -> tuple[RouteTarget, ...]:
        """Without the fallbacks whose context window is too small: they would answer 400, which ends the attempts."""
        if len(targets) < 2 or x.facts is None:
            return targets
        body, asked, most = x.request.data.content or b"", x.facts.model or "", x.facts.max_tokens

        def may_serve(route_target: RouteTarget) -> bool:
            if route_target.model is None or route_target.model == asked:
                return True
            window = route_target.context or self.prices.context_window(
                route_target.model, route_target.upstream.traits.price_source
            )
            return fits(body, most, window)

        return (targets[0], *(r for r in targets[1:] if may_serve(r)))

    def _candidates(self, x: Exchange, route_target: RouteTarget) -> list[Candidate]:
        """An upstream with several keys is as many candidates; a session starts with the same key while that is healthy."""
        upstream = route_target.upstream
        keys = _our_keys(x, upstream)
        if not keys:
            return [Candidate(_called(upstream.name, route_target), lambda x: self._target(x, route_target, None))]
        first = self.services.turn(x.session_id, len(keys)) if len(keys) > 1 else 0
        ordered = (*keys[first:], *keys[:first])
        if x.session_id is None and upstream.least_loaded and len(keys) > 1:
            best = self.services.quotas.least_loaded_first([k.name for k in ordered], time.time())
            ordered = tuple(ordered[i] for i in best)

        def candidate(key: CredentialSource) -> Candidate:
            return Candidate(_called(key.name, route_target), lambda x: self._target(x, route_target, key), key)

        return [candidate(key) for key in ordered]

    def _choose(self, x: Exchange) -> tuple[RouteTarget, ...]:
        named = self.by_host.get(x.origin[1].lower())
        if x.door != "reverse" and named is None:
            return ()  # a plain-HTTP request to a host that is no provider's
        if not x.inference:
            # on every door the list of models must match what the routes serve
            upstream = self._general(x) if x.door == "reverse" or x.format.known else named
            return (RouteTarget(upstream),) if upstream else ()
        if x.facts is None:
            if self.first.provider and not x.format.speaks_messages:
                raise Refused(400, "the request body must be a JSON object", should_retry=False)
            return (RouteTarget(self.first),)  # the provider says what is wrong with it
        model = x.facts.model or ""
        if route := first_route(self.routes, model):
            return route.targets
        message = f"no route serves the model {model[:100]!r}; add one under routes: in the configuration"
        raise Refused(404, message, should_retry=False)

    def _general(self, x: Exchange) -> Upstream:
        """The upstream for a path outside inference. Raises Refused if no provider behind the gate could serve it."""
        upstream, path = self.general or self.first, x.request.path.partition("?")[0]
        host = upstream.origin.host if upstream.origin else x.origin[1]
        if upstream.provider and not upstream.traits.serves_converse and _CONVERSE.search(path):
            x.format = BEDROCK  # its client reads no other errors
            raise Refused(404, "Converse is not served here: use InvokeModel, or a route to Bedrock", should_retry=False)
        if not upstream.traits.forwards_other_paths or (host.lower() in anthropic.HOSTS and _OPENAIS.search(path)):
            raise Refused(404, f"{path[:100]} is not served here: the gate takes {served()}", should_retry=False)
        return upstream

    def _target(self, x: Exchange, route_target: RouteTarget, key: CredentialSource | None) -> Target:
        request, upstream, model = x.flow.request, route_target.upstream, route_target.model
        if upstream.provider and x.inference and (x.facts or not upstream.traits.is_anthropic_api):
            return self._bridged(x, route_target, upstream.provider, key)
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
            x.client_credentials
            if host == x.origin[1]
            else tuple(f for f in x.client_credentials if f[0].lower() != b"cookie")
        )
        if key is not None:
            return Target(tls, host, port, upstream.name, model, upstream.via, credential_for(key, route_target.region))
        forwarded = anthropic.forwarded(presented, host)
        return Target(tls, host, port, upstream.name, model, upstream.via, lambda _: forwarded)

    def _bridged(self, x: Exchange, route_target: RouteTarget, provider: Provider, key: CredentialSource | None) -> Target:
        """The request in the target's own format."""
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
            unsupported=self.settings.translate.unsupported,
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

    # -- the answer
    def answer(self, x: Exchange) -> None:
        call, response = x.routing.call, x.flow.response
        if call is None or response is None or x.answer is not None:
            return
        call.first_byte, call.status = time.monotonic(), response.status_code
        if x.routing.translation is not None:
            call.reader = translate_answer(x, x.routing.translation, response)
            return
        call.reader = reader = ResponseReader(
            response.headers.get("content-type", ""),
            response.headers.get("content-encoding", ""),
            response.status_code,
        )
        if x.format.speaks_messages or response.status_code >= 400:
            x.taps.observe(reader.feed, name="usage", done=reader.end, on_error="skip")

    @property
    def is_transparent(self) -> bool:
        """Whether one Anthropic provider serves everything under the names that clients use: then its own list is right."""
        targets = [route_target for route in self.routes for route_target in route.targets]
        whole = any(route.pattern == "*" for route in self.routes)
        return (
            whole
            and len(self.upstreams) <= 1
            and all(r.upstream.traits.is_anthropic_api and r.model is None for r in targets)
        )

    @property
    def hosts(self) -> frozenset[str]:
        """Where requests may go: each provider's hosts, and those of the regions that targets name."""
        own = {host for p in self.upstreams if p.provider for host in p.provider.hosts}
        targets = (route_target for route in self.routes for route_target in route.targets)
        return frozenset(own | {r.upstream.provider.origin(r.region).host.lower() for r in targets if r.upstream.provider})

    def report(self, x: Exchange) -> Mapping[str, object]:
        return {
            "attempts": x.routing.failed_attempts,
            "dropped": list(x.routing.translation.dropped) if x.routing.translation else [],
        }

    def settle(self, x: Exchange) -> None:
        if x.routing.call:
            x.routing.call.settle()


def _hosts(upstream: Upstream) -> frozenset[str]:
    named = upstream.provider.hosts if upstream.provider else frozenset()
    return named | ({upstream.origin.host.lower()} if upstream.origin else frozenset())


def _called(name: str, route_target: RouteTarget) -> str:
    """The name that health is kept under: limits and overloads are per model."""
    return f"{name}/{route_target.model}" if route_target.model else name


def _plan(settings: Settings) -> Plan:
    """The configured law of attempts; each request adds its own targets."""
    retry, queue = settings.retry, settings.retry.queue
    back = retry.backoff
    return Plan(
        (),
        retry.attempts,
        Backoff(back.start_s, back.factor, back.max_s, back.jitter),
        frozenset(retry.status),
        retry.cooldown_s,
        queue=_queue(queue) if queue else None,
    )


def _queue(queue: retry_settings.Queue) -> Queue:
    return Queue(queue.size, Backoff(queue.start_s, queue.factor, queue.max_s, queue.jitter), queue.for_s)


def _for_another_model(body: bytes, asked: str, model: str) -> bytes:
    """The request for another model, which cannot verify the thinking that the requested model signed."""
    if not same_model(asked, model):
        with contextlib.suppress(ValueError):  # not a Messages request: the provider says what is wrong with it
            body = without_thinking(body)
    return rename_model(body, model)


def _our_keys(x: Exchange, upstream: Upstream) -> tuple[CredentialSource, ...]:
    """Our own keys for this request; () if the client's own credential goes with it."""
    return upstream.keys if takes_our_keys(x.door, inference=x.inference, path=x.request.path) else ()


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
