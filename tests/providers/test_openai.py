"""Chat Completions: requests translated or passed on, answers and errors read back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.core.errors import Refused
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.sse import SSEParser
from sluicegate.providers.base import UpstreamRequest
from sluicegate.settings.secret import Secret


@pytest.fixture
def here(provider, sim):
    """A provider whose base URL is the simulator."""

    def made(**settings: Any) -> Any:
        return provider(
            {"K": "key"}, **{"kind": "openai", "base_url": f"{sim.url}/v1", "keys": (Secret("env:K"),), **settings}
        )

    return made


def test_a_message_and_a_stream(here, send, asked, sim) -> None:
    """A request of the Messages API is answered in its words, by a model of another name."""
    answer = send(here(), asked(), "text=hello", model="llama-3.3-70b")
    assert answer.json["content"] == [{"type": "text", "text": "hello"}]
    answer = send(here(), asked(stream=True), "text=hello", model="llama-3.3-70b")
    assert (answer.text, answer.content_type) == ("hello", "text/event-stream; charset=utf-8")
    assert check_stream(SSEParser().feed(answer.body)) == []
    call = sim.calls[-1]
    assert (call.path, call.credential, call.model) == ("/v1/chat/completions", "key", "llama-3.3-70b")
    assert answer.fields["request-id"]


def test_a_tool_call(here, send, asked) -> None:
    """Streamed or not: the arguments arrive whole."""
    tools = [{"name": "Bash", "input_schema": {"type": "object", "properties": {"command": {"type": "string"}}}}]
    request = {"tools": tools, "messages": [{"role": "user", "content": "run the tool"}]}
    (block,) = send(here(), asked(**request), model="m").json["content"]
    assert block["type"] == "tool_use"
    assert block["input"]["command"]
    events = send(here(), asked(stream=True, **request), model="m").events
    arguments = "".join(d["delta"]["partial_json"] for n, d in events if n == "content_block_delta")
    assert json.loads(arguments) == block["input"]


@pytest.mark.parametrize(
    ("sim_status", "status", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (401, 401, "authentication_error"),
        (402, 429, "rate_limit_error"),
        (429, 429, "rate_limit_error"),
        (529, 529, "overloaded_error"),
        (500, 500, "api_error"),
    ],
)
def test_errors_are_native(here, send, asked, sim_status: int, status: int, kind: str) -> None:
    """Status and type of the Messages API, the provider's own words."""
    answer = send(here(), asked(), f"status={sim_status};error_message=why", model="m")
    assert (answer.status, answer.json["error"]) == (status, {"type": kind, "message": "why"})


def test_spent_quota_is_told_from_pacing(here) -> None:
    """Waiting does not help against the former."""
    p = here()
    assert p.classify(429, {}, b'{"error":{"message":"m","type":"t","code":"insufficient_quota"}}').spent
    assert not p.classify(429, {}, b'{"error":{"message":"m","type":"t","code":"rate_limit_exceeded"}}').spent
    assert p.classify(503, {}, b"").status == 529
    assert p.classify(200, {}, b"") is None


def test_a_stream_that_breaks_says_so(here, send, asked) -> None:
    """An error, and an end without a finish reason, are an error event."""
    for knobs in ("fault=error;at=3", "fault=truncate;at=3"):
        assert send(here(), asked(stream=True), knobs, model="m").events[-1][0] == "error"


def test_tokens_are_estimated(here, asked, estimated) -> None:
    """There is nobody to ask."""
    found = here().prepare(asked("count_tokens", system="x" * 3500))
    assert isinstance(found, estimated)
    assert 900 <= found.input_tokens < 1400


@pytest.mark.parametrize("stream", [False, True])
def test_chat_completions_pass_as_they_are(here, send, asked, sim, stream: bool) -> None:
    """The same bytes, the provider's own answer; the model is renamed where the route says so."""
    raw = b'{ "model":"gpt", "messages":[{"role":"user","content":"hi"}], "stream":%b, ' % (b"true" if stream else b"false")
    raw += b'"stream_options":{"include_usage":true} }'
    answer = send(here(), asked("chat_completions", raw=raw), "text=hello")
    assert sim.calls[-1].body == raw
    assert b"hello" in answer.body or stream
    send(here(), asked("chat_completions", raw=raw), model="other")
    assert sim.calls[-1].model == "other"


def test_usage_is_asked_for_and_kept_here(here, send, asked, sim) -> None:
    """A client that did not ask gets the stream it would have got; the gate sees what was used."""
    request = asked("chat_completions", max_tokens=None, stream=True)
    prepared = here().prepare(request)
    assert isinstance(prepared, UpstreamRequest)
    assert json.loads(prepared.body)["stream_options"] == {"include_usage": True}
    answer = send(here(), request, "text=hello")
    assert b"data: [DONE]" in answer.body
    chunks = [json.loads(e.data) for e in SSEParser().feed(answer.body) if e.data != b"[DONE]"]
    assert all(c["choices"] for c in chunks)
    sim.wait(lambda sim: sim.bill["calls"] == 1)


def test_headers_of_the_clients_sdk_stay_here(here, asked) -> None:
    """But for OpenAI's own, from a client of OpenAI's."""
    fields = (
        (b"x-stainless-lang", b"js"),
        (b"anthropic-beta", b"b"),
        (b"OpenAI-Project", b"p"),
        (b"accept-encoding", b"br"),
    )
    names = {name.lower() for name, _ in here().prepare(asked(fields=fields)).fields}
    assert names == {b"content-type", b"accept", b"accept-encoding"}
    assert b"openai-project" in {n.lower() for n, _ in here().prepare(asked("chat_completions", fields=fields)).fields}


@pytest.mark.parametrize(
    ("presented", "expected"),
    [
        (((b"authorization", b"Bearer sk-proj-1"),), ((b"authorization", b"Bearer sk-proj-1"),)),
        (((b"x-api-key", b"gsk_1"),), ((b"authorization", b"Bearer gsk_1"),)),
        (((b"x-api-key", b"sk-ant-api03-1"),), ()),
        (((b"authorization", b"Bearer sk-ant-oat01-1"), (b"cookie", b"a=b")), ()),
        ((), ()),
    ],
)
def test_a_clients_own_key(provider, presented, expected) -> None:
    """Goes as Bearer, unless it is Anthropic's; cookies never."""
    assert provider(kind="openai").forwarded(presented, "api.openai.com") == expected


def test_what_can_not_be_translated_is_refused(here, provider, asked) -> None:
    """With the path of what it is."""
    request = asked(mcp_servers=[{"type": "url", "url": "https://x", "name": "n"}])
    with pytest.raises(Refused) as caught:
        here().prepare(request)
    assert (caught.value.status, "mcp_servers" in str(caught.value)) == (400, True)
    with pytest.raises(Refused):
        here().prepare(asked(raw=b"nonsense"))


@pytest.mark.parametrize("preset", ["groq", "cerebras", "mistral"])
def test_presets_have_their_own_ways(provider, asked, preset: str) -> None:
    """What a server refuses is not sent to it."""
    prepared = provider({}, provider=preset).prepare(asked(metadata={"user_id": "u"}, stream=True), model="m")
    body = json.loads(prepared.body)
    assert "safety_identifier" not in body
    assert ("max_tokens" in body) is (preset == "mistral")
    assert prepared.path in ("/openai/v1/chat/completions", "/v1/chat/completions")


def test_betas_are_told(here, asked) -> None:
    """The flags in the header go no further, and the client is told."""
    request = asked(fields=((b"anthropic-beta", b"context-1m-2025-08-07"),))
    prepared = here().prepare(request, model="m")
    assert isinstance(prepared, UpstreamRequest)
    assert prepared.dropped == ("betas",)
    assert not [name for name, _ in prepared.fields if name.startswith(b"anthropic")]
