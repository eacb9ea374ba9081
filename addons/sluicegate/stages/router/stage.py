"""Router: chooses the target of a request, and reads the provider's answer.

Inference and count_tokens requests follow the routes. Other paths go to the host that the client named (regular door), or
to the first Anthropic provider among the routes (reverse door).
"""

from __future__ import annotations

import re
import time
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from typing import Any, ClassVar, Final

from mitmproxy import http

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused
from sluicegate.core.formats.other_apis import OPENAI
from sluicegate.core.formats.registry import served
from sluicegate.core.formats.surfaces import is_inference_path
from sluicegate.core.messages.prompt_size import fits
from sluicegate.core.messages.usage import ResponseReader
from sluicegate.core.routing.answers import asks_too_long
from sluicegate.core.routing.attempts import Backoff, Plan, Queue
from sluicegate.core.routing.paths import is_first_party_path, takes_our_keys
from sluicegate.core.routing.routes import first_route
from sluicegate.exchange.answering import translate_answer
from sluicegate.exchange.call import Call
from sluicegate.exchange.exchange import Exchange
from sluicegate.providers import anthropic
from sluicegate.providers.base import (
    CredentialSource,
    origin_of,
)
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings import retry as retry_settings
from sluicegate.stages.base import Stage
from sluicegate.stages.router.attempts import Attempts, is_repeatable
from sluicegate.stages.router.ending_models import ending_models_of
from sluicegate.stages.router.targets import own_target
from sluicegate.stages.router.upstreams import Candidate, Route, RouteTarget, Upstream, build_upstream, hosts_of

__all__ = ["Router"]


_CONVERSE: Final = re.compile(r"/model/.+/converse(?:-stream)?$")


class Router(Stage):
    name: ClassVar[str] = "router"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        upstreams = {name: build_upstream(name, settings, services) for name in settings.providers}
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
        self.ending_models = ending_models_of(services)
        self.by_host = {host: p for p in reversed(self.upstreams) for host in hosts_of(p)}
        if not upstreams:
            self.by_host = dict.fromkeys(anthropic.HOSTS, default)
        for host in anthropic.HOSTS:
            self.by_host.setdefault(host, Upstream("anthropic", origin_of(anthropic.BASE_URL), (), via=services.via))

    # -- the request
    def request(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        if x.request.data.method == b"HEAD" and self._answers_probe(x):
            x.answer = http.Response.make(200)
            return None
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
            x.routing.attempts = Attempts(x, plan, candidates, self.services, self.settings.translate.unsupported)
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
            return [Candidate(route_target)]
        first = self.services.turn(x.session_id, len(keys)) if len(keys) > 1 else 0
        ordered = (*keys[first:], *keys[:first])
        if x.session_id is None and upstream.least_loaded and len(keys) > 1:
            best = self.services.quotas.least_loaded_first([k.name for k in ordered], time.time())
            ordered = tuple(ordered[i] for i in best)
        return [Candidate(route_target, key) for key in ordered]

    def _choose(self, x: Exchange) -> tuple[RouteTarget, ...]:
        named = self.by_host.get(canonical_host(x.origin[1]))
        if x.door != "reverse" and named is None:
            return ()  # a plain-HTTP request to a host that is not a provider's
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
        if not model:
            raise Refused(400, "model: this field is required; the route is chosen by it", should_retry=False)
        message = f"no route serves the model {model[:100]!r}; add one under routes: in the configuration"
        raise Refused(404, message, should_retry=False)

    def _answers_probe(self, x: Exchange) -> bool:
        """Whether a client asks if there is a server, on a path that no provider behind the gate takes."""
        upstream, path = self.general or self.first, x.request.path
        ours = is_first_party_path(path) or is_inference_path(path)
        return x.door == "reverse" and ours and (x.format is OPENAI or not upstream.traits.forwards_other_paths)

    def _general(self, x: Exchange) -> Upstream:
        """The upstream for a path outside inference. Raises Refused if no provider behind the gate could serve it."""
        upstream, path = self.general or self.first, x.request.path.partition("?")[0]
        host = upstream.origin.host if upstream.origin else x.origin[1]
        if upstream.provider and not upstream.traits.serves_converse and _CONVERSE.search(path):
            raise Refused(404, "Converse is not served here: use InvokeModel, or a route to Bedrock", should_retry=False)
        if not upstream.traits.forwards_other_paths or (canonical_host(host) in anthropic.HOSTS and x.format is OPENAI):
            raise Refused(404, f"{path[:100]} is not served here: the gate takes {served()}", should_retry=False)
        return upstream

    # -- the answer
    def answer(self, x: Exchange) -> None:
        call, response = x.routing.call, x.flow.response
        if call is None or response is None or x.answer is not None:
            return
        call.first_byte, call.status = time.monotonic(), response.status_code
        if response.status_code >= 400 and asks_too_long(response.headers, time.time(), self.settings.retry.client_wait_s):
            response.headers["x-should-retry"] = "false"
        if x.inference and (asked := call.target.model or (x.facts.model if x.facts else None)):
            self.ending_models.note(asked, call.target.provider, self.settings)
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
        return frozenset(
            own | {canonical_host(r.upstream.provider.origin(r.region).host) for r in targets if r.upstream.provider}
        )

    def report(self, x: Exchange) -> Mapping[str, object]:
        return {
            "attempts": x.routing.failed_attempts,
            "dropped": list(x.routing.translation.dropped) if x.routing.translation else [],
        }

    def settle(self, x: Exchange) -> None:
        if x.routing.call:
            x.routing.call.settle()


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


def _our_keys(x: Exchange, upstream: Upstream) -> tuple[CredentialSource, ...]:
    """Our own keys for this request; () if the client's own credential goes with it."""
    return upstream.keys if takes_our_keys(x.door, inference=x.inference, path=x.request.path) else ()
