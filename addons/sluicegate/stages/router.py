"""Router: chooses the target, and reads what the provider's bytes say.

Inference and count_tokens requests follow the routes. Other paths go to the host that the client named (regular door), or
to the first Anthropic provider among the routes (reverse door).
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import ClassVar, Final, Literal

from sluicegate.core.attempts import Backoff, Plan
from sluicegate.core.messages import rename_model
from sluicegate.core.usage import ResponseReader
from sluicegate.errors import Refused
from sluicegate.exchange import Call, Exchange, Target
from sluicegate.providers import anthropic
from sluicegate.providers.base import Credential, Origin, origin_of
from sluicegate.services import Services
from sluicegate.settings import Settings
from sluicegate.stages.attempts import Attempts, Choice
from sluicegate.stages.base import Stage

__all__ = ["Router"]

Via = tuple[Literal["http", "https"], tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Place:
    """A configured provider, as the router uses it."""

    name: str
    origin: Origin | None
    """None: where the door points (no provider is configured)."""
    keys: tuple[Credential, ...]
    headers: tuple[tuple[bytes, bytes], ...] = ()
    via: Via | None = None


@dataclass(frozen=True, slots=True)
class Rule:
    """One route: a model pattern, and the places that serve it with the model that each is asked for."""

    pattern: str
    places: tuple[tuple[Place, str | None], ...]


class Router(Stage):
    name: ClassVar[str] = "router"

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        places = {name: self._place(name) for name in settings.providers}
        default = next(iter(places.values()), Place(services.default_provider, None, (), via=services.via))
        self.rules = [
            Rule(route.model, tuple((places[t.provider], t.model) for t in route.targets)) for route in settings.routes
        ] or [Rule("*", ((default, None),))]
        self.general = next((r for r in self.rules if r.pattern == "*"), self.rules[0]).places[0][0]
        self.plan = Plan(
            (),
            settings.retry.attempts,
            Backoff(**{f: getattr(settings.retry.backoff, f) for f in ("start_s", "factor", "max_s", "jitter")}),
            frozenset(settings.retry.status),
            settings.retry.cooldown_s,
        )
        self.by_host = {p.origin.host.lower(): p for p in reversed(list(places.values())) if p.origin}
        if not places:
            self.by_host = dict.fromkeys(anthropic.HOSTS, default)
        for host in anthropic.HOSTS:
            self.by_host.setdefault(host, Place("anthropic", origin_of(anthropic.BASE_URL), (), via=services.via))

    def _place(self, name: str) -> Place:
        p = self.settings.providers[name]
        keys = tuple(anthropic.credential_of(k.resolve(self.services.environ)) for k in p.keys)
        headers = tuple((k.encode(), v.encode()) for k, v in p.headers.items())
        if any(c in k + v for k, v in p.headers.items() for c in "\r\n\0"):
            raise ValueError(f"providers.{name}.headers: a header can not hold a line break")
        origin = origin_of(p.resolved_base_url)
        return Place(name, origin, keys, headers, self.services.via_of(p.proxy))

    # -- the request
    def request(self, x: Exchange) -> None:
        places = self._choose(x)
        if not places:
            x.target = own_target(x, self.services.via)
        else:
            choices = [c for place, model in places for c in self._choices(x, place, model)]
            plan = replace(self.plan, targets=[c.name for c in choices], repeatable=is_repeatable(x))
            x.attempts = Attempts(x, plan, choices, self.services.health, self.services.alarm, is_pinned)
            x.target = x.attempts.start(x)
            if x.websocket:
                x.attempts = None  # after an upgrade the stream's own id is the only one towards the server
        x.call = Call(x.target, time.monotonic())

    def _choices(self, x: Exchange, place: Place, model: str | None) -> list[Choice]:
        """A place with several keys is as many targets; a session begins with the same key while that is healthy."""
        keys = _our_keys(x, place)
        if not keys:
            return [Choice(place.name, lambda x: self._target(x, place, model, None))]
        first = self.services.turn(x.session_id, len(keys))
        order = [(first + i) % len(keys) for i in range(len(keys))]

        def choice(i: int) -> Choice:
            name = f"{place.name}#{i + 1}" if len(keys) > 1 else place.name
            return Choice(name, lambda x: self._target(x, place, model, keys[i]), own_key=True)

        return [choice(i) for i in order]

    def _choose(self, x: Exchange) -> tuple[tuple[Place, str | None], ...]:
        named = self.by_host.get(x.origin[1].lower())
        if x.door != "reverse" and named is None:
            return ()  # a plain-HTTP request to a host that is no provider's
        if not x.inference:
            # the list of models is the gate's own affair on every door: it must match what the routes serve
            place = self.general if x.door == "reverse" or x.surface == "models" else named
            return ((place, None),) if place else ()
        if x.facts is None:
            return ((self.general, None),)  # no JSON object: the provider says what is wrong with it
        model = x.facts.model or ""
        for rule in self.rules:
            if fnmatchcase(model, rule.pattern):
                return rule.places
        message = f"no route serves the model {model[:100]!r}; add one under routes: in the configuration"
        raise Refused(404, message, should_retry=False)

    def _target(self, x: Exchange, place: Place, model: str | None, key: Credential | None) -> Target:
        request = x.flow.request
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
            request.data.content = rename_model(request.data.content or b"", model)
            request.headers["content-length"] = str(len(request.data.content))
        d = request.data
        d.host, d.port, d.scheme = host, port, b"https" if tls else b"http"
        for k, v in place.headers:
            request.headers[k.decode()] = v.decode()
        presented = x.presented if host == x.origin[1] else tuple(f for f in x.presented if f[0].lower() != b"cookie")
        credential = key or anthropic.forwarded(presented, host)
        return Target(tls, host, port, place.name, model, place.via, lambda _: credential)

    # -- the answer
    def answer(self, x: Exchange) -> None:
        call, response = x.call, x.flow.response
        if call is None or response is None or x.answer is not None:
            return
        call.first_byte, call.status = time.monotonic(), response.status_code
        call.reader = reader = ResponseReader(
            response.headers.get("content-type", ""),
            response.headers.get("content-encoding", ""),
            response.status_code,
        )
        if x.surface in ("messages", "count_tokens") or response.status_code >= 400:
            x.taps.observe(reader.feed, name="usage", done=reader.end, fate="aside")

    def settle(self, x: Exchange) -> None:
        if x.call:
            x.call.settle()


_PATHS = {"messages": "/v1/messages", "count_tokens": "/v1/messages/count_tokens"}


def _our_keys(x: Exchange, place: Place) -> tuple[Credential, ...]:
    """Our own keys for this request; () where the client's own credential goes.

    Through the regular door, what is no API call (telemetry, account pages) stays the client's own affair.
    """
    if x.door != "reverse" and not x.request.path.startswith("/v1/"):
        return ()
    return place.keys


def is_repeatable(x: Exchange) -> bool:
    """Whether a request may be sent again though the provider may have acted on it: an upload or a new batch may not."""
    return x.inference or x.request.method in ("GET", "HEAD", "OPTIONS", "PUT", "DELETE")


_PINNING: Final = re.compile(rb'"(?:file_id|container|compaction|encrypted_content)"')


def is_pinned(x: Exchange) -> bool:
    """Whether a request names things that exist in one place only: another target, or key, would not know them."""
    if not x.inference:
        return True
    return _PINNING.search(x.request.data.content or b"") is not None


def own_target(x: Exchange, via: Via | None) -> Target:
    """Where the request goes by itself, with the client's own credential, which is bound to that host."""
    tls, host, port = x.origin
    anthropic.forwarded(x.presented, host)  # may refuse
    credential = tuple(f for f in x.presented if f[0].lower() not in (b"proxy-authorization", b"x-sluicegate-admin"))
    d = x.request.data
    d.host, d.port, d.scheme = host, port, b"https" if tls else b"http"
    return Target(tls, host, port, via=via, credential=lambda _: credential)
