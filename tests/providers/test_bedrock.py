"""Bedrock: what is sent, who is let in, and how its answers come back as those of the Messages API."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sluicegate.core.errors import Refused
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.sse import SSEParser
from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.base import SigningInput
from sluicegate.settings.providers import Credentials
from sluicegate.settings.secret import Secret

MODEL = "us.anthropic.claude-opus-4-1-20250805-v1:0"
KEYS = {"ID": "AKIDEXAMPLE", "SECRET": "hunter2", "SESSION": "sessiontoken"}
SIGNED = Credentials(access_key=Secret("env:ID"), secret_key=Secret("env:SECRET"))
TEMPORARY = Credentials(access_key=Secret("env:ID"), secret_key=Secret("env:SECRET"), session_token=Secret("env:SESSION"))
AWS = {"kind": "bedrock", "region": "us-west-2"}


@pytest.fixture
def here(provider, sim):
    """A provider whose base URL is the simulator."""

    def made(environ: dict[str, str] | None = None, **settings: Any) -> Any:
        given = {**AWS, "base_url": sim.url, "credentials": SIGNED, **settings}
        return provider({**KEYS, **(environ or {})}, **given)

    return made


@pytest.mark.parametrize("credentials", [SIGNED, TEMPORARY])
def test_a_message_and_a_stream(here, send, asked, sim, credentials) -> None:
    """With a signature, with temporary keys, too; the answers are those of the Messages API."""
    p = here(credentials=credentials)
    assert send(p, asked(), "text=hello", model=MODEL).json["content"][0]["text"] == "hello"
    answer = send(p, asked(stream=True), "text=hello", model=MODEL)
    assert (answer.text, answer.content_type) == ("hello", "text/event-stream; charset=utf-8")
    assert check_stream(SSEParser().feed(answer.body)) == []
    assert answer.fields["request-id"]
    assert sim.calls[-1].path.endswith("/model/us.anthropic.claude-opus-4-1-20250805-v1%3A0/invoke-with-response-stream")
    assert sim.calls[-1].credential == "AKIDEXAMPLE"


def test_an_api_key_goes_as_bearer(here, send, asked, sim) -> None:
    """Configured, or as AWS names it in the environment."""
    for p in (
        here({"K": "abc"}, keys=(Secret("env:K"),)),
        here({"AWS_BEARER_TOKEN_BEDROCK": "abc"}, credentials=Credentials()),
    ):
        assert send(p, asked(), model=MODEL).status == 200
        assert sim.calls[-1].header("authorization") == "Bearer abc"


def test_what_is_sent(here, send, asked, sim) -> None:
    """Betas in the body, the known ones only; nothing of the client's SDK; the attribution block stays here."""
    line = "x-anthropic-billing-header: cc_version=2.1; cch=1;"
    fields = (
        (b"anthropic-version", b"2023-06-01"),
        (b"anthropic-beta", b"claude-code-20250219, context-1m-2025-08-07"),
        (b"anthropic-beta", b"oauth-2025-04-20,advanced-tool-use-2025-11-20"),
        (b"x-claude-code-session-id", b"s"),
        (b"user-agent", b"claude-cli/2"),
        (b"accept-encoding", b"gzip"),
    )
    system = [
        {"type": "text", "text": line},
        {"type": "text", "text": "You", "cache_control": {"type": "ephemeral", "scope": "global"}},
    ]
    request = asked(fields=fields, stream=True, system=system, service_tier="auto", cache_control={"type": "ephemeral"})
    assert send(here(), request, model=MODEL).status == 200
    call = sim.calls[-1]
    body = json.loads(call.body)
    assert body["anthropic_beta"] == ["claude-code-20250219", "context-1m-2025-08-07", "tool-search-tool-2025-10-19"]
    assert body["system"] == [{"type": "text", "text": "You", "cache_control": {"type": "ephemeral"}}]
    assert body["messages"][0]["content"][0]["cache_control"] == {"type": "ephemeral"}
    assert not {"model", "stream", "service_tier", "cache_control"} & body.keys()
    assert call.header("accept") == "application/vnd.amazon.eventstream"
    assert call.header("accept-encoding") == "identity"
    assert call.header("user-agent") == "claude-cli/2"
    assert not [n for n, _ in call.headers if n.lower().startswith(("anthropic", "x-claude"))]


def test_tokens_are_counted(here, send, asked) -> None:
    """Bedrock's own way of asking, count_tokens' way of answering."""
    answer = send(here(), asked("count_tokens", max_tokens=None), model=MODEL)
    assert (answer.status, answer.json) == (200, {"input_tokens": 1})


@pytest.mark.parametrize(
    ("sim_status", "status", "kind"),
    [
        (400, 400, "invalid_request_error"),
        (403, 403, "permission_error"),
        (404, 404, "not_found_error"),
        (408, 504, "timeout_error"),
        (424, 500, "api_error"),
        (429, 429, "rate_limit_error"),
        (503, 529, "overloaded_error"),
        (500, 500, "api_error"),
    ],
)
def test_errors_are_native(here, send, asked, sim_status: int, status: int, kind: str) -> None:
    """Status, type and Bedrock's own words."""
    answer = send(here(), asked(), f"status={sim_status};error_message=why", model=MODEL)
    assert (answer.status, answer.json["error"]) == (status, {"type": kind, "message": "why"})
    headers = {"x-amzn-errortype": "ModelTimeoutException:http://x"}
    assert here().classify(408, headers, b"").status == 504
    assert here().classify(200, {}, b"") is None


@pytest.mark.parametrize("at", [0, 3])
def test_a_stream_that_breaks_says_so(here, send, asked, at: int) -> None:
    """An exception becomes an error event, before any other or behind some."""
    events = send(here(), asked(stream=True), f"fault=error;at={at}", model=MODEL).events
    assert len(events) == at + 1
    assert (events[-1][0], events[-1][1]["error"]["type"]) == ("error", "overloaded_error")


def test_large_requests_are_refused(here, asked) -> None:
    """Bedrock takes 20 MB."""
    with pytest.raises(Refused) as caught:
        here().prepare(asked(system="x" * (20 << 20)), model=MODEL)
    assert caught.value.status == 413


@pytest.mark.parametrize("field", ["container", "mcp_servers", "inference_geo"])
def test_what_bedrock_has_not(here, provider, asked, field: str) -> None:
    """Refused by name, or dropped and told where the configuration says so."""
    request = asked(**{field: "x"})
    with pytest.raises(Refused) as caught:
        here().prepare(request, model=MODEL)
    assert caught.value.status == 400
    assert str(caught.value).startswith(f"400 {field}: ")
    prepared = provider(KEYS, unsupported="drop", credentials=SIGNED, **AWS).prepare(request, model=MODEL)
    assert field in prepared.dropped
    assert field.encode() not in prepared.body


@pytest.mark.parametrize("raw", [b"", b"[]", b"nonsense"])
def test_what_is_no_request(here, asked, raw: bytes) -> None:
    """400, and never a bug."""
    with pytest.raises(Refused):
        here().prepare(asked(raw=raw), model=MODEL)
    with pytest.raises(Refused):
        here().prepare(asked(model=None))


def test_regions(provider, here) -> None:
    """A target's own region is at that region's host, where the base URL is AWS's."""
    p = provider(KEYS, credentials=SIGNED, **AWS)
    assert p.origin().host == "bedrock-runtime.us-west-2.amazonaws.com"
    assert p.origin("us-east-1").host == "bedrock-runtime.us-east-1.amazonaws.com"
    assert here().origin("us-east-1") == here().origin()


def sent(host: str, region: str = "us-east-1") -> SigningInput:
    return SigningInput(
        "POST", True, host, host, "/model/m/invoke", ((b"content-type", b"application/json"),), b"{}", 0.0, region
    )


def test_a_signature_is_for_its_region_and_host(provider) -> None:
    """The scope names the target's region; other hosts get none; nothing secret is in what is sent."""
    source = provider(KEYS, credentials=SIGNED, **AWS).sources[0]
    fields = dict(source.fields(sent("bedrock-runtime.us-east-1.amazonaws.com")))
    assert b"/us-east-1/bedrock/aws4_request" in fields[b"authorization"]
    assert b"SignedHeaders=content-type;host;x-amz-date" in fields[b"authorization"]
    assert b"hunter2" not in b"".join(fields.values())
    for host in ("evil.example", "amazonaws.com.evil.example", "evilamazonaws.com"):
        with pytest.raises(CredentialError):
            source.fields(sent(host))


def test_a_clients_own_credential_is_not_passed_on(here) -> None:
    """An Anthropic key is nothing to AWS, and a client's signature covers another request."""
    with pytest.raises(Refused) as caught:
        here().forwarded(((b"x-api-key", b"sk-ant-api03-x"),), "bedrock-runtime.us-west-2.amazonaws.com")
    assert caught.value.status == 401
