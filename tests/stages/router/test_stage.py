"""Router: which target, which path, which credential."""

from typing import Any

import msgspec
import pytest

from sluicegate.core.errors import Refused
from sluicegate.core.formats.other_apis import AWS
from sluicegate.core.formats.surfaces import format_at
from sluicegate.exchange.exchange import Exchange
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.audit import Audit
from sluicegate.settings.providers import Provider
from sluicegate.settings.routes import (
    Route,
    Target,
)
from sluicegate.settings.secret import Secret
from sluicegate.stages.router.direct import Direct
from sluicegate.stages.router.stage import Router
from sluicegate.testing import make_exchange, make_flow

CLIENTS = (b"x-api-key", b"sk-ant-api03-client")
COOKIE = (b"cookie", b"session=1")
OURS = (b"x-api-key", b"sk-ours")
ENVIRON = {"KEY": "sk-ours", "ONE": "sk-ours", "TWO": "sk-two"}


def settings(providers: dict[str, Provider], *routes: tuple[str, str, str | None]) -> Settings:
    return Settings(
        providers=providers,
        routes=tuple(Route(model=m, targets=(Target(provider=p, model=to),)) for m, p, to in routes),
        audit=Audit(log="off"),
    )


def route(
    config: Settings, *, model: str | None = "m", path: str = "/v1/messages", body: bytes | None = None, **fields: Any
) -> Exchange:
    content = body if body is not None else msgspec.json.encode({"model": model, "max_tokens": 1})
    x = fields.pop("x", None) or make_exchange(
        make_flow(path=path, body=content, origin=fields.get("origin", (True, "api.anthropic.com", 443))),
        settings=config,
        **{"client_credentials": (CLIENTS,), **fields},
    )
    Router(config, Services(ENVIRON)).request(x)
    return x


def credential(x: Exchange) -> Any:
    assert x.routing.target
    return tuple(x.routing.target.credential(x.request))


LOCAL = Provider(kind="anthropic", base_url="http://127.0.0.1:9999/prefix")
DEEP = Provider(kind="anthropic", base_url="https://api.deepseek.com/anthropic", keys=(Secret("env:KEY"),))
FREE = Provider(kind="anthropic", base_url="https://free.example")
ANTHROPIC = Provider(kind="anthropic")


def test_without_configuration_it_goes_where_the_door_points() -> None:
    """To the door's origin, with the client's own credential, its path and body untouched."""
    x = route(Settings(audit=Audit(log="off")), path="/proxy/v1/messages?beta=true")
    assert x.routing.target
    assert x.routing.target.origin == (True, "api.anthropic.com", 443)
    assert x.request.path == "/proxy/v1/messages?beta=true"
    assert credential(x) == (CLIENTS,)


def test_the_first_route_that_fits_is_taken() -> None:
    """Patterns in their order; the model is renamed where the route says so, the body otherwise as it was."""
    config = settings({"a": ANTHROPIC, "d": DEEP}, ("claude-haiku-*", "d", "deepseek-chat"), ("claude-*", "a", None))
    x = route(config, body=b'{"x": 1.0, "model":"claude-haiku-4-5"}')
    assert x.routing.target
    assert (x.routing.target.provider, x.routing.target.host, x.routing.target.model) == (
        "d",
        "api.deepseek.com",
        "deepseek-chat",
    )
    assert x.request.content == b'{"x":1.0,"model":"deepseek-chat"}'
    assert x.request.headers["content-length"] == str(len(x.request.content))
    x = route(config, body=b'{"x": 1.0, "model":"claude-opus-4-6"}')
    assert x.routing.target
    assert x.routing.target.provider == "a"
    assert x.request.content == b'{"x": 1.0, "model":"claude-opus-4-6"}'


def test_no_route_is_a_refusal() -> None:
    """404 in the words of the configuration; a hostile name is shortened and quoted."""
    config = settings({"a": ANTHROPIC}, ("claude-*", "a", None))
    with pytest.raises(Refused) as caught:
        route(config, model="x\n" * 500)
    assert caught.value.status == 404
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize("body", [b"{}", b'{"model": ""}'])
def test_without_a_model_the_refusal_names_the_field(body: bytes) -> None:
    """No route could be added for it; a route of every model takes the request, and its provider says what is wrong."""
    picky = settings({"a": ANTHROPIC}, ("claude-*", "a", None))
    with pytest.raises(Refused, match="model: this field is required") as refused:
        route(picky, body=body)
    assert refused.value.status == 400
    assert route(settings({"a": ANTHROPIC}, ("*", "a", None)), body=body)


@pytest.mark.parametrize("body", [b"", b"not json", b"[]"])
def test_what_is_no_request_goes_to_the_first_place(body: bytes) -> None:
    """The provider says what is wrong with it."""
    x = route(settings({"a": ANTHROPIC}, ("claude-*", "a", None)), body=body)
    assert x.routing.target
    assert x.routing.target.provider == "a"


@pytest.mark.parametrize("door", ["reverse", "regular", "replay"])
@pytest.mark.parametrize("path", ["/v1/messages", "/anthropic/v1/messages", "//v1/%6dessages", "/prefix/v1/messages/"])
def test_inference_paths_are_spelled_once(door: str, path: str) -> None:
    """The provider's prefix stands before them exactly once, whatever the client or an earlier run wrote."""
    x = route(settings({"d": DEEP}), path=path + "?beta=true", door=door, origin=(True, "api.deepseek.com", 443))
    assert x.request.path == "/anthropic/v1/messages?beta=true"
    route(settings({"d": DEEP}), x=x)
    assert x.request.path == "/anthropic/v1/messages?beta=true"


def test_other_paths() -> None:
    """On the reverse door they go to the first place under its prefix; elsewhere to the host named, as they are."""
    config = settings({"l": LOCAL, "d": DEEP})
    x = route(config, path="/v1/files", surface="other")
    assert x.routing.target
    assert (x.routing.target.provider, x.request.path) == ("l", "/prefix/v1/files")
    x = route(config, path="/v1/files", surface="other", door="regular", origin=(True, "api.deepseek.com", 443))
    assert x.routing.target
    assert (x.routing.target.provider, x.request.path) == ("d", "/v1/files")


GROQ = Provider(provider="groq", keys=(Secret("env:KEY"),))


def test_other_paths_lead_to_an_anthropic_provider() -> None:
    """The reverse door takes the first one among the routes, that of `*` before others, whatever stands before it."""
    config = settings({"g": GROQ, "d": DEEP, "a": ANTHROPIC}, ("x", "d", None), ("*", "g", None), ("y", "a", None))
    x = route(config, path="/v1/files", surface="other")
    assert x.routing.target
    assert x.routing.target.host == "api.deepseek.com"


@pytest.mark.parametrize(
    ("provider", "path"),
    [
        (ANTHROPIC, "/v1/responses"),
        (ANTHROPIC, "/v1/responses/resp_1?x=1"),
        (ANTHROPIC, "/v1/embeddings"),
        (ANTHROPIC, "/v1/images/generations"),
        (GROQ, "/v1/embeddings"),
        (GROQ, "/api/event_logging/v2/batch"),
    ],
)
def test_a_path_that_nobody_knows_is_refused_with_what_is_served(provider: Provider, path: str) -> None:
    """Other APIs of OpenAI do not go to Anthropic, nor a client's telemetry to a provider of Chat Completions."""
    config = settings({"p": provider})
    x = make_exchange(make_flow(path=path), settings=config, format=format_at("POST", path))
    with pytest.raises(Refused, match="is not served here: the gate takes POST /v1/messages") as refused:
        route(config, x=x)
    assert refused.value.status == 404
    assert "?" not in refused.value.message


def test_converse_is_refused_in_its_own_words() -> None:
    """A client of Bedrock's other API is told what there is; where the routes lead to Bedrock it passes."""
    path = "/model/us.anthropic.claude/converse-stream"
    x = make_exchange(make_flow(path=path), settings=settings({"a": ANTHROPIC}), format=format_at("POST", path))
    with pytest.raises(Refused, match="Converse is not served here: use InvokeModel"):
        route(settings({"a": ANTHROPIC}), x=x)
    assert x.format is AWS


@pytest.mark.parametrize(
    ("surface", "path"), [("bedrock", "/model/m/invoke"), ("chat_completions", "/v1/chat/completions")]
)
def test_what_is_no_json_is_refused_where_no_provider_knows_the_path(surface: str, path: str) -> None:
    """The first provider may speak another API: it could not say what is wrong."""
    with pytest.raises(Refused, match="must be a JSON object") as refused:
        route(settings({"a": ANTHROPIC}), path=path, surface=surface, body=b"{")
    assert refused.value.status == 400


def test_a_compatible_server_may_know_them() -> None:
    """Ollama and the like have more than the Messages API."""
    x = route(settings({"o": Provider(provider="ollama")}), path="/v1/embeddings", surface="other")
    assert x.routing.target
    assert (x.routing.target.port, x.request.path) == (11434, "/v1/embeddings")


@pytest.mark.parametrize("door", ["reverse", "regular", "upstream", "replay"])
def test_a_configured_key_is_used_and_the_clients_is_not(door: str) -> None:
    """On every door, for a provider under a path, too: the client's credential never goes to another host then."""
    x = route(settings({"d": DEEP}, ("*", "d", None)), door=door)
    assert credential(x) == (OURS,)


def test_account_pages_stay_the_clients_own_affair() -> None:
    """Through the regular door our key is put on API calls only."""
    config = settings({"a": Provider(kind="anthropic", keys=(Secret("env:KEY"),))})
    assert credential(route(config, path="/api/oauth/profile", surface="other", door="regular")) == (CLIENTS,)
    assert credential(route(config, path="/v1/files", surface="other", door="regular")) == (OURS,)


def test_a_cookie_belongs_to_the_host_that_it_was_sent_to() -> None:
    """A route to another host takes the API key along, where no key is configured, and never the cookie."""
    x = route(settings({"f": FREE}, ("*", "f", None)), client_credentials=(CLIENTS, COOKIE), door="regular")
    assert credential(x) == (CLIENTS,)
    x = route(settings({"a": ANTHROPIC}), client_credentials=(CLIENTS, COOKIE), door="regular")
    assert credential(x) == (CLIENTS, COOKIE)


def test_a_subscription_is_not_routed_away() -> None:
    """Refused towards a third party without a key of its own; with one it is simply not sent."""
    token = ((b"authorization", b"Bearer sk-ant-oat01-x"),)
    with pytest.raises(Refused):
        route(settings({"f": FREE}, ("*", "f", None)), client_credentials=token)
    assert credential(route(settings({"d": DEEP}, ("*", "d", None)), client_credentials=token)) == (OURS,)
    assert credential(route(settings({"a": ANTHROPIC}), client_credentials=token)) == token


def test_a_host_that_is_no_providers_keeps_its_own() -> None:
    """Regular door, plain HTTP to anywhere: the host that was named, no key of ours, not even on an API path."""
    config = settings({"a": Provider(kind="anthropic", keys=(Secret("env:KEY"),))})
    x = route(config, door="regular", origin=(False, "elsewhere.example", 80))
    assert x.routing.target
    assert x.routing.target.origin == (False, "elsewhere.example", 80)
    assert credential(x) == (CLIENTS,)


def test_extra_headers_and_proxies() -> None:
    """A provider's own headers are put on; its proxy is the target's."""
    provider = Provider(kind="anthropic", headers={"x-team": "t"}, proxy="http://user:pw@proxy.test:3128")
    x = route(settings({"a": provider}))
    assert x.request.headers["x-team"] == "t"
    assert x.routing.target
    assert x.routing.target.via == ("http", ("proxy.test", 3128))
    assert "pw" not in repr(x.routing.target)


# -- probes
OPENAI = Provider(kind="openai", base_url="http://127.0.0.1:9/v1", keys=(Secret("env:KEY"),))


def probe(config: Settings, path: str, method: str = "HEAD", door: str = "reverse") -> Exchange:
    flow = make_flow(method=method, path=path, body=b"")
    return route(config, x=make_exchange(flow, settings=config, format=format_at(method, path), door=door))


@pytest.mark.parametrize("path", ["/", "/api/hello", "/v1/messages", "/v1/chat/completions?x=1"])
def test_a_probe_finds_the_gate_where_no_provider_takes_it(path: str) -> None:
    """HEAD, as clients ask whether there is a server: 200, if only providers of Chat Completions stand behind the gate."""
    x = probe(settings({"o": OPENAI}), path)
    assert x.answer
    assert (x.answer.status_code, x.answer.content) == (200, b"")


def test_a_provider_that_takes_the_probe_answers_it() -> None:
    """Anthropic does, except on paths of OpenAI's."""
    x = probe(settings({"a": ANTHROPIC}), "/")
    assert x.answer is None
    assert x.routing.target
    assert probe(settings({"a": ANTHROPIC}), "/v1/chat/completions").answer


@pytest.mark.parametrize(("method", "path"), [("HEAD", "/v1/responses"), ("HEAD", "/v1/files"), ("GET", "/api/hello")])
def test_what_is_no_probe_is_refused_as_before(method: str, path: str) -> None:
    """Another method, and a path that the gate does not serve."""
    with pytest.raises(Refused, match="is not served here"):
        probe(settings({"o": OPENAI}), path, method)


# -- fallbacks that are too small
def test_a_fallback_whose_context_is_too_small_is_left_out() -> None:
    """Unless it is the first target, is asked for the same model, or the prompt may fit; both ends of the limit hold."""

    def names(content: str, *contexts: int | None, model: str = "small", max_tokens: int = 10) -> int:
        targets = (Target(provider="a"), *(Target(provider="d", model=model, context=c) for c in contexts))
        config = Settings(
            providers={"a": ANTHROPIC, "d": DEEP}, routes=(Route(model="*", targets=targets),), audit=Audit(log="off")
        )
        messages = [{"role": "user", "content": content}]
        body = msgspec.json.encode({"model": "m", "max_tokens": max_tokens, "messages": messages})
        attempts = route(config, body=body).routing.attempts
        return len(attempts.candidates) if attempts else 0

    assert names("x" * 5000, 100) == 1
    assert names("x" * 5000, 100, 2000) == 2
    assert names("x" * 5000, 100, model="m") == 2
    assert names("x" * 5000, 2000) == 2
    assert names("x" * 5000, 1030, max_tokens=10) == 2
    assert names("x" * 5000, 1030, max_tokens=100) == 1
    assert names("x" * 5000, None, model="a-model-of-which-nothing-is-known") == 2


def test_the_first_target_is_asked_however_small_it_is() -> None:
    """Then the provider says that the prompt is too long: a refusal by estimate could be wrong."""
    target = Target(provider="d", model="small", context=1)
    config = Settings(providers={"d": DEEP}, routes=(Route(model="*", targets=(target, target)),), audit=Audit(log="off"))
    x = route(config)
    assert x.routing.target
    assert x.routing.attempts
    assert len(x.routing.attempts.candidates) == 1


def test_a_model_without_a_route_is_a_404_that_says_what_to_add() -> None:
    """Not to be tried again; a long name is cut."""
    with pytest.raises(Refused) as refused:
        route(settings({"a": ANTHROPIC}, ("x", "a", None)), model="y" * 300)
    assert (refused.value.status, refused.value.should_retry) == (404, False)
    assert "add one under routes" in refused.value.message
    assert "y" * 101 not in refused.value.message


# -- what the whole of the routes is
@pytest.mark.parametrize(
    ("providers", "routes", "transparent"),
    [
        ({}, (), True),
        ({"a": ANTHROPIC}, (), True),
        ({"a": ANTHROPIC}, (("*", "a", None),), True),
        ({"a": ANTHROPIC}, (("claude-*", "a", None),), False),
        ({"a": ANTHROPIC}, (("*", "a", "m"),), False),
        ({"o": OPENAI}, (("*", "o", None),), False),
        ({"a": ANTHROPIC, "d": DEEP}, (("*", "a", None),), False),
    ],
)
def test_one_provider_for_everything_is_transparent(
    providers: dict[str, Provider], routes: tuple[tuple[str, str, str | None], ...], transparent: bool
) -> None:
    """Then its own list of models is right: one Anthropic provider, every model, under the clients' names."""
    assert Router(settings(providers, *routes), Services(ENVIRON)).is_transparent is transparent


def test_the_hosts_are_those_of_all_providers() -> None:
    """Whether a route leads to them or not; without any provider there are none of our own."""
    assert Router(settings({"d": DEEP, "f": FREE}, ("*", "d", None)), Services(ENVIRON)).hosts == {
        "api.deepseek.com",
        "free.example",
    }
    assert Router(settings({}), Services(ENVIRON)).hosts == frozenset()


# -- the request for its target
def test_a_renamed_model_is_remembered_as_asked() -> None:
    """The record tells the model that the client asked for."""
    assert route(settings({"d": DEEP}, ("*", "d", "other")), model="m").model == "m"


def test_the_scheme_is_that_of_the_target() -> None:
    """http to a provider on this machine, https to all others."""
    for provider, scheme, tls in ((LOCAL, b"http", False), (DEEP, b"https", True)):
        x = route(settings({"p": provider}, ("*", "p", None)))
        assert x.request.data.scheme == scheme
        assert x.routing.target
        assert x.routing.target.tls is tls
    x = route(Settings(audit=Audit(log="off")), origin=(False, "127.0.0.1", 9))
    assert x.request.data.scheme == b"http"


THINKING = [
    {"role": "user", "content": "hi"},
    {
        "role": "assistant",
        "content": [{"type": "thinking", "thinking": "t", "signature": "s"}, {"type": "text", "text": "a"}],
    },
    {"role": "user", "content": "on"},
]


@pytest.mark.parametrize(("to", "kept"), [("claude-haiku-4-5", False), ("claude-opus-4-1-20250805", True), (None, True)])
def test_another_model_gets_no_thinking_that_it_did_not_sign(to: str | None, kept: bool) -> None:
    """The same model under another name does."""
    body = msgspec.json.encode({"model": "claude-opus-4-1", "max_tokens": 1, "messages": THINKING})
    x = route(settings({"a": ANTHROPIC}, ("*", "a", to)), body=body)
    assert (b'"thinking"' in (x.request.data.content or b"")) is kept


def test_a_subscription_login_stays_with_anthropic_without_a_router() -> None:
    """Direct, in the Router's place: the client's own host, its own credential; nothing of the gate's goes along."""
    token = (b"authorization", b"Bearer sk-ant-oat01-x")
    admin = (b"x-sluicegate-admin", b"secret")
    x = make_exchange(make_flow(origin=(True, "api.anthropic.com", 443)), client_credentials=(token, admin))
    direct = Direct(Settings(audit=Audit(log="off")), Services(ENVIRON))
    direct.request(x)
    assert credential(x) == (token,)
    chosen = x.routing.target
    direct.request(x)
    assert x.routing.target is chosen
    x = make_exchange(make_flow(origin=(True, "elsewhere.example", 443)), client_credentials=(token,))
    with pytest.raises(Refused, match="subscription"):
        direct.request(x)
