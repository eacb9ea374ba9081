"""For tests of the limiter: a chain with a caller, the stage and the router, and answers with usage."""

from typing import Any

import msgspec
from mitmproxy import http

from sluicegate.core.identity.caller import Caller
from sluicegate.exchange.exchange import Exchange
from sluicegate.gate.chain import Chain
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.limits import Limits
from sluicegate.stages import (
    Audit,
    Limiter,
    Router,
    Stage,
)
from sluicegate.stages.limiter.reservations import RESERVATIONS, Reservations, reservations_for
from sluicegate.testing import (
    chain_of,
    descend,
    make_flow,
    planted,
    quiet,
    send_answer,
)

MODEL = "claude-haiku-4-5"  # $1 in, $5 out, $0.10 read, $1.25 and $2 written, for a million tokens
JO = Caller("id1", name="jo", team="a", user="u")


def config(limits: dict[str, Any], **fields: Any) -> Settings:
    return quiet(**{"store": "memory", "limits": msgspec.convert(limits, Limits), **fields})


def answer(read: int = 100, written: int = 50, model: str = MODEL, **usage: int) -> bytes:
    counts = {"input_tokens": read, "output_tokens": written, **usage}
    return msgspec.json.encode({"type": "message", "model": model, "content": [], "usage": counts})


def event(kind: str, **fields: Any) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (kind.encode(), msgspec.json.encode({"type": kind, **fields}))


def start(read: int = 100) -> bytes:
    return event("message_start", message={"model": MODEL, "usage": {"input_tokens": read, "output_tokens": 1}})


class Rig:
    """A chain of Audit, a caller, the Limiter, other stages, and the Router."""

    def __init__(self, chain: Chain, settings: Settings) -> None:
        self.chain = chain
        self.settings = settings
        self.services = chain.services

    @property
    def reservations(self) -> Reservations:
        return reservations_for(self.services, self.settings)

    async def ask(self, body: Any = None, **flow: Any) -> http.HTTPFlow:
        made = make_flow(body=body or {"model": MODEL, "max_tokens": 100, "messages": []}, **flow)
        await descend(self.chain, made)
        return made

    async def serve(self, reply: bytes | None = None, body: Any = None, status: int = 200, **flow: Any) -> http.HTTPFlow:
        made = await self.ask(body, **flow)
        send_answer(self.chain, made, [answer() if reply is None else reply], status=status)
        return made

    async def used(self, key: str) -> int:
        """The usage of one of JO's counters."""
        assert self.chain.policy
        limiter = next(s for s in self.chain.policy.stages if isinstance(s, Limiter))
        counters = limiter.rules.counters(JO, MODEL, "anthropic")
        (usage,) = await self.reservations.peek([c for c in counters if c.key == key]) or ()
        return usage.used


class Using:
    """`with Using(limits) as rig`."""

    def __init__(self, limits: dict[str, Any], *inner: type[Stage], caller: Caller = JO, **fields: Any) -> None:
        def name(x: Exchange) -> None:
            x.caller = caller

        store = fields.pop("store_made", None)
        services = Services(fields.pop("environ", {}))
        self.settings = config(limits, **fields)
        if store:
            place = ("memory", self.settings.state_dir)
            services.state.get(RESERVATIONS, lambda: Reservations(store, services.alarm), place)
        who = planted("who", [], does={"head": name})
        self.chain = chain_of(Audit, who, Limiter, *inner, Router, settings=self.settings, services=services)

    def __enter__(self) -> Rig:
        return Rig(self.chain.__enter__(), self.settings)

    def __exit__(self, *error: object) -> None:
        self.chain.__exit__(*error)


def refused(flow: http.HTTPFlow) -> tuple[int, str, str]:
    """Status, type and message of our own refusal."""
    assert flow.response is not None
    error = msgspec.json.decode(flow.response.content or b"")["error"]
    return flow.response.status_code, error["type"], error["message"]
