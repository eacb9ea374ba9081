"""Cache: which requests are hits, which answers are stored, and that a failure of the cache never fails a request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mitmproxy import http

from sluicegate.core.redact.hide.placeholders import placeholders_in
from sluicegate.core.wire.sse import PING
from sluicegate.gate.chain import Chain
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.cache import Cache as CacheSettings
from sluicegate.settings.cache import RouteCache, Strip
from sluicegate.settings.providers import Provider
from sluicegate.settings.routes import (
    Route,
    Target,
)
from sluicegate.settings.secret import Secret
from sluicegate.stages import Audit, Cache, Router
from sluicegate.stages.cache.entries import Placeholders
from sluicegate.stages.cache.request import snippet_of
from sluicegate.testing import (
    chain_of,
    descend,
    fail,
    make_flow,
    planted,
    quiet,
    send_answer,
    the_exchange,
)

KEY = (b"x-api-key", b"sk-1")
BODY = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
ANSWER = msgspec.json.encode(
    {
        "type": "message",
        "model": "claude-haiku-4-5-20251001",
        "stop_reason": "end_turn",
        "usage": {"input_tokens": 20, "output_tokens": 254},
        "content": [{"type": "tool_use", "name": "Bash"}],
    }
)


def stream(*more: bytes, model: str = "claude-haiku-4-5", said: str = "hi", end: str = "end_turn") -> bytes:
    def event(name: str, **fields: Any) -> bytes:
        return f"event: {name}\ndata: ".encode() + msgspec.json.encode({"type": name, **fields}) + b"\n\n"

    return b"".join(
        [
            event("message_start", message={"model": model, "usage": {"input_tokens": 7, "output_tokens": 1}}),
            PING,
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            event("content_block_delta", index=0, delta={"type": "text_delta", "text": said}),
            *more,
            event("message_delta", delta={"stop_reason": end}, usage={"output_tokens": 5}),
            event("message_stop"),
        ]
    )


class Bench:
    """A chain with a cache; each `ask` is a request of its own, answered by `answer` where it goes upstream."""

    def __init__(self, chain: Chain) -> None:
        self.chain = chain
        self.record: dict[str, Any] = {}
        self.sent: http.Request | None = None
        self.headers: http.Headers = http.Headers()

    @property
    def label(self) -> str | None:
        return self.headers.get("x-sluicegate-cache")

    async def ask(
        self,
        body: Any = None,
        *,
        answer: bytes = ANSWER,
        cut: int = 1 << 20,
        status: int = 200,
        fields: dict[str, str] | None = None,
        headers: Any = (KEY,),
        **flow: Any,
    ) -> bytes:
        made = make_flow(body=BODY if body is None else body, headers=headers, **flow)
        await descend(self.chain, made)
        x = the_exchange(made)
        self.sent = made.request if x.routing.release else None
        kind = "text/event-stream" if answer.startswith(b"event:") else "application/json"
        if x.routing.release:
            chunks = [answer[i : i + cut] for i in range(0, len(answer), cut)]
            got = send_answer(self.chain, made, chunks, status=status, headers={"content-type": kind, **(fields or {})})
        else:
            got = send_answer(self.chain, made, x.source.take()[0] if x.source else [made.response.content or b""])  # type: ignore[union-attr]
        assert made.response
        self.headers = made.response.headers
        self.record = made.metadata.get("sluicegate", {})
        return got


@pytest.fixture
def services() -> Services:
    return Services({"CACHE_KEY": "a long secret", "PROVIDER_KEY": "sk-ours"})


def config(tmp_path: Path, mode: Any = "normalized", **fields: Any) -> Settings:
    own = {name: fields.pop(name) for name in tuple(fields) if name in CacheSettings.__struct_fields__}
    return quiet(cache=CacheSettings(mode=mode, **own), state_dir=tmp_path, **fields)


@pytest.fixture
def bench(tmp_path: Path, services: Services) -> Iterator[Bench]:
    with chain_of(Audit, Cache, Router, settings=config(tmp_path), services=services) as chain:
        yield Bench(chain)


async def test_a_repeated_request_is_a_hit(bench: Bench) -> None:
    """The same bytes, nothing sent, no cost; what was saved is in the record and in the counters."""
    assert await bench.ask(fields={"request-id": "req_1", "anthropic-ratelimit-tokens-limit": "5"}) == ANSWER
    assert (bench.label, bench.record["cache"], bench.record["cost_usd"]) == ("MISS", "MISS", 0.00129)
    assert bench.record["saved_usd"] is None
    assert await bench.ask() == ANSWER
    assert (bench.label, bench.sent) == ("HIT", None)
    assert bench.headers["x-sluicegate-original-request-id"] == "req_1"
    assert "anthropic-ratelimit-tokens-limit" not in bench.headers
    expected = {
        "cache": "HIT", "cost_usd": 0.0, "saved_usd": 0.00129, "saved_tokens": 274, "input_tokens": 0, "output_tokens": 0,
        "model_served": "claude-haiku-4-5-20251001", "stop_reason": "end_turn", "tools": ["Bash"], "status": 200,
        "outcome": "ok", "provider": None, "bytes_out": len(ANSWER), "stream": False,
    }  # fmt: skip
    assert {name: bench.record[name] for name in expected} == expected
    stats = bench.chain.services.stats.snapshot()
    assert stats["cache"]["labels"] == {"MISS": 1, "HIT": 1}
    assert (stats["cache"]["saved_tokens"], stats["cache"]["saved_usd"]) == (274, 0.00129)
    assert stats["cache"]["all_time"]["saved_tokens"] == 274
    assert (stats["cost_usd"], stats["requests"]) == (0.00129, 2)


async def test_streams_are_replayed_byte_for_byte(bench: Bench) -> None:
    """However they were cut, pings included; a stream never answers a request for a document, or the reverse."""
    whole, body = stream(), {**BODY, "stream": True}
    assert await bench.ask(body, answer=whole, cut=7) == whole
    assert await bench.ask(body) == whole
    assert (bench.label, bench.record["saved_tokens"], bench.record["stream"]) == ("HIT", 12, True)
    assert await bench.ask() == ANSWER
    assert bench.label == "MISS"


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"metadata": {"user_id": "one"}}, {"metadata": {"user_id": "two"}}),
        ({"metadata": {"session_id": "one"}}, {"metadata": {"session_id": "two"}}),
        ({"prompt_cache_key": "one", "safety_identifier": "a"}, {"prompt_cache_key": "two", "user": "b"}),
    ],
)
async def test_a_similar_request_is_told_from_the_same(bench: Bench, one: dict[str, Any], two: dict[str, Any]) -> None:
    """HIT-NORM where only what is normalized away differs: the names of user and session."""
    await bench.ask({**BODY, **one})
    await bench.ask({**BODY, **two})
    assert bench.label == "HIT-NORM"
    await bench.ask({**BODY, **one})
    assert bench.label == "HIT"


async def test_suffix(tmp_path: Path, services: Services, caplog: pytest.LogCaptureFixture) -> None:
    """An answer to a conversation that only ends alike; the closer tier goes first. Warned about at start."""
    settings = config(tmp_path, "suffix", suffix_messages=1)
    with caplog.at_level("WARNING"), chain_of(Cache, Router, settings=settings, services=services) as chain:
        bench = Bench(chain)
        await bench.ask()
        earlier = [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}, *BODY["messages"]]  # type: ignore[misc]
        await bench.ask({**BODY, "messages": earlier})
        assert bench.label == "HIT-SUFFIX"
        await bench.ask()
        assert bench.label == "HIT"
    assert "cache.suffix" in caplog.text


async def test_other_tenants_have_other_answers(bench: Bench) -> None:
    """Another credential, no credential: a miss."""
    await bench.ask()
    for headers in ([(b"x-api-key", b"sk-2")], [], [(b"authorization", b"Bearer sk-3")]):
        await bench.ask(headers=headers)
        assert bench.label == "MISS"
    await bench.ask(headers=[(b"authorization", b"Bearer sk-1")])
    assert bench.label == "HIT"


@pytest.mark.parametrize(
    "header",
    [b"anthropic-beta", b"anthropic-version", b"Anthropic-New", b"X-Amzn-Bedrock-GuardrailIdentifier", b"openai-beta"],
)
async def test_headers_that_change_the_answer_count(bench: Bench, header: bytes) -> None:
    """Version and betas, a guardrail, whatever else speaks to the provider's API; others do not."""
    await bench.ask(headers=(KEY, (header, b"a")))
    await bench.ask(headers=(KEY, (header, b"b")))
    assert bench.label == "MISS"
    await bench.ask(headers=(KEY,))
    assert bench.label == "MISS"
    await bench.ask(headers=(KEY, (header.upper(), b"a"), (b"x-client-request-id", b"1")))
    assert bench.label == "HIT"


@pytest.mark.parametrize(
    ("answer", "more"),
    [
        (ANSWER, {"status": 500}),
        (ANSWER, {"fields": {"content-type": "text/html"}}),
        (ANSWER[:-5], {}),
        (b"[1]", {}),
        (ANSWER.replace(b"claude-haiku-4-5-20251001", b"claude-opus-4-5"), {}),
        (ANSWER.replace(b'"end_turn"', b"null"), {}),
        (ANSWER.replace(b"end_turn", b"pause_turn"), {}),
        (ANSWER.replace(b"end_turn", b"max_tokens"), {}),
        (ANSWER.replace(b'[{"type":"tool_use","name":"Bash"}]', b"[]"), {}),
        (ANSWER.replace(b'"type":"message"', b'"type":"message","error":{"type":"overloaded_error"}'), {}),
        (b'{"type":"error","error":{"type":"x"}}', {}),
        (stream(), {}),
        (ANSWER, {"fields": {"content-encoding": "gzip"}}),
    ],
)
async def test_answers_that_are_not_stored(bench: Bench, answer: bytes, more: dict[str, Any]) -> None:
    """Not a 200, an error, cut off, empty, of another model or kind, undecodable: the client gets it once."""
    assert await bench.ask(answer=answer, **more) == answer
    await bench.ask()
    assert bench.label == "MISS"


@pytest.mark.parametrize(
    "answer",
    [
        stream()[:-30],
        stream(b'event: error\ndata: {"type":"error","error":{"type":"overloaded_error"}}\n\n'),
        stream(model="claude-opus-4-5"),
        stream(said=""),
        stream(end="max_tokens"),
        ANSWER,
    ],
)
async def test_streams_that_are_not_stored(bench: Bench, answer: bytes) -> None:
    """Truncated, with an error in it, of another model, empty, cut off by max_tokens, or not a stream at all."""
    body = {**BODY, "stream": True}
    await bench.ask(body, answer=answer)
    await bench.ask(body, answer=stream())
    assert bench.label == "MISS"
    await bench.ask(body)
    assert bench.label == "HIT"


async def test_an_answer_that_breaks_off_is_not_stored(bench: Bench) -> None:
    """The upstream or the client disconnects after the last byte: it is unknown whether that was the last byte."""
    for by_client in (False, True):
        flow = make_flow(body=BODY, headers=(KEY,))
        await descend(bench.chain, flow)
        flow.response = http.Response.make(200, b"", {"content-type": "application/json"})
        bench.chain.responseheaders(flow)
        the_exchange(flow).taps(ANSWER)
        fail(bench.chain, flow, by_client=by_client)
    await bench.ask()
    assert bench.label == "MISS"


async def test_a_long_answer_is_not_stored(tmp_path: Path, services: Services) -> None:
    """It passes all the same."""
    settings = config(tmp_path, max_entry=100)
    with chain_of(Cache, Router, settings=settings, services=services) as chain:
        bench = Bench(chain)
        assert await bench.ask(cut=10) == ANSWER
        await bench.ask()
        assert bench.label == "MISS"


async def test_encoded_answers_are_stored_decoded(bench: Bench) -> None:
    """The upstream is asked for no encoding; if it encodes nevertheless, the replay is decoded for every client."""
    import gzip

    packed = gzip.compress(ANSWER)
    assert await bench.ask(answer=packed, fields={"content-encoding": "gzip"}, cut=9) == packed
    assert bench.sent
    assert bench.sent.headers["accept-encoding"] == "identity"
    assert await bench.ask() == ANSWER
    assert "content-encoding" not in bench.headers


BYPASSED: dict[str, Any] = {
    "stateful": {"body": {**BODY, "container": "c"}},
    "not strict JSON": {"body": b'{"model":"m","x":NaN}'},
    "encoded": {"headers": (KEY, (b"content-encoding", b"gzip"))},
    "no-store": {"headers": (KEY, (b"cache-control", b"no-store"))},
    "requested": {"headers": (KEY, (b"x-sluicegate-cache", b"bypass"))},
}


@pytest.mark.parametrize("name", BYPASSED)
async def test_bypass(bench: Bench, name: str) -> None:
    """Nothing is looked up or stored, and the request is unchanged except for the gate's own header."""
    for _ in range(2):
        await bench.ask(**BYPASSED[name])
        assert bench.label == "BYPASS"
        assert bench.sent
        assert "accept-encoding" not in bench.sent.headers
        assert "x-sluicegate-cache" not in bench.sent.headers


async def test_refresh_and_only_if_cached(bench: Bench) -> None:
    """A new answer in place of the old; no upstream at all, and a 504 where there is nothing."""
    only = (KEY, (b"x-sluicegate-cache", b"only-if-cached"))
    refused = await bench.ask(headers=only)
    assert (bench.label, bench.sent, bench.record["status"], bench.record["outcome"]) == ("REFUSED", None, 504, "refused")
    assert msgspec.json.decode(refused)["error"]["type"] == "timeout_error"
    await bench.ask()
    assert await bench.ask(headers=only) == ANSWER
    newer = ANSWER.replace(b"254", b"255")
    assert await bench.ask(headers=(KEY, (b"cache-control", b"no-cache")), answer=newer) == newer
    assert bench.label == "MISS"
    assert await bench.ask() == newer


@pytest.mark.parametrize("header", [(b"X-Stainless-Retry-Count", b"1"), (b"amz-sdk-request", b"attempt=2; max=5")])
async def test_a_retry_gets_a_new_answer(bench: Bench, header: tuple[bytes, bytes]) -> None:
    """It may come because of the cached one, which the new one replaces; a first attempt is a request like any other."""
    await bench.ask(headers=(KEY, (b"x-stainless-retry-count", b"0"), (b"amz-sdk-request", b"attempt=1")))
    assert bench.label == "MISS"
    newer = ANSWER.replace(b"254", b"255")
    assert await bench.ask(headers=(KEY, header), answer=newer) == newer
    assert bench.label == "MISS"
    assert bench.sent
    assert await bench.ask() == newer
    assert bench.label == "HIT"
    only = (KEY, header, (b"x-sluicegate-cache", b"only-if-cached"))
    assert await bench.ask(headers=only) == newer


async def test_a_host_that_no_route_decides_on_has_its_own_answers(
    bench: Bench, tmp_path: Path, services: Services
) -> None:
    """Without providers the door or the client says where a request goes; with routes the model does."""
    await bench.ask()
    await bench.ask(origin=(False, "elsewhere.test", 80))
    assert bench.label == "MISS"
    settings = routed(tmp_path, Route(model="*", targets=(Target(provider="a"),)))
    with chain_of(Cache, Router, settings=settings, services=services) as chain:
        other = Bench(chain)
        await other.ask()
        await other.ask(origin=(False, "elsewhere.test", 80))
        assert other.label == "HIT"
        await other.ask(origin=(False, "far.test", 80), mode="regular")
        assert other.label == "MISS"


async def test_other_paths_are_ignored(bench: Bench) -> None:
    """They get no cache status and no header."""
    await bench.ask(path="/v1/models", method="GET")
    assert bench.label is None


async def test_counting_tokens_is_cached_too(bench: Bench) -> None:
    """Under keys of its own; nothing is saved by it but time."""
    counted = b'{"input_tokens":12}'
    assert await bench.ask(path="/v1/messages/count_tokens", answer=counted) == counted
    assert await bench.ask(path="/v1/messages/count_tokens") == counted
    assert (bench.label, bench.record["saved_tokens"], bench.record["saved_usd"]) == ("HIT", 0, None)
    assert bench.record["cost_usd"] == 0.0
    await bench.ask()
    assert bench.label == "MISS"


def routed(tmp_path: Path, *routes: Route, **cache: Any) -> Settings:
    providers = {"a": Provider(kind="anthropic"), "b": Provider(kind="anthropic", base_url="http://b.test")}
    return config(tmp_path, **cache, providers=providers, routes=routes)


async def test_routes_override_the_cache(tmp_path: Path, services: Services) -> None:
    """The route's mode and time to live apply; the model is the one that its target is asked for."""
    settings = routed(
        tmp_path,
        Route(model="claude-haiku-*", targets=(Target(provider="b", model="other-1"),)),
        Route(model="claude-opus-*", targets=(Target(provider="a"),), cache=RouteCache(mode="off")),
        Route(model="*", targets=(Target(provider="a"),), cache=RouteCache(ttl=1e-9)),
    )
    with chain_of(Cache, Router, settings=settings, services=services) as chain:
        bench = Bench(chain)
        await bench.ask()
        await bench.ask(answer=ANSWER.replace(b"claude-haiku-4-5-20251001", b"other-1"))
        assert bench.label == "MISS"
        await bench.ask()
        assert bench.label == "HIT"
        await bench.ask({**BODY, "model": "claude-opus-4-5"})
        assert bench.label is None
        for _ in range(2):
            await bench.ask({**BODY, "model": "m"}, answer=ANSWER.replace(b"claude-haiku-4-5-20251001", b"m"))
            assert bench.label == "MISS"


async def test_a_refusal_further_in_is_labelled_so(tmp_path: Path, services: Services) -> None:
    """The Router has no route: the cache status is REFUSED, not MISS."""
    settings = routed(tmp_path, Route(model="other", targets=(Target(provider="a"),)))
    with chain_of(Audit, Cache, Router, settings=settings, services=services) as chain:
        bench = Bench(chain)
        await bench.ask()
        assert (bench.label, bench.record["cache"], bench.record["status"]) == ("REFUSED", "REFUSED", 404)


async def test_a_fallbacks_answer_is_not_stored(tmp_path: Path, services: Services) -> None:
    """The first target is cooling down: another model's answer is not an answer of the requested model."""
    targets = (Target(provider="a"), Target(provider="b", model="other-1"))
    settings = routed(tmp_path, Route(model="*", targets=targets))
    services.health.cool_down("a", 1e12)
    with chain_of(Cache, Router, settings=settings, services=services) as chain:
        bench = Bench(chain)
        for _ in range(2):
            await bench.ask(answer=ANSWER.replace(b"claude-haiku-4-5-20251001", b"other-1"))
            assert bench.label == "MISS"
            assert bench.sent
            assert bench.sent.host == "b.test"


async def test_bodies_are_stored_encrypted(tmp_path: Path, services: Services) -> None:
    """With a key the file does not show an answer; with another key every lookup is a miss."""
    settings = config(tmp_path, encrypt_key=Secret("env:CACHE_KEY"), snippet=True)
    with chain_of(Cache, Router, settings=settings, services=services) as chain:
        bench = Bench(chain)
        await bench.ask()
        await chain.policy.stages[0].cache_client.settled()  # type: ignore[union-attr]
        files = b"".join(p.read_bytes() for p in tmp_path.glob("cache.sqlite*"))
        assert b"tool_use" not in files
        assert b"claude-haiku" in files
        await bench.ask()
        assert bench.label == "HIT"
    other = Services({"CACHE_KEY": "another secret"})
    with chain_of(Cache, Router, settings=settings, services=other) as chain:
        bench = Bench(chain)
        await bench.ask()
        assert bench.label == "MISS"


async def test_what_was_saved_survives_a_restart(tmp_path: Path, services: Services, bench: Bench) -> None:
    """A new process finds entries and totals."""
    await bench.ask()
    await bench.ask()
    await bench.chain.policy.stages[1].cache_client.settled()  # type: ignore[union-attr]
    with chain_of(Audit, Cache, Router, settings=config(tmp_path), services=Services({})) as chain:
        later = Bench(chain)
        assert chain.services.stats.snapshot()["cache"]["all_time"]["saved_usd"] == 0.00129
        await later.ask()
        assert later.label == "HIT"


async def test_a_store_that_is_down_serves_from_upstream(tmp_path: Path) -> None:
    """There is one alarm; requests pass with the status BYPASS."""
    (tmp_path / "cache.sqlite").mkdir()
    services = Services({})
    with chain_of(Audit, Cache, Router, settings=config(tmp_path), services=services) as chain:
        bench = Bench(chain)
        for _ in range(2):
            assert await bench.ask() == ANSWER
            assert bench.label == "BYPASS"
    assert services.alarms["cache.store"] == 1


@pytest.mark.parametrize("method", ["_set_keys", "_looked_up", "answer", "_store"])
async def test_a_bug_serves_from_upstream(bench: Bench, method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it is: the client gets its answer, the request goes as the client sent it, and an alarm is raised."""

    def bug(*_: object, **__: object) -> None:
        raise KeyError("x")

    monkeypatch.setattr(Cache, method, bug)
    assert await bench.ask() == ANSWER
    assert bench.sent
    assert msgspec.json.decode(bench.sent.content or b"") == BODY
    assert sum(bench.chain.services.alarms.values()) == 1


async def test_a_replay_passes_the_taps_of_the_stages_outside(tmp_path: Path, services: Services) -> None:
    """What a scrubber hid is restored in a replay as in the answer; what is kept has placeholders only."""

    class Restore:
        def feed(self, data: bytes) -> bytes:
            return data.replace(b"<NAME_1>", b"secret")

        def end(self) -> bytes:
            return b""

    scrubber = planted("scrubber", [], does={"answer": lambda x: x.taps.change(Restore(), name="restore")})
    with chain_of(scrubber, Cache, Router, settings=config(tmp_path), services=services) as chain:
        bench = Bench(chain)
        answer = ANSWER.replace(b"Bash", b"<NAME_1>")
        for label in ("MISS", "HIT"):
            assert await bench.ask(answer=answer) == answer.replace(b"<NAME_1>", b"secret")
            assert bench.label == label
        await chain.policy.stages[1].cache_client.settled()  # type: ignore[union-attr]
        files = b"".join(p.read_bytes() for p in tmp_path.glob("cache.sqlite*"))
        assert b"secret" not in files
        assert b"<NAME_1>" in files


async def test_a_placeholder_needs_its_name_in_the_request(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that names one is not replayed to a request without it, however alike they are."""
    strip = config(bench.chain.policy.settings.state_dir, strip=Strip(messages=("<[A-Z_0-9]+>",)))  # type: ignore[union-attr]
    with chain_of(Cache, Router, settings=strip, services=bench.chain.services) as chain:
        own = Bench(chain)
        stage = chain.policy.stages[0]  # type: ignore[union-attr]
        monkeypatch.setattr(stage, "placeholders", Placeholders(placeholders_in))

        def asks(name: str) -> dict[str, Any]:
            return {**BODY, "messages": [{"role": "user", "content": f"who is {name}"}]}

        await own.ask(asks("<NAME_1>"), answer=ANSWER.replace(b"Bash", b"<NAME_1>"))
        await own.ask(asks("<NAME_2>"), answer=ANSWER)
        assert own.label == "MISS"
        await own.ask(asks("<NAME_3>"))
        assert own.label == "HIT-NORM"


@pytest.mark.parametrize(
    ("content", "snippet"),
    [
        ("hi\n there", "hi there"),
        ([{"type": "text", "text": "a"}, {"type": "tool_result", "content": "b"}], "b"),
        ("x" * 200, "x" * 80),
        ("a\x07b", "a?b"),
        (None, "None"),
        ([], ""),
    ],
)
def test_snippets(content: Any, snippet: str) -> None:
    """80 characters of the last message, on one line."""
    assert snippet_of(msgspec.json.encode({"messages": [{"role": "user", "content": content}]})) == snippet
    assert snippet_of(b"[]") == snippet_of(b"{}") == ""


async def test_snippets_are_opt_in(tmp_path: Path, services: Services) -> None:
    """They are in the live feed only if the configuration says so."""
    for on in (False, True):
        settings = config(tmp_path, snippet=on)
        with chain_of(Audit, Cache, Router, settings=settings, services=services) as chain:
            await Bench(chain).ask()
            assert (b'"snippet":"hi"' in services.monitor._recent[-1][1]) == on
