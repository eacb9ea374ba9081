"""The provider's prompt cache in the stage: whose bodies get markers, and which turns are compared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from sluicegate.core.prompt_cache.misses import Turn, fingerprint
from sluicegate.gate.chain import Chain
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.cache import Cache as CacheSettings
from sluicegate.settings.cache import PromptCache, RouteCache, RoutePromptCache
from sluicegate.settings.providers import Provider
from sluicegate.settings.routes import (
    Route,
    Target,
)
from sluicegate.stages import Audit, Cache, Router
from sluicegate.stages.cache.prompt_cache import PreviousTurns
from sluicegate.testing import (
    chain_of,
    descend,
    make_flow,
    quiet,
    send_answer,
    the_exchange,
)

LONG = "You are a careful assistant. " * 800
BODY = {
    "model": "claude-sonnet-4-5",
    "max_tokens": 9,
    "system": LONG,
    "messages": [{"role": "user", "content": "hi"}],
}


def config(tmp_path: Path, **prompt_cache: Any) -> Settings:
    return quiet(cache=CacheSettings(prompt_cache=PromptCache(**prompt_cache)), state_dir=tmp_path)


@pytest.fixture
def chain(tmp_path: Path) -> Iterator[Chain]:
    settings = config(tmp_path, inject="auto")
    with chain_of(Audit, Cache, Router, settings=settings, services=Services({})) as chain:
        yield chain


async def sent(chain: Chain, body: Any = None, **flow: Any) -> bytes:
    made = make_flow(body=BODY if body is None else body, **flow)
    await descend(chain, made)
    assert the_exchange(made).routing.release
    content = made.request.data.content or b""
    assert made.request.headers["content-length"] == str(len(content))
    send_answer(chain, made, [b"{}"])
    return content


async def test_a_client_without_markers_gets_them(chain: Chain) -> None:
    """In the sent request; the response cache need not be on, and the answer gets no cache status."""
    out = msgspec.json.decode(await sent(chain))
    assert out["cache_control"] == {"type": "ephemeral"}
    assert out["system"][0]["cache_control"] == {"type": "ephemeral"}
    assert out["messages"] == BODY["messages"]


OTHERS: dict[str, dict[str, Any]] = {
    "Claude Code": {"headers": [(b"user-agent", b"claude-cli/2.1.197 (external, sdk-cli)")]},
    "Claude Code by its session": {"headers": [(b"x-claude-code-session-id", b"s")]},
    "its own markers": {"body": {**BODY, "cache_control": {"type": "ephemeral"}}},
    "another surface": {"path": "/v1/messages/count_tokens"},
    "another path": {"path": "/v1/files"},
}


@pytest.mark.parametrize("name", OTHERS)
async def test_everybody_else_is_sent_as_it_came(chain: Chain, name: str) -> None:
    """Byte for byte."""
    body = json.dumps(OTHERS[name].get("body", BODY), indent=1).encode()
    assert await sent(chain, **{**OTHERS[name], "body": body}) == body


async def test_off_is_off(tmp_path: Path) -> None:
    """The default changes nothing."""
    with chain_of(Cache, Router, settings=config(tmp_path), services=Services({})) as chain:
        assert await sent(chain) == msgspec.json.encode(BODY)


async def test_routes_and_providers(tmp_path: Path) -> None:
    """A route's own ttl; no automatic marker where Bedrock may get the request; none at all for other dialects."""
    providers = {
        "a": Provider(kind="anthropic"),
        "b": Provider(kind="bedrock", region="us-west-2", base_url="http://b.test"),
        "o": Provider(kind="openai", base_url="http://o.test"),
    }
    hour = RouteCache(prompt_cache=RoutePromptCache(ttl="1h", inject="always"))
    settings = quiet(
        providers=providers,
        routes=(
            Route(model="a*", targets=(Target(provider="a"),), cache=hour),
            Route(model="b*", targets=(Target(provider="a"), Target(provider="b")), cache=hour),
            Route(model="o*", targets=(Target(provider="o"),), cache=hour),
        ),
        state_dir=tmp_path,
    )
    with chain_of(Cache, Router, settings=settings, services=Services({})) as chain:
        a, b, o = [
            msgspec.json.decode(await sent(chain, {**BODY, "model": name, "system": "x"})) for name in ("a1", "b1", "o1")
        ]
    mark = {"type": "ephemeral", "ttl": "1h"}
    assert a["cache_control"] == mark
    assert "cache_control" not in b
    assert b["messages"][0]["content"][0]["cache_control"] == mark
    assert b"cache_control" not in msgspec.json.encode(o)


async def test_the_key_knows_nothing_of_markers(tmp_path: Path) -> None:
    """With both caches on, what was with_markers stands in what is sent alone; the same request is a hit."""
    cache = CacheSettings(mode="exact", prompt_cache=PromptCache(inject="auto"))
    answer: dict[str, Any] = {"type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn"}
    answer |= {"usage": {"input_tokens": 1}, "content": [{"type": "text", "text": "hi"}]}
    with chain_of(Cache, Router, settings=quiet(cache=cache, state_dir=tmp_path), services=Services({})) as chain:
        first = make_flow(body=BODY)
        await descend(chain, first)
        assert b"cache_control" in (first.request.data.content or b"")
        send_answer(chain, first, [msgspec.json.encode(answer)])
        again = make_flow(body=BODY)
        await descend(chain, again)
        assert the_exchange(again).cache_status == "HIT"
        assert again.request.data.content == msgspec.json.encode(BODY)


def usage(read: int, written: int) -> bytes:
    counts = {
        "input_tokens": 5,
        "output_tokens": 1,
        "cache_read_input_tokens": read,
        "cache_creation_input_tokens": written,
    }
    return msgspec.json.encode(
        {"type": "message", "model": "claude-sonnet-4-5", "stop_reason": "end_turn", "usage": counts}
    )


async def answered(chain: Chain, body: Any, read: int, written: int, session: bytes = b"session-1", **flow: Any) -> Any:
    made = make_flow(body=body, headers=[(b"x-claude-code-session-id", session)] if session else [], **flow)
    await descend(chain, made)
    send_answer(chain, made, [usage(read, written)])
    return made.metadata["sluicegate"]["prompt_cache_fall"]


@pytest.mark.parametrize("session", [b"session-1", b""])
async def test_a_fall_is_in_the_record_and_in_the_stats(chain: Chain, session: bytes) -> None:
    """With the place, the tokens and the dollars; without the text, unless the operator wants snippets."""
    assert await answered(chain, BODY, 0, 6000, session) is None
    changed = {**BODY, "system": LONG.replace("careful", "careless", 1)}
    fall = await answered(chain, changed, 0, 6000, session)
    assert (fall["reason"], fall["where"], fall["lost_tokens"]) == ("changed", "system[0]", 6000)
    assert fall["lost_usd"] == pytest.approx(6000 * (3.75 - 0.3) / 1e6)
    assert "before" not in fall
    assert await answered(chain, changed, 6000, 100, session) is None
    seen = chain.services.stats.snapshot()["prompt_cache"]
    assert (seen["falls"], seen["lost_tokens"]) == (1, 6000)
    assert seen["recent"][0]["session"] == (session.decode() or None)


async def test_other_sessions_are_not_compared(chain: Chain) -> None:
    """Nor a sub-agent, nor a side request of the session with another prompt."""
    await answered(chain, BODY, 0, 6000)
    other = {**BODY, "system": "a title, please " * 900, "messages": [{"role": "user", "content": "title"}]}
    assert await answered(chain, {**BODY, "system": "x"}, 0, 0, b"session-2") is None
    assert await answered(chain, other, 0, 0) is None
    assert (await answered(chain, BODY, 0, 6000))["reason"] == "evicted"


async def test_other_clients_sessions_are_not_compared(chain: Chain) -> None:
    """Names such as "1" are in use with many clients; each one's own is another session."""
    for key in (b"sk-1", b"sk-2"):
        made = make_flow(body=BODY, headers=[(b"x-session-id", b"1"), (b"x-api-key", key)])
        await descend(chain, made)
        send_answer(chain, made, [usage(0, 6000)])
        assert made.metadata["sluicegate"]["session"] == "1"
        assert made.metadata["sluicegate"]["prompt_cache_fall"] is None


async def test_what_it_quotes_is_opt_in(tmp_path: Path) -> None:
    """`cache.snippet` shows both values."""
    cache = CacheSettings(snippet=True, prompt_cache=PromptCache(inject="auto"))
    with chain_of(Audit, Cache, Router, settings=quiet(cache=cache, state_dir=tmp_path), services=Services({})) as chain:
        await answered(chain, BODY, 0, 6000)
        fall = await answered(chain, {**BODY, "system": LONG.replace("careful", "careless", 1)}, 0, 6000)
        assert "careful" in fall["before"]
        assert "careless" in fall["now"]


def turn(n: int, size: int = 100) -> Turn:
    body = msgspec.json.encode({"messages": [f"{n}" + "x" * size]})
    printed = fingerprint(body)
    assert printed
    return Turn(body, printed, "m", "p", 0, 0, 0.0)


def test_memory_is_bounded() -> None:
    """By sessions, by lines of one session, and by the bytes of their bodies."""
    turns = PreviousTurns(max_bytes=5000)
    for n in range(1000):
        turns.replace(f"s{n}", None, b"t", turn(n))
    assert sum(len(t.body) for lines in turns._lines.values() for t in lines) == turns._bytes <= 5000
    for n in range(100):
        turns.replace("one", None, b"t", turn(n, 1))
    turns.replace("large", None, b"t", turn(1, 10_000))
    assert turns._bytes == sum(len(t.body) for lines in turns._lines.values() for t in lines) <= 5000
    many = PreviousTurns()
    for n in range(1000):
        many.replace(f"s{n}", None, b"t", turn(n))
    assert len(many._lines) == 300
