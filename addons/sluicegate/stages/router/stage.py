"""Router: chooses the target, and reads what the provider's bytes say.

Inference and count_tokens requests follow the routes. Other paths go to the host that the client named (regular door), or
to the first Anthropic provider among the routes (reverse door).
"""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import Any, ClassVar, Final, Literal

import msgspec
from mitmproxy import http

from sluicegate.core.errors import Refused
from sluicegate.core.messages.facts import rename_model
from sluicegate.core.messages.models import same_model
from sluicegate.core.messages.prompt_size import fits
from sluicegate.core.messages.thinking import without_thinking
from sluicegate.core.messages.usage import ResponseReader
from sluicegate.core.routing.attempts import Backoff, Plan, Queue
from sluicegate.core.routing.pinning import names_one_place
from sluicegate.exchange.answering import translate_answer
from sluicegate.exchange.call import Call
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Target
from sluicegate.providers import anthropic
from sluicegate.providers.base import (
    Estimated,
    Origin,
    Provider,
    Source,
    origin_of,
)
from sluicegate.providers.registry import build
from sluicegate.providers.setup import Setup
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings
from sluicegate.settings import retry as retry_settings
from sluicegate.settings.provider_kinds import KINDS, ProviderKind
from sluicegate.stages.base import Stage
from sluicegate.stages.router.attempts import Attempts, Choice
from sluicegate.stages.router.prepare import credential_for, prepare_for

__all__ = ["Router"]

Via = tuple[Literal["http", "https"], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Place:
    """A configured provider, as the router uses it."""

    name: str
    origin: Origin | None
    """None: where the door points (no provider is configured)."""
    keys: tuple[Source, ...]
    headers: tuple[tuple[bytes, bytes], ...] = ()
    via: Via | None = None
    traits: ProviderKind = KINDS["anthropic"]
    provider: Provider | None = None
    """None: where the door points, whose requests are not touched."""
    least_loaded: bool = True
    """How a request without a session chooses among the keys; else each in turn."""


_OPENAIS: Final = re.compile(r"^/(?:v1/)?(?:responses|embeddings|completions|moderations|images|audio|realtime)(?:/|$)")
"""Paths of OpenAI's API that Anthropic does not have, and that are no Chat Completions."""
_CONVERSE: Final = re.compile(r"/model/.+/converse(?:-stream)?$")
_SERVED: Final = (
    "the gate takes POST /v1/messages, POST /v1/chat/completions (for clients of the Responses API: set them to Chat "
    "Completions), Bedrock's InvokeModel and Vertex' rawPredict"
)


@dataclass(frozen=True, slots=True)
class Rung:
    """One target of a route: a place, and the model that it is asked for (None: the client's own)."""

    place: Place
    model: str | None = None
    region: str | None = None
    context: int | None = None
    """How many tokens that model takes, where the configuration says so."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One route: a model pattern, and its targets, best first."""

    pattern: str
    rungs: tuple[Rung, ...]


class Router(Stage):
    name: ClassVar[str] = "router"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        places = {name: self._place(name) for name in settings.providers}
        self.places = tuple(places.values())
        default = next(iter(places.values()), Place(services.default_provider, None, (), via=services.via))
        self.rules = [
            Rule(route.model, tuple(Rung(places[t.provider], t.model, t.region, t.context) for t in route.targets))
            for route in settings.routes
        ] or [Rule("*", (Rung(default),))]
        widest = sorted(self.rules, key=lambda rule: rule.pattern != "*")
        self.general = next((r.place for rule in widest for r in rule.rungs if r.place.traits.is_anthropic_api), None)
        """Where the reverse door leads what is no inference."""
        self.first = widest[0].rungs[0].place
        self.prices = services.prices_for(settings)
        self.plan = _plan(settings)
        self.by_host = {host: p for p in reversed(self.places) for host in _hosts(p)}
        if not places:
            self.by_host = dict.fromkeys(anthropic.HOSTS, default)
        for host in anthropic.HOSTS:
            self.by_host.setdefault(host, Place("anthropic", origin_of(anthropic.BASE_URL), (), via=services.via))

    def _place(self, name: str) -> Place:
        p = self.settings.providers[name]
        setup = Setup(
            name,
            p,
            self.services.environ,
            self.settings.translate.unsupported,
            self.settings.state_dir,
            hold=self.services.provider_keys.hold,
        )
        provider = build(setup)
        if provider.warning:
            log.warning("provider.warning", provider=name, warning=provider.warning)
        headers = tuple((k.encode(), v.encode()) for k, v in p.headers.items())
        if any(c in k + v for k, v in p.headers.items() for c in "\r\n\0"):
            raise ValueError(f"providers.{name}.headers: a header can not hold a line break")
        origin = origin_of(p.resolved_base_url)
        via = self.services.via_of(p.proxy)
        least = p.balance == "least_loaded"
        return Place(name, origin, tuple(provider.sources), headers, via, p.traits, provider, least)

    # -- the request
    def request(self, x: Exchange) -> Coroutine[Any, Any, None] | None:
        rungs = self._fitting(x, self._choose(x))
        if not rungs:
            x.target = own_target(x, self.services.via)
        else:
            pools, choices = zip(*((n, c) for n, rung in enumerate(rungs) for c in self._choices(x, rung)), strict=True)
            plan = replace(
                self.plan,
                targets=[c.name for c in choices],
                pools=pools,
                sticky=x.session_id is not None,
                repeatable=is_repeatable(x),
            )
            x.attempts = Attempts(x, plan, choices, self.services, is_pinned)
            if any(c.key is not None and c.key.waits for c in choices):
                return self._request_later(x, x.attempts)
            x.target = x.attempts.start(x)
            if x.websocket:
                x.attempts = None  # after an upgrade the stream's own id is the only one towards the server
        x.call = Call(x.target, time.monotonic())
        return None

    async def _request_later(self, x: Exchange, attempts: Attempts) -> None:
        x.target = await attempts.begin(x)
        x.call = Call(x.target, time.monotonic())

    def _fitting(self, x: Exchange, rungs: tuple[Rung, ...]) -> tuple[Rung, ...]:
        """Without the fallbacks whose model the prompt would not fit: they would answer 400, which ends the ladder."""
        if len(rungs) < 2 or x.facts is None:
            return rungs
        body, asked, most = x.request.data.content or b"", x.facts.model or "", x.facts.max_tokens

        def may_serve(rung: Rung) -> bool:
            if rung.model is None or rung.model == asked:
                return True
            window = rung.context or self.prices.context_window(rung.model, rung.place.traits.price_source)
            return fits(body, most, window)

        return (rungs[0], *(r for r in rungs[1:] if may_serve(r)))

    def _choices(self, x: Exchange, rung: Rung) -> list[Choice]:
        """A place with several keys is as many targets; a session begins with the same key while that is healthy."""
        place = rung.place
        keys = _our_keys(x, place)
        if not keys:
            return [Choice(_called(place.name, rung), lambda x: self._target(x, rung, None))]
        first = self.services.turn(x.session_id, len(keys)) if len(keys) > 1 else 0
        ordered = (*keys[first:], *keys[:first])
        if x.session_id is None and place.least_loaded and len(keys) > 1:
            best = self.services.quotas.least_loaded_first([k.name for k in ordered], time.time())
            ordered = tuple(ordered[i] for i in best)

        def choice(key: Source) -> Choice:
            return Choice(_called(key.name, rung), lambda x: self._target(x, rung, key), key)

        return [choice(key) for key in ordered]

    def _choose(self, x: Exchange) -> tuple[Rung, ...]:
        named = self.by_host.get(x.origin[1].lower())
        if x.door != "reverse" and named is None:
            return ()  # a plain-HTTP request to a host that is no provider's
        if not x.inference:
            # the list of models is the gate's own affair on every door: it must match what the routes serve
            place = self._general(x) if x.door == "reverse" or x.surface == "models" else named
            return (Rung(place),) if place else ()
        if x.facts is None:
            if self.first.provider and x.surface not in ("messages", "count_tokens"):
                raise Refused(400, "the request body is no JSON object", should_retry=False)
            return (Rung(self.first),)  # the provider says what is wrong with it
        model = x.facts.model or ""
        for rule in self.rules:
            if fnmatchcase(model, rule.pattern):
                return rule.rungs
        message = f"no route serves the model {model[:100]!r}; add one under routes: in the configuration"
        raise Refused(404, message, should_retry=False)

    def _general(self, x: Exchange) -> Place:
        """Where a path goes that is none of ours. Refused where nobody behind the gate could know it."""
        place, path = self.general or self.first, x.request.path.partition("?")[0]
        host = place.origin.host if place.origin else x.origin[1]
        if place.provider and not place.traits.serves_converse and _CONVERSE.search(path):
            x.surface = "bedrock"  # its client reads no other words
            raise Refused(404, "Converse is not served here: use InvokeModel, or a route to Bedrock", should_retry=False)
        if not place.traits.forwards_other_paths or (host.lower() in anthropic.HOSTS and _OPENAIS.search(path)):
            raise Refused(404, f"{path[:100]} is not served here: {_SERVED}", should_retry=False)
        return place

    def _target(self, x: Exchange, rung: Rung, key: Source | None) -> Target:
        request, place, model = x.flow.request, rung.place, rung.model
        if place.provider and x.inference and (x.facts or not place.traits.is_anthropic_api):
            return self._bridged(x, rung, place.provider, key)
        if place.origin:
            tls, host, port = place.origin.tls, place.origin.host, place.origin.port
            if known := _PATHS.get(x.surface):
                # one spelling for every provider: the client's may have another host's prefix, or ours from before a replay
                _, mark, query = request.path.partition("?")
                request.path = place.origin.path + known + mark + query
            elif place.origin.path and x.door == "reverse":
                request.path = place.origin.path + request.path
        else:
            tls, host, port = x.origin
        if model and x.facts and x.facts.model != model:
            x.model = x.model or x.facts.model
            request.data.content = _for_another_model(request.data.content or b"", x.facts.model or "", model)
            request.headers["content-length"] = str(len(request.data.content))
        d = request.data
        d.host, d.port, d.scheme = host, port, b"https" if tls else b"http"
        for k, v in place.headers:
            request.headers[k.decode()] = v.decode()
        presented = x.presented if host == x.origin[1] else tuple(f for f in x.presented if f[0].lower() != b"cookie")
        if key is not None:
            return Target(tls, host, port, place.name, model, place.via, credential_for(key, rung.region))
        forwarded = anthropic.forwarded(presented, host)
        return Target(tls, host, port, place.name, model, place.via, lambda _: forwarded)

    def _bridged(self, x: Exchange, rung: Rung, provider: Provider, key: Source | None) -> Target:
        """The request in the target's own format."""
        place, request = rung.place, x.flow.request
        x.bridge = None
        if rung.model and x.facts and rung.model != x.facts.model and not same_model(x.facts.model or "", rung.model):
            with contextlib.suppress(ValueError):
                request.data.content = without_thinking(request.data.content or b"")
        made = prepare_for(
            x, provider, model=rung.model, region=rung.region, unsupported=self.settings.translate.unsupported
        )
        origin = provider.origin(rung.region)
        if isinstance(made, Estimated):
            body = msgspec.json.encode({"input_tokens": made.input_tokens})
            x.answer = http.Response.make(200, body, {"content-type": "application/json", "x-sluicegate-estimated": "true"})
            return Target(origin.tls, origin.host, origin.port, place.name, rung.model, place.via)
        x.bridge = made
        for k, v in place.headers:
            request.headers[k.decode()] = v.decode()
        target = Target(origin.tls, origin.host, origin.port, place.name, rung.model, place.via)
        if key is not None:
            return replace(target, credential=credential_for(key, rung.region))
        same = origin.host == x.origin[1]
        presented = x.presented if same else tuple(f for f in x.presented if f[0].lower() != b"cookie")
        forwarded = provider.forwarded(presented, origin.host)
        return replace(target, credential=lambda _: forwarded)

    # -- the answer
    def answer(self, x: Exchange) -> None:
        call, response = x.call, x.flow.response
        if call is None or response is None or x.answer is not None:
            return
        call.first_byte, call.status = time.monotonic(), response.status_code
        if x.bridge is not None:
            call.reader = translate_answer(x, x.bridge, response)
            return
        call.reader = reader = ResponseReader(
            response.headers.get("content-type", ""),
            response.headers.get("content-encoding", ""),
            response.status_code,
        )
        if x.surface in ("messages", "count_tokens") or response.status_code >= 400:
            x.taps.observe(reader.feed, name="usage", done=reader.end, fate="aside")

    @property
    def is_transparent(self) -> bool:
        """Whether all goes to one Anthropic provider under the names that clients use: its own list of models is theirs."""
        rungs = [rung for rule in self.rules for rung in rule.rungs]
        whole = any(rule.pattern == "*" for rule in self.rules)
        return whole and len(self.places) <= 1 and all(r.place.traits.is_anthropic_api and r.model is None for r in rungs)

    @property
    def hosts(self) -> frozenset[str]:
        """Where requests may go: each provider's hosts, and those of the regions that targets name."""
        own = {host for p in self.places if p.provider for host in p.provider.hosts}
        rungs = (rung for rule in self.rules for rung in rule.rungs)
        return frozenset(own | {r.place.provider.origin(r.region).host.lower() for r in rungs if r.place.provider})

    def settle(self, x: Exchange) -> None:
        if x.call:
            x.call.settle()


def _hosts(place: Place) -> frozenset[str]:
    named = place.provider.hosts if place.provider else frozenset()
    return named | ({place.origin.host.lower()} if place.origin else frozenset())


def _called(name: str, rung: Rung) -> str:
    """What health is kept under: limits and overloads are a model's own."""
    return f"{name}/{rung.model}" if rung.model else name


def _plan(settings: Settings) -> Plan:
    """What the configuration says of attempts; the targets are each request's own."""
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
    """The request as another model gets it; thinking that the asked one signed means nothing to it."""
    if not same_model(asked, model):
        with contextlib.suppress(ValueError):  # no Messages request: the provider says what is wrong with it
            body = without_thinking(body)
    return rename_model(body, model)


_PATHS = {"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}


def _our_keys(x: Exchange, place: Place) -> tuple[Source, ...]:
    """Our own keys for this request; () where the client's own credential goes.

    Through the regular door, what is no API call (telemetry, account pages) stays the client's own affair.
    """
    if x.door != "reverse" and not x.inference and not x.request.path.startswith("/v1/"):
        return ()
    return place.keys


def is_repeatable(x: Exchange) -> bool:
    """Whether a request may be sent again though the provider may have acted on it: an upload or a new batch may not."""
    return x.inference or x.request.method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


def is_pinned(x: Exchange) -> bool:
    """Whether a request names things that exist in one place only: another target, or key, would not know them."""
    return not x.inference or names_one_place(x.request.data.content or b"")


def own_target(x: Exchange, via: Via | None) -> Target:
    """Where the request goes by itself, with the client's own credential, which is bound to that host."""
    tls, host, port = x.origin
    anthropic.forwarded(x.presented, host)  # may refuse
    credential = tuple(f for f in x.presented if f[0].lower() not in (b"proxy-authorization", b"x-sluicegate-admin"))
    d = x.request.data
    d.host, d.port, d.scheme = host, port, b"https" if tls else b"http"
    return Target(tls, host, port, via=via, credential=lambda _: credential)
