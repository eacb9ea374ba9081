"""Each client format on each kind of provider, against the simulator's wire formats (prepare.py, answering.py)."""

from __future__ import annotations

import asyncio
import gzip
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from mitmproxy import http as mhttp

from sluicegate.core.errors import Refused
from sluicegate.core.formats.bedrock import codec as bedrock
from sluicegate.core.formats.chat.usage import ChatReader
from sluicegate.core.formats.first_look import Fails
from sluicegate.core.formats.surfaces import format_at
from sluicegate.core.formats.vertex import codec as vertex
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.eventstream import MessagesFromFrames
from sluicegate.core.wire.sse import SSEParser
from sluicegate.exchange.answering import encode_for_client, translate_answer
from sluicegate.exchange.bodies import ByteSource
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.exchange.translation import Translation
from sluicegate.gate.policy import Policy
from sluicegate.providers.base import Estimated
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.registry import build
from sluicegate.proxy.first_event import first_look
from sluicegate.services.services import Services
from sluicegate.settings.providers import Credentials, Provider
from sluicegate.settings.secret import Secret
from sluicegate.simulator import Simulator, simulator
from sluicegate.stages.base import Stage
from sluicegate.stages.router.prepare import credential_for, prepare_for
from sluicegate.testing import make_exchange, make_flow

ENVIRON = {"K": "key", "ID": "AKID", "SECRET": "s", "T": "tok"}
SIGNED = Credentials(access_key=Secret("env:ID"), secret_key=Secret("env:SECRET"))
KINDS: dict[str, dict[str, Any]] = {
    "anthropic": {"keys": (Secret("env:K"),)},
    "bedrock": {"region": "us-west-2", "credentials": SIGNED},
    "vertex": {"project": "p", "location": "l", "token": Secret("env:T")},
    "openai": {"keys": (Secret("env:K"),)},
}
CLIENTS = ("messages", "chat_completions", "bedrock", "vertex")
MODEL = "claude-sonnet-4-5"
READER = Slot[Any]("reader")
HI = [{"role": "user", "content": "hi"}]


@pytest.fixture(scope="module")
def sim() -> Iterator[Simulator]:
    with simulator(require_auth=True) as running:
        yield running


def make_provider(kind: str, sim: Simulator) -> Any:
    base = f"{sim.url}/v1" if kind == "openai" else sim.url
    return build(ProviderContext(kind, Provider(kind=kind, base_url=base, **KINDS[kind]), ENVIRON))


def exchange(client: str, *, stream: bool = False, headers: Any = (), **more: Any) -> Exchange:
    """A client's request, in its own format."""
    body = {"model": MODEL, "max_tokens": 50, "messages": HI, **({"stream": True} if stream else {}), **more}
    raw = msgspec.json.encode(body)
    match client:
        case "messages":
            path = "/v1/messages?beta=true"
        case "count_tokens":
            path = "/v1/messages/count_tokens"
        case "chat_completions":
            path = "/v1/chat/completions"
        case "bedrock":
            path = bedrock.path_of(MODEL, "invoke-with-response-stream" if stream else "invoke")
            raw = bedrock.from_messages(raw, [])
        case _:
            path, raw = vertex.path_of("q", "r", MODEL, stream=stream), vertex.from_messages(raw)
    return make_exchange(make_flow(path=path, body=raw, headers=headers), format=format_at("POST", path))


def ask(x: Exchange, made: Translation, sim: Simulator, knobs: str = "", cut: int = 11) -> bytes:
    """Send what the translation made of the exchange's request, and let the answer pass its taps."""
    d = x.request.data
    (source,) = made.provider.sources
    asyncio.run(source.ready())
    credential = credential_for(source)(x.request)
    connection = http.client.HTTPConnection(d.host, d.port, timeout=30)
    try:
        connection.putrequest("POST", x.request.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("host", f"{d.host}:{d.port}")
        for name, value in (*(f for f in d.headers.fields if f[0].lower() != b"host"), *credential):
            connection.putheader(name.decode(), value)
        connection.putheader("x-sim", knobs)
        connection.endheaders(d.content)
        answer = connection.getresponse()
        fields, raw = answer.getheaders(), answer.read()
    finally:
        connection.close()
    return passed(x, made, answer.status, dict(fields), raw, cut)


def passed(x: Exchange, made: Translation, status: int, headers: dict[str, str], raw: bytes, cut: int = 11) -> bytes:
    response = mhttp.Response.make(status, b"", headers)
    x.flow.response = response
    x.routing.translation = made
    READER.set(x, translate_answer(x, made, response))
    encode_for_client(x)
    pieces = [raw[i : i + cut] for i in range(0, len(raw), cut)]
    out = b"".join(c for piece in [*pieces, b""] for c in x.taps(piece))
    assert x.taps.broken is None
    return out


def text_of(client: str, body: bytes, *, stream: bool) -> str:
    """The answer's text, as a client of this format reads it."""
    if client == "bedrock" and stream:
        frames = MessagesFromFrames(lambda name: name)
        body = frames.feed(body) + frames.end()
    if client == "chat_completions":
        if not stream:
            return str(json.loads(body)["choices"][0]["message"]["content"])
        *chunks, done = [event.data for event in SSEParser().feed(body)]
        assert done == b"[DONE]"
        found = [json.loads(chunk) for chunk in chunks]
        return "".join(c["choices"][0]["delta"].get("content") or "" for c in found if c["choices"])
    if not stream:
        return "".join(block["text"] for block in json.loads(body)["content"])
    events = SSEParser().feed(body)
    assert check_stream(events) == []
    return "".join(json.loads(e.data)["delta"].get("text", "") for e in events if e.event == b"content_block_delta")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_client_on_every_provider(sim: Simulator, client: str, kind: str, stream: bool) -> None:
    """The text arrives, in the client's format; usage is what the provider billed."""
    sim.clear()
    x = exchange(client, stream=stream)
    made = prepare_for(x, make_provider(kind, sim))
    assert isinstance(made, Translation)
    body = ask(x, made, sim, "text=hello")
    assert text_of(client, body, stream=stream) == "hello"
    assert x.status == 200
    facts = READER[x].facts
    assert (facts.complete, facts.error_type, facts.stream) == (True, None, stream)
    sim.wait(lambda sim: sim.bill["calls"] == 1)
    (line,) = sim.bill["models"].values()
    assert (facts.usage.input_tokens, facts.usage.output_tokens) == (line["input_tokens"], line["output_tokens"])


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("client", CLIENTS)
def test_every_clients_errors_on_every_provider(sim: Simulator, client: str, kind: str) -> None:
    """In the client's words, with the provider's message; what is tried again is told by the native status."""
    x = exchange(client)
    made = prepare_for(x, make_provider(kind, sim))
    assert isinstance(made, Translation)
    document = json.loads(ask(x, made, sim, "status=529;error_message=busy"))
    assert x.flow.response
    assert x.status == x.flow.response.status_code == (529 if client in ("messages", "vertex") else 503)
    message = document["message"] if client == "bedrock" else document["error"]["message"]
    assert message == "busy"
    raw = mhttp.Response.make(503 if kind != "anthropic" else 529, b"", {"x-amzn-errortype": "ServiceUnavailableException"})
    assert made.native_status(raw) == 529


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_that_fails_is_seen(sim: Simulator, kind: str) -> None:
    """The client gets an error event, the record its type; a look at the first event shows it before it is passed on."""
    x = exchange("messages", stream=True)
    made = prepare_for(x, make_provider(kind, sim))
    assert isinstance(made, Translation)
    body = ask(x, made, sim, "fault=error;at=0")
    (event,) = SSEParser().feed(body)
    assert event.event == b"error"
    assert READER[x].facts.error_type in ("overloaded_error", "api_error")


@pytest.mark.parametrize("kind", KINDS)
def test_the_first_event_can_be_looked_at(sim: Simulator, kind: str) -> None:
    """As events of the Messages API, whatever the provider sends: an error is found in each one's own words."""
    x = exchange("messages", stream=True)
    made = prepare_for(x, make_provider(kind, sim))
    assert isinstance(made, Translation)
    x.routing.translation = made
    kinds = {"bedrock": "application/vnd.amazon.eventstream"}
    look = first_look(x, mhttp.Response.make(200, b"", {"content-type": kinds.get(kind, "text/event-stream")}), left=True)
    assert look is not None
    error = {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}
    sent = {
        "bedrock": bedrock.frame_of_event(msgspec.json.encode(error)),
        "openai": b'data: {"error":{"message":"busy","type":"overloaded_error"}}\n\n',
    }.get(kind, b"event: error\ndata: " + msgspec.json.encode(error) + b"\n\n")
    said = look.feed(sent, ended=False)
    assert isinstance(said, Fails)
    assert said.status == 529


def test_a_native_request_is_not_touched(sim: Simulator) -> None:
    """Header fields, body and unknown things; only the destination changes."""
    x = exchange("messages", headers=[(b"anthropic-beta", b"new-2027"), (b"x-unknown", b"1")], unknown=1.0)
    before = x.request.data.headers.fields, x.request.data.content
    made = prepare_for(x, make_provider("anthropic", sim))
    assert isinstance(made, Translation)
    assert (x.request.data.headers.fields, x.request.data.content) == before
    assert (x.request.path, x.request.port, x.request.scheme) == ("/v1/messages?beta=true", sim.port, "http")
    assert made.facts is not None
    assert made.facts.model == MODEL
    assert made.dropped == ()


def test_an_untouched_answer_keeps_its_encoding(sim: Simulator) -> None:
    """It is decoded for the reader alone."""
    x = exchange("messages")
    made = prepare_for(x, make_provider("anthropic", sim))
    assert isinstance(made, Translation)
    raw = gzip.compress(b'{"type":"message","model":"m","usage":{"input_tokens":3,"output_tokens":1}}')
    out = passed(x, made, 200, {"content-type": "application/json", "content-encoding": "gzip"}, raw)
    assert (out, x.taps.changes) == (raw, False)
    assert READER[x].facts.usage.input_tokens == 3


@pytest.mark.parametrize("client", ["messages", "chat_completions"])
def test_an_encoded_answer_is_decoded_where_it_is_read(sim: Simulator, client: str) -> None:
    """Though it was asked for without; an encoding that is not known ends the exchange."""
    x = exchange(client)
    made = prepare_for(x, make_provider("openai", sim))
    assert isinstance(made, Translation)
    body = {"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 3}}
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    out = passed(x, made, 200, headers, gzip.compress(msgspec.json.encode(body)))
    assert text_of(client, out, stream=False) == "hello"
    assert isinstance(READER[x], ChatReader)
    assert READER[x].facts.usage.input_tokens == 3
    x = exchange(client)
    made = prepare_for(x, make_provider("openai", sim))
    assert isinstance(made, Translation)
    response = mhttp.Response.make(200, b"", {"content-type": "application/json"})
    response.headers["content-encoding"] = "odd"
    translate_answer(x, made, response)
    assert x.ending.abort
    assert x.ending.outcome == "failed"


def test_the_model_that_was_asked_is_remembered(sim: Simulator) -> None:
    """Where the route asks for another one; from the path, too."""
    for client in CLIENTS:
        x = exchange(client)
        prepare_for(x, make_provider("openai", sim), model="llama")
        assert x.model == MODEL
        assert json.loads(x.request.content or b"")["model"] == "llama"
        assert x.request.headers["content-length"] == str(len(x.request.content or b""))


def test_tokens_that_can_not_be_counted_are_estimated(sim: Simulator) -> None:
    """The request stays as it is."""
    x = exchange("count_tokens")
    before = x.request.data.content
    found = prepare_for(x, make_provider("openai", sim))
    assert isinstance(found, Estimated)
    assert found.input_tokens > 0
    assert x.request.data.content is before


@pytest.mark.parametrize("client", ["chat_completions", "bedrock", "vertex"])
def test_what_makes_no_sense_is_refused(sim: Simulator, client: str) -> None:
    """400, nothing is sent."""
    x = exchange(client)
    x.request.data.content = b"nonsense"
    with pytest.raises(Refused) as caught:
        prepare_for(x, make_provider("bedrock", sim))
    assert caught.value.status == 400


def test_a_chat_client_gets_no_headers_that_are_not_the_providers(sim: Simulator) -> None:
    """Towards Anthropic a version is named; what belongs to OpenAI's SDK stays here."""
    x = exchange("chat_completions", headers=[(b"x-stainless-os", b"Linux"), (b"openai-project", b"p")])
    prepare_for(x, make_provider("anthropic", sim))
    assert x.request.headers["anthropic-version"] == "2023-06-01"
    assert "x-stainless-os" not in x.request.headers
    assert x.request.path == "/v1/messages"


@pytest.mark.parametrize("client", ["bedrock", "vertex"])
@pytest.mark.parametrize("named", ["2026-10-21", "bedrock-2023-05-31", None])
def test_the_version_in_a_clouds_body_becomes_anthropics_header(sim: Simulator, client: str, named: str | None) -> None:
    """The API's own date is carried, and leaves the body; a cloud's own name, or none, stands for the first version."""
    x = exchange(client)
    body = json.loads(x.request.data.content or b"")
    x.request.data.content = json.dumps({**body, "anthropic_version": named}).encode()
    prepare_for(x, make_provider("anthropic", sim))
    expected = named if named == "2026-10-21" else "2023-06-01"
    assert x.request.headers.get_all("anthropic-version") == [expected]
    assert "anthropic_version" not in json.loads(x.request.data.content or b"")


def test_the_version_of_a_count_is_that_of_the_counted_request(sim: Simulator) -> None:
    """Bedrock's CountTokens wraps it in base64."""
    inner = bedrock.from_messages(json.dumps({"messages": HI}).encode(), [], version="2026-10-21")
    path = bedrock.path_of(MODEL, "count-tokens")
    x = make_exchange(make_flow(path=path, body=bedrock.count_request(inner)), format=format_at("POST", path))
    prepare_for(x, make_provider("anthropic", sim))
    assert x.request.headers["anthropic-version"] == "2026-10-21"


@pytest.mark.parametrize(("header", "named"), [("2026-10-21", "2026-10-21"), ("2023-06-01", None), ("x", None)])
@pytest.mark.parametrize("kind", ["bedrock", "vertex"])
def test_a_later_version_reaches_the_clouds(sim: Simulator, kind: str, header: str, named: str | None) -> None:
    """As Anthropic's own SDKs send it there; the first one goes by the cloud's name."""
    x = exchange("messages", headers=[(b"anthropic-version", header.encode())])
    made = prepare_for(x, make_provider(kind, sim))
    assert isinstance(made, Translation)
    own = {"bedrock": bedrock.VERSION, "vertex": vertex.VERSION}[kind]
    assert json.loads(x.request.data.content or b"")["anthropic_version"] == (named or own)
    assert b"hey" in ask(x, made, sim, "text=hey")


def test_translation_is_loaded_when_it_is_needed() -> None:
    """A gate between Anthropic's own clients and Anthropic starts without it."""
    code = "import sys, sluicegate.stages.router.prepare; print([m for m in sys.modules if 'translate.' in m])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


WHOLE: dict[str, Any] = {
    "id": "m",
    "type": "message",
    "role": "assistant",
    "model": "c",
    "content": [{"type": "text", "text": "hey"}],
    "stop_reason": "end_turn",
    "usage": {"input_tokens": 3, "output_tokens": 2},
}
EVENTS: tuple[dict[str, Any], ...] = (
    {
        "type": "message_start",
        "message": {
            **{name: WHOLE[name] for name in ("id", "type", "role", "model", "usage")},
            "content": [],
            "stop_reason": None,
        },
    },
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "hey"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 2}},
    {"type": "message_stop"},
)
SSE = b"".join(b"event: %b\ndata: %b\n\n" % (e["type"].encode(), json.dumps(e).encode()) for e in EVENTS)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_answer_of_a_stage_s_own(client: str) -> None:
    """Given in the words of the Messages API, whole or over time, it reaches every client in its own."""
    x = exchange(client)
    x.answer = x.flow.response = mhttp.Response.make(200, json.dumps(WHOLE).encode(), {"content-type": "application/json"})
    encode_for_client(x)
    assert text_of(client, x.flow.response.content or b"", stream=False) == "hey"
    assert x.flow.response.headers["content-length"] == str(len(x.flow.response.content or b""))
    x = exchange(client, stream=True)
    x.answer = x.flow.response = mhttp.Response.make(200, b"", {"content-type": "text/event-stream"})
    x.source = ByteSource()
    encode_for_client(x)
    out = b"".join(c for piece in [SSE[:200], SSE[200:], b""] for c in x.taps(piece))
    assert text_of(client, out, stream=True) == "hey"


@pytest.mark.parametrize("client", CLIENTS)
def test_an_error_of_the_gate_s_own_is_left_alone(client: str) -> None:
    """It was said in the client's words at once."""
    x = exchange(client)
    x.answer = x.flow.response = mhttp.Response.make(404, b"{}", {"content-type": "application/json"})
    x.ending.is_own = True
    encode_for_client(x)
    assert (x.flow.response.status_code, x.flow.response.content) == (404, b"{}")


class _Reader(Stage):
    name = "reader"
    reads_answers = True


def test_chat_completions_are_translated_where_a_stage_reads_answers(sim: Simulator) -> None:
    """Else they go to a provider of theirs byte for byte."""
    x = exchange("chat_completions")
    before = x.request.data.content
    made = prepare_for(x, make_provider("openai", sim))
    assert isinstance(made, Translation)
    assert made.client_request is None
    assert x.request.data.content == before
    x = exchange("chat_completions")
    x.policy = Policy(x.policy.settings, (_Reader,), Services({}))
    x.routing.translation = made = prepare_for(x, make_provider("openai", sim))  # type: ignore[assignment]
    assert isinstance(made, Translation)
    assert made.client_request is not None
    assert x.in_messages
