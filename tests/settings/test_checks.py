"""The rules between keys, and inside URLs, patterns and addresses."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.settings import PRESETS, Settings
from sluicegate.settings.providers import PRESET_KEYS
from sluicegate.settings.reading.load import load


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("http://h", None),
        ("https://[::1]:8443/v1/", None),
        ("ftp://h", "begins with http:// or https://"),
        ("h:80", "begins with http:// or https://"),
        ("https://", "with a host"),
        ("https:///v1", "with a host"),
        ("https://u:p@h", "without credentials"),
        ("https://@h", "without credentials"),
        ("https://h?x=1", "without query or fragment"),
        ("https://h/#", "without query or fragment"),
        ("https://h:99999", "valid host and port"),
        ("https://h:0", "a port from 1 to 65535"),
        ("https://[::1", "valid host and port"),
        ("https://h /v1", "without spaces"),
        ("https://a\\\\b", "without spaces"),
    ],
)
def test_base_url(read: Callable[..., Settings], refused: Callable[..., list[str]], url: str, message: str | None) -> None:
    """A base URL is http(s) with a host, and nothing that a request could not keep."""
    text = f'providers:\n  a:\n    kind: anthropic\n    base_url: "{url}"'
    if message is None:
        assert read(text).providers["a"].resolved_base_url == url.rstrip("/")
    else:
        (line,) = refused(text)
        assert line.startswith("gate.yaml:4: providers.a.base_url: ")
        assert message in line


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("providers: {a: {}}", "providers.a: expected one of kind"),
        ("providers: {a: {kind: openai, provider: groq}}", "providers.a: expected one of kind"),
        ("providers: {a: {provider: grok}}", "providers.a.provider: unknown preset; did you mean groq?"),
        ("providers: {a: {provider: zzzz}}", "providers.a.provider: unknown preset; known presets: cerebras"),
        ("providers: {a: {kind: bedrock}}", "providers.a.region: kind bedrock needs it"),
        ("providers: {a: {kind: x-acme}}", "providers.a.base_url: kind x-acme needs it"),
        ("providers: {a: {kind: acme}}", "providers.a.kind: expected anthropic, bedrock"),
        (
            "{providers: {a: {kind: anthropic}}, routes: [{model: m, targets: [{provider: a, region: evil.example/x}]}]}",
            "routes[0].targets[0].region: expected lower-case letters",
        ),
        ("providers: {a: {kind: bedrock, region: evil.com/x}}", "providers.a.region: expected lower-case letters"),
        (
            "providers: {a: {kind: bedrock, region: r, credentials: {access_key: env:A}}}",
            "providers.a.credentials.secret_key: access_key and secret_key must be set together",
        ),
        (
            "providers: {a: {kind: openai, base_url: 'https://h/v1/chat/completions'}}",
            "providers.a.base_url: expected the URL without the endpoint's path",
        ),
        (
            "providers: {a: {kind: anthropic, base_url: 'https://h/v1/messages/'}}",
            "providers.a.base_url: expected the URL without the endpoint's path",
        ),
        (
            "providers: {a: {kind: openai, base_url: 'https://api.openai.com/'}}",
            "providers.a.base_url: expected https://api.openai.com/v1",
        ),
        (
            "providers: {a: {kind: openai, token: env:T}}",
            "providers.a.token: kind openai does not use it; it belongs under keys",
        ),
        (
            "providers: {a: {kind: anthropic, credentials: {profile: p}}}",
            "providers.a.credentials.profile: kind anthropic does not use it",
        ),
        ("providers: {a: {kind: copilot}}", "providers.a.consent: kind copilot uses unofficial endpoints"),
        (
            "providers: {a: {kind: copilot, consent: true, base_url: 'http://h'}}",
            "providers.a.base_url: kind copilot takes none",
        ),
        ("providers: {a: {kind: anthropic, proxy: maybe}}", "providers.a.proxy: expected inherit, none or a URL"),
        ("providers: {a: {kind: anthropic, headers: {Host: h}}}", "providers.a.headers.Host: the gate sets this header"),
        ("providers: {a: {kind: anthropic, headers: {'a b': h}}}", 'providers.a.headers["a b"]: not the name'),
        ('providers: {a: {kind: anthropic, headers: {a: "x\\r\\ny: z"}}}', "providers.a.headers.a: the value has"),
        ("retry: {backoff: {start_s: 9}}", "retry.backoff.start_s: is longer than max_s, 8 s"),
        ("cache: {strip: {messages: ['ok', '(']}}", "cache.strip.messages[1]: not a regular expression: missing )"),
        ("identity: {keys: [{key: env:A}, {key: env:A}]}", "identity.keys[1].key: the same key as identity.keys[0]"),
        (
            "identity: {trusted_header: {name: x-user, peers: [everyone]}}",
            "identity.trusted_header.peers[0]: expected an address",
        ),
        (
            "identity: {trusted_header: {name: X-Api-Key, peers: [10.0.0.1]}}",
            "identity.trusted_header.name: this header already has a meaning",
        ),
        (
            "identity: {mode: passthrough}\nproviders: {a: {kind: anthropic, keys: [env:A]}}",
            "providers.a: in identity.mode passthrough",
        ),
        (
            "identity: {mode: passthrough}\nproviders: {a: {kind: bedrock, region: r, credentials: {profile: p}}}",
            "providers.a: in identity.mode passthrough",
        ),
        ("cors: {origins: ['*']}", "cors.origins[0]: expected an origin"),
        ("store: 'redis://h:99999'", "store: expected a URL with a valid host and port"),
        ("regular: {decrypt: ['https://h']}", "regular.decrypt[0]: expected a host name without scheme"),
    ],
)
def test_cross_checks(refused: Callable[..., list[str]], text: str, message: str) -> None:
    """What no single value shows is told at its key."""
    (line,) = refused(text)
    assert line.startswith((f"gate.yaml:1: {message}", f"gate.yaml:2: {message}"))


def test_users_may_be_e_mail_addresses(read: Callable[..., Settings], refused: Callable[..., list[str]]) -> None:
    """In limits and in keys; teams are names."""
    settings = read("limits: {users: {ann@corp.example: {rpm: 5}}}\nidentity: {keys: [{key: 'env:K', user: a@b.c}]}")
    assert settings.limits.users["ann@corp.example"].rpm == 5
    assert settings.identity.keys[0].user == "a@b.c"
    assert refused("limits: {teams: {ann@corp.example: {rpm: 5}}}")


def test_a_mistyped_kind_gets_a_suggestion(refused: Callable[..., list[str]]) -> None:
    """The nearest kind; none for what is near to no kind, and what was written is never repeated."""
    (line,) = refused("providers: {a: {kind: antropic}}")
    assert line.endswith("got something else; did you mean anthropic?")
    (line,) = refused("providers: {a: {kind: 'https://u:p@h'}}")
    assert line.endswith("got something else")


def test_provider_overrides(read: Callable[..., Settings]) -> None:
    """A provider's own time limits and connection numbers go before the general ones."""
    settings = read(
        "timeouts: {idle_s: 9}\nconnections: {max: 50, pool_s: 4}\n"
        "providers: {a: {kind: anthropic, timeouts: {idle_s: 1m}, connections: {max: 20}}, b: {kind: anthropic}}"
    )
    assert settings.timeouts_for("a").idle_s == 60.0
    assert settings.timeouts_for("b").idle_s == 9.0
    assert settings.timeouts_for("b").pool_s == 4.0
    assert (settings.connections_for("a").max, settings.connections_for("b").max) == (20, 50)


def test_vendor_urls(read: Callable[..., Settings]) -> None:
    """Without a base URL the vendor's own is used."""
    providers = read(
        "providers: {a: {kind: anthropic}, b: {kind: bedrock, region: us-east-1}, "
        " g: {kind: vertex, project: p, location: global}, "
        " v: {kind: vertex, project: p, location: us-east5}, q: {provider: groq}}"
    ).providers
    assert {name: provider.resolved_base_url for name, provider in providers.items()} == {
        "a": "https://api.anthropic.com",
        "b": "https://bedrock-runtime.us-east-1.amazonaws.com",
        "g": "https://aiplatform.googleapis.com",
        "v": "https://us-east5-aiplatform.googleapis.com",
        "q": "https://api.groq.com/openai/v1",
    }
    assert providers["q"].resolved_kind == "openai"


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ("{default: {burst: 5}}", "limits.default.burst: burst needs rpm"),
        ("{timezone: Europe/Bärlin}", "limits.timezone: unknown time zone; expected a name such as Europe/Berlin"),
        ("{timezone: ../etc/passwd}", "limits.timezone: unknown time zone"),
        (
            "{teams: {a: {downgrade: [{over: 0.8, from: x, to: y}]}}}",
            "limits.teams.a.downgrade: downgrade needs a budget",
        ),
        ("{users: {a: {downgrade: [{over: 1.2, from: x, to: y}]}}}", "limits.users.a.downgrade[0].over: expected a part"),
        ("{users: {a: {downgrade: [{over: 0.5, to: y}]}}}", "limits.users.a.downgrade[0].from: this key is required"),
        (
            "{models: {'claude-*': {deny: [x]}}}",
            'limits.models["claude-*"].deny: not allowed here; set it for keys, teams or users',
        ),
        ("{providers: {p: {rpm: 1}}}", "limits.providers.p: unknown provider; configured: none"),
    ],
)
def test_limits(refused: Callable[[str], list[str]], limits: str, message: str) -> None:
    """Limits that contradict themselves are refused by their path."""
    (line,) = refused(f"limits: {limits}")
    assert message in line


@pytest.mark.parametrize(
    ("provider", "keys"),
    [
        ("{provider: groq}", ["env:GROQ_API_KEY"]),
        ("{provider: groq, keys: [env:MINE]}", ["env:MINE"]),
        ("{provider: groq, base_url: 'https://h/v1'}", []),
        ("{provider: openrouter}", []),
        ("{provider: ollama}", []),
        ("{kind: openai}", []),
    ],
)
def test_a_preset_knows_where_its_key_is(tmp_path: Path, provider: str, keys: list[str]) -> None:
    """A preset's name is enough if its key is in the environment, under the vendor's name; it goes to the vendor only."""
    file = tmp_path / "gate.yaml"
    file.write_text(f"providers: {{a: {provider}}}")
    environ = {"GROQ_API_KEY": "k", "OPENROUTER_API_KEY": "", "OPENAI_API_KEY": "k", "HOME": "/h", "MINE": "m"}
    assert [key.reference for key in load(file, environ).providers["a"].keys] == keys


def test_keys_of_presets() -> None:
    """Each of them belongs to a preset; servers on this machine have none."""
    assert set(PRESETS) - set(PRESET_KEYS) == {"llamacpp", "lmstudio", "ollama", "vllm"}
    assert set(PRESET_KEYS) <= set(PRESETS)


def test_bedrocks_endpoint_of_the_messages_api_takes_aws_credentials(read: Callable[..., Settings]) -> None:
    """Kind anthropic uses a profile there, and nowhere else."""
    url = "https://bedrock-mantle.us-west-2.api.aws/anthropic"
    text = f"providers: {{a: {{kind: anthropic, base_url: '{url}', credentials: {{profile: p}}}}}}"
    assert read(text).providers["a"].credentials.profile == "p"
