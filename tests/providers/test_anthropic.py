"""Credentials: which header, and which host they may go to."""

from dataclasses import replace

import pytest

from sluicegate.core.errors import Refused
from sluicegate.providers.anthropic import credential_of, forwarded
from sluicegate.providers.auth.held_keys import CredentialError
from sluicegate.providers.base import (
    SigningInput,
    bearer_token,
    is_loopback,
    origin_of,
)
from sluicegate.settings.providers import Betas, Credentials
from sluicegate.settings.secret import Secret

OAT = b"sk-ant-oat01-x"


def test_our_keys() -> None:
    """An API key goes as x-api-key, a subscription's token as Bearer."""
    assert credential_of("sk-ant-api03-x") == ((b"x-api-key", b"sk-ant-api03-x"),)
    assert credential_of("sk-ant-oat01-x") == ((b"authorization", b"Bearer sk-ant-oat01-x"),)


@pytest.mark.parametrize(
    "presented",
    [
        ((b"authorization", b"Bearer " + OAT),),
        ((b"Authorization", b"bearer  " + OAT),),
        ((b"authorization", OAT),),
        ((b"x-api-key", OAT),),
        ((b"authorization", b"Bearer sk-ant-api03-x"), (b"x-api-key", OAT)),
        ((b"authorization", b"Basic eDp5"), (b"authorization", b"Bearer " + OAT)),
        ((b"cookie", b"token=" + OAT),),
    ],
)
@pytest.mark.parametrize(
    ("host", "may"),
    [
        ("api.anthropic.com", True),
        ("API.Anthropic.com.", True),
        ("claude.ai", True),
        ("localhost", True),
        ("127.0.0.2", True),
        ("::1", True),
        ("evil-anthropic.com", False),
        ("anthropic.com.evil.example", False),
        ("127.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("api.deepseek.com", False),
        ("", False),
    ],
)
def test_a_subscription_goes_to_anthropics_own_hosts_only(presented, host: str, may: bool) -> None:  # type: ignore[no-untyped-def]
    """Told by the token, wherever in the headers it is; else refused without quoting it."""
    if may:
        assert forwarded(presented, host) == presented
    else:
        with pytest.raises(Refused) as caught:
            forwarded(presented, host)
        assert caught.value.status == 401
        assert "oat01-x" not in str(caught.value)


def test_an_api_key_is_passed_on() -> None:
    """With what belongs to it; the proxy's and the gate's own credentials are not."""
    key = (b"x-api-key", b"sk-ant-api03-x")
    assert forwarded((key, (b"proxy-authorization", b"p"), (b"x-sluicegate-admin", b"a")), "api.deepseek.com") == (key,)


@pytest.mark.parametrize(
    ("url", "origin"),
    [
        ("https://h.test", (True, "h.test", 443, "")),
        ("http://h.test:81/a/b/", (False, "h.test", 81, "/a/b")),
        ("http://[::1]:8080", (False, "::1", 8080, "")),
    ],
)
def test_origins(url: str, origin: tuple[bool, str, int, str]) -> None:
    """Scheme, host, port and path of a base URL."""
    o = origin_of(url)
    assert (o.tls, o.host, o.port, o.path) == origin


@pytest.mark.parametrize("url", ["", "h.test", "ftp://h", "https://", "https://h:port", "https://h:99999"])
def test_what_is_no_origin(url: str) -> None:
    """ValueError, told at the start."""
    with pytest.raises(ValueError):
        origin_of(url)


def test_loopback_names() -> None:
    """Names and addresses that can only be this machine; a name that looks like an address is not."""
    assert all(map(is_loopback, ["localhost", "LOCALHOST", "127.0.0.1", "127.1.2.3", "::1", "[::1]"]))
    assert not any(map(is_loopback, ["", "127.evil.example", "127.0.0.1.nip.io", "10.0.0.1", "localhost.evil", "0.0.0.0"]))


def test_bearer_tokens() -> None:
    """The scheme in any case."""
    assert bearer_token([(b"a", b"b"), (b"Authorization", b"BEARER  x ")]) == b"x"
    assert bearer_token([(b"authorization", b"Basic x")]) is None


LINE = "x-anthropic-billing-header: cc_version=2.1; cch=1;"
CLAUDE_CODE = {"system": [{"type": "text", "text": LINE}, {"type": "text", "text": "You"}]}


@pytest.mark.parametrize("settings", [{"kind": "anthropic"}, {"kind": "anthropic", "base_url": "http://127.0.0.1:4100/x"}])
def test_towards_anthropic_nothing_changes(provider, asked, settings) -> None:
    """Betas, the attribution block, headers and bytes: an unknown one above all."""
    fields = ((b"anthropic-beta", b"new-2027-01-01"), (b"x-unknown", b"1"))
    request = asked(fields=fields, query="?beta=true", **CLAUDE_CODE)
    prepared = provider(**settings).prepare(request)
    assert (prepared.fields, prepared.body) == (fields, request.body)
    assert prepared.path.endswith("/v1/messages?beta=true")
    answered = prepared.plan_response(529, {}, id="x", now_s=0)
    assert (answered.status, answered.transform) == (529, None)


@pytest.mark.parametrize(
    "settings", [{"provider": "deepseek"}, {"provider": "vllm"}, {"kind": "anthropic", "base_url": "https://x.example"}]
)
def test_elsewhere_the_attribution_block_is_taken_out(provider, asked, settings) -> None:
    """It changes per request and ruins the server's prefix cache; all else stays."""
    prepared = provider(**settings).prepare(asked(**CLAUDE_CODE), model="other")
    assert LINE.encode() not in prepared.body
    assert b'"model":"other"' in prepared.body.replace(b" ", b"")
    plain = asked(tool_choice={"type": "auto"})
    assert provider(**settings).prepare(plain).body == plain.body


def test_ollama(provider, asked, estimated) -> None:
    """It has no count_tokens, and no tool_choice."""
    ollama = provider(provider="ollama")
    assert isinstance(ollama.prepare(asked("count_tokens")), estimated)
    chosen = ollama.prepare(asked(tool_choice={"type": "any"}))
    assert b"tool_choice" not in chosen.body
    assert chosen.dropped == ("tool_choice",)
    assert ollama.prepare(asked()).path == "/v1/messages"


def test_keys_are_sources(provider) -> None:
    """One for each, as it presents itself, by the name that the records have."""
    found = provider(
        {"A": "sk-ant-api03-a", "B": "sk-ant-oat01-b"}, kind="anthropic", keys=(Secret("env:A"), Secret("env:B"))
    )
    assert [dict(s.fields(None)) for s in found.sources] == [
        {b"x-api-key": b"sk-ant-api03-a"},
        {b"authorization": b"Bearer sk-ant-oat01-b"},
    ]
    assert [s.name for s in found.sources] == ["p#1", "p#2"]


def test_bedrocks_endpoint_of_the_messages_api(provider) -> None:
    """Mantle takes an API key, or a signature for its own service and region, which goes to its host only."""
    base_url = "https://bedrock-mantle.us-west-2.api.aws/anthropic"
    keyed = provider({"K": "key"}, kind="anthropic", base_url=base_url, keys=(Secret("env:K"),))
    sent = SigningInput(
        "POST", True, keyed.origin().host, keyed.origin().host, "/anthropic/v1/messages?beta=true", (), b"{}", 0.0
    )
    assert keyed.sources[0].fields(sent) == ((b"x-api-key", b"key"),)
    credentials = Credentials(access_key=Secret("env:A"), secret_key=Secret("env:S"))
    signed = provider({"A": "AKID", "S": "s"}, kind="anthropic", base_url=base_url, credentials=credentials)
    value = dict(signed.sources[0].fields(sent))[b"authorization"]
    assert b"/us-west-2/bedrock-mantle/aws4_request" in value
    with pytest.raises(CredentialError):
        signed.sources[0].fields(replace(sent, host="bedrock-mantle.eu-west-1.api.aws"))


def test_flags_that_the_configuration_denies_are_not_sent(provider, asked) -> None:
    """All others go on verbatim; what was taken out is told."""
    flags = ((b"anthropic-beta", b"old-2026-01-01,new-2027-01-01"),)
    made = provider({}, kind="anthropic", betas=Betas(deny=("old-*",))).prepare(asked(fields=flags))
    assert made.fields == ((b"anthropic-beta", b"new-2027-01-01"),)
    assert made.dropped == ("beta old-2026-01-01",)
    assert provider({}, kind="anthropic").prepare(asked(fields=flags)).fields == flags
