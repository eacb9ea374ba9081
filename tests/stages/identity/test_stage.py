"""Identity: who comes in, as whom, and what of it goes on."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
from mitmproxy.proxy.mode_specs import ProxyMode

from kits.identitykit import (
    KEY,
    STATIC,
    Header,
    at_proxy,
    bearer,
    gate,
    settings_for,
    store_key,
    x_api_key,
)
from sluicegate.core.errors import Refused, StoreError
from sluicegate.core.identity.caller import Caller
from sluicegate.core.identity.keys import new_key
from sluicegate.exchange.exchange import exchange_of
from sluicegate.gate.chain import Chain
from sluicegate.gate.doors import reject_remote_client
from sluicegate.proxy.seal import seal
from sluicegate.settings import Settings
from sluicegate.settings.identity import Team, TrustedHeader, VirtualKey
from sluicegate.settings.providers import Provider
from sluicegate.settings.secret import Secret
from sluicegate.stages.identity.stage import Identity
from sluicegate.testing import (
    descend,
    make_exchange,
    make_flow,
    planted,
    the_exchange,
)

OTHER = new_key(b"o" * 32)
STRANGER = {"peer": ("203.0.113.9", 1)}


async def ask(settings: Settings, *headers: Header, **flow: Any) -> Any:
    """(status, caller, message) of one request; status 0 where it was released."""
    with gate(settings) as chain:
        made = make_flow(headers=headers, **flow)
        await descend(chain, made)
        x = the_exchange(made)
        if made.response is None:
            assert x.routing.release
            return 0, x.caller, ""
        assert x.routing.release is None
        return made.response.status_code, x.caller, msgspec.json.decode(made.response.content or b"")["error"]


# -- keys
@pytest.mark.parametrize("header", [x_api_key(), bearer(), (b"Authorization", KEY.encode()), (b"api-key", KEY.encode())])
async def test_a_virtual_key_lets_in(tmp_path: Path, header: Header) -> None:
    """In any of a client's headers; the caller is the key's record."""
    settings = settings_for(tmp_path)
    record = store_key(settings, name="laptop", team="a", user="u", project="p", tags={"x": "1"}, budget_usd={"day": 2.0})
    status, caller, _ = await ask(settings, header)
    assert status == 0
    assert caller == Caller(record.id, "laptop", "a", "u", "p", {"x": "1"}, (), {"day": 2.0}, mode="keys")


async def test_a_static_key_lets_in(tmp_path: Path) -> None:
    """A key of the configuration has the properties given there; its id is not part of the key."""
    status, caller, _ = await ask(settings_for(tmp_path), x_api_key(STATIC))
    assert status == 0
    assert (caller.team, caller.tags, caller.mode) == ("a", {"cost_center": "4711"}, "keys")
    assert caller.key_id.startswith("static_")
    assert STATIC not in repr(caller)


async def test_a_teams_defaults_hold_for_its_keys(tmp_path: Path) -> None:
    """Static or stored."""
    teams = {"a": Team(project="tp", tags={"stage": "prod", "cost_center": "0"}, models=("claude-*",))}
    settings = settings_for(tmp_path, teams=teams)
    store_key(settings, team="a")
    for key, center in ((STATIC, "4711"), (KEY, "0")):
        _, caller, _ = await ask(settings, x_api_key(key), body={"model": "claude-x"})
        assert (caller.project, caller.models) == ("tp", ("claude-*",))
        assert caller.tags == {"stage": "prod", "cost_center": center}


@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"expires_at": 1.0}, "expired"),
        ({"revoked_at": 1.0}, "revoked"),
        ({"paused_at": 1.0}, "paused"),
        ({"previous": b"", "digest": b"another"}, "invalid virtual key"),
    ],
)
async def test_the_401_says_why_a_key_is_not_valid(tmp_path: Path, about: dict[str, Any], words: str) -> None:
    """401 in the client's format, without retry and without a caller."""
    settings = settings_for(tmp_path)
    about.pop("previous", None)
    if about.pop("digest", None):
        store_key(settings, OTHER)
    else:
        store_key(settings, **about)
    status, caller, error = await ask(settings, x_api_key())
    assert (status, caller, error["type"]) == (401, None, "authentication_error")
    assert words in error["message"]


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (x_api_key(""),),
        (x_api_key(KEY[:-1]),),
        (x_api_key(KEY + "x"),),
        (x_api_key(KEY.upper()),),
        (x_api_key("anything"),),
        (bearer("anything"),),
        (at_proxy(),),  # of use on the proxy's doors only
        ((b"cookie", b"key=" + KEY.encode()),),
        ((b"x-virtual-key", KEY.encode()),),
        ((b"authorization", b"Basic " + KEY.encode()),),
        tuple(x_api_key(new_key(bytes([n]) * 32)) for n in range(9)),
        (*(x_api_key("no") for _ in range(8)), x_api_key()),
    ],
)
async def test_nothing_else_does(tmp_path: Path, headers: tuple[Header, ...]) -> None:
    """401, and the refusal quotes nothing."""
    settings = settings_for(tmp_path)
    store_key(settings)
    status, caller, error = await ask(settings, *headers)
    assert (status, caller) == (401, None)
    assert KEY not in error["message"]


@pytest.mark.parametrize("key", ["sk-ant-api03-x", "sk-ant-oat01-x", "sk-proj-x", "gsk_x", "AIzax"])
@pytest.mark.parametrize("with_ours", [False, True])
async def test_a_providers_own_key_is_refused(tmp_path: Path, key: str, with_ours: bool) -> None:
    """Also beside a valid virtual key: the client would believe that its own key is used."""
    settings = settings_for(tmp_path)
    store_key(settings)
    ours = (x_api_key(),) if with_ours else ()
    status, _, error = await ask(settings, *ours, bearer(key))
    assert status == 401
    assert "provider keys are not accepted" in error["message"]
    assert key not in error["message"]


async def test_a_dummy_beside_a_good_key_does_no_harm(tmp_path: Path) -> None:
    """Clients that insist on an x-api-key of their own; it is dropped."""
    settings = settings_for(tmp_path)
    store_key(settings)
    assert (await ask(settings, x_api_key("dummy"), bearer()))[0] == 0


async def test_nothing_that_was_presented_goes_upstream(tmp_path: Path) -> None:
    """The key in all the places where a client may put it, cookies, admin tokens: only the provider's own key is sent."""
    settings = settings_for(tmp_path)
    store_key(settings)
    settings = msgspec.structs.replace(
        settings, providers={"anthropic": Provider(kind="anthropic", keys=(Secret("env:ANTHROPIC"),))}
    )
    headers = [
        *(x_api_key(), bearer(), at_proxy(), (b"cookie", b"c=" + KEY.encode()), (b"x-custom", b"a " + KEY.encode())),
        *((b"x-goog-api-key", b"dummy"), (b"x-sluicegate-admin", b"t"), (b"x-kept", b"1")),
    ]
    with gate(settings) as chain:
        flow = make_flow(headers=headers, body={"model": "m"})
        await descend(chain, flow)
        x = the_exchange(flow)
        assert x.client_credentials == ()
        assert x.routing.release
        sent = seal(flow.request, x.routing.release, None, h1_upstream=True)  # type: ignore[arg-type]
        fields = dict(sent.headers.fields)
        assert fields[b"x-api-key"] == b"sk-ant-api03-of-the-gate"
        assert set(fields) == {b"host", b"x-api-key", b"x-kept", b"content-length"}
        assert KEY.encode() not in repr(flow.get_state()).encode()


async def test_a_provider_without_keys_gets_none(tmp_path: Path) -> None:
    """A virtual key does not replace it."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        flow = make_flow(headers=[x_api_key()])
        await descend(chain, flow)
        release = the_exchange(flow).routing.release
        assert release
        assert tuple(release.target.credential(flow.request)) == ()


async def test_a_key_in_the_url_is_refused_and_taken_out(tmp_path: Path) -> None:
    """Records and flows keep URLs."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        flow = make_flow("GET", f"/v1/models?key={KEY}&a=1", headers=[x_api_key()])
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 400
        assert KEY not in flow.request.path


async def test_what_a_refused_client_sent_is_not_kept(tmp_path: Path) -> None:
    """Its key stands in no flow."""
    with gate(settings_for(tmp_path)) as chain:
        flow = make_flow(headers=[(b"x-custom", KEY.encode()), x_api_key(OTHER)])
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 401
        state = repr(flow.get_state())
        assert KEY[6:] not in state
        assert OTHER[6:] not in state


async def test_an_edit_on_the_way_brings_no_credential_in(tmp_path: Path) -> None:
    """A key typed into an intercepted request is not passed on."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        flow = make_flow(headers=[x_api_key()])
        chain.requestheaders(flow)
        x = the_exchange(flow)
        x.client_credentials = ((b"x-api-key", b"sk-ant-api03-typed"),)
        flow.request.headers["x-new"] = KEY
        await descend_rest(chain, flow)
        assert x.routing.release
        assert tuple(x.routing.release.target.credential(flow.request)) == ()
        assert "x-new" not in flow.request.headers


async def descend_rest(chain: Any, flow: Any) -> None:
    if waiting := chain.request(flow):
        await waiting


# -- models
def batch_of(*models: str | None) -> dict[str, Any]:
    return {"requests": [{"custom_id": f"c{n}", "params": {"model": m} if m else {}} for n, m in enumerate(models)]}


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/messages", {"model": "claude-haiku-4-5"}, 0),
        ("/v1/messages/count_tokens", {"model": "claude-haiku-4-5"}, 0),
        ("/v1/messages", {"model": "claude-opus-4-1"}, 403),
        ("/v1/messages/count_tokens", {"model": "claude-opus-4-1"}, 403),
        ("/v1/messages", b'{"model": "claude-haiku-4-5", "model": "claude-opus-4-1"}', 403),
        ("/v1/messages", b"not json", 403),
        ("/v1/messages", b'["claude-haiku-4-5"]', 403),
        ("/v1/messages", b'{"model": 1}', 403),
        ("/v1/messages", b"{}", 403),
        ("/v1/messages/batches", b"{}", 403),
        ("/v1/messages/batches", batch_of("claude-haiku-4-5", "claude-haiku-4-5"), 0),
        ("/v1/messages/batches", batch_of("claude-haiku-4-5", "claude-opus-4-1"), 403),
        ("/v1/messages/batches?x=1", batch_of(None), 403),
        ("/v1/complete", b"{}", 403),
        ("/v1/chat/completions", b'{"model": "claude-haiku-4-5"}', 0),
        ("/v1/chat/completions", b'{"model": "claude-opus-4-1"}', 403),
        ("/api/../v1/messages/batches", b"{}", 403),
        ("/api/%2e%2e/v1/complete", b"{}", 403),
        ("/v1/files/../complete", b"{}", 403),
        ("/v1/files", b"file", 0),
        ("/api/event_logging/v2/batch", b"{}", 0),
    ],
)
async def test_a_key_for_some_models_is_for_no_others(tmp_path: Path, path: str, body: Any, status: int) -> None:
    """By no path that could start one either; the refusal says which it is for."""
    settings = settings_for(tmp_path, shared_account=True)
    store_key(settings, models=("claude-haiku-*",))
    got, _, error = await ask(settings, x_api_key(), path=path, body=body)
    assert got == status
    if status:
        assert error["type"] == "permission_error"
        assert "claude-haiku-*" in error["message"]


async def test_a_key_for_all_models_is_for_all_paths(tmp_path: Path) -> None:
    """Where keys share the account: batches, files, whatever the provider has; and reading is free for all."""
    settings = settings_for(tmp_path, shared_account=True)
    store_key(settings)
    store_key(settings, OTHER, models=("claude-haiku-*",))
    assert (await ask(settings, x_api_key(), path="/v1/messages/batches", body=b"{}"))[0] == 0
    assert (await ask(settings, x_api_key(OTHER), method="GET", path="/v1/models"))[0] == 0


@pytest.mark.parametrize("door", ["reverse:https://api.anthropic.com@4000", "regular"])
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/files", 403),
        ("GET", "/v1/files/file_011CNha8iCJcU1wXNR6q4V8w/content", 403),
        ("DELETE", "/v1/files/file_1", 403),
        ("POST", "/v1/files", 403),
        ("GET", "/v1/messages/batches", 403),
        ("GET", "/v1/messages/batches/msgbatch_1/results?beta=true", 403),
        ("POST", "/v1/messages/batches", 403),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel", 403),
        ("GET", "/v1/api/../files", 403),
        ("GET", "/v1/skills", 403),
        ("GET", "/v1/models", 0),
        ("POST", "/v1/messages/count_tokens", 0),
        ("HEAD", "/", 0),
        ("HEAD", "/v1/messages", 0),
        ("HEAD", "/v1/files", 403),
        ("GET", "/api/hello", 0),
        ("POST", "/api/event_logging/v2/batch", 0),
    ],
)
async def test_what_others_have_left_in_the_account_is_out_of_reach(
    tmp_path: Path, door: str, method: str, path: str, status: int
) -> None:
    """A key lists, reads, deletes and makes nothing in the account that all share; models and its own affairs it may."""
    settings = settings_for(tmp_path)
    store_key(settings, team="a")
    headers = (x_api_key(), at_proxy()) if door == "regular" else (x_api_key(),)
    flow: dict[str, Any] = {"mode": door, "origin": (True, "api.anthropic.com", 443)} if door == "regular" else {}
    got, _, error = await ask(settings, *headers, method=method, path=path, body=b"{}", **flow)
    assert got == status
    if status:
        assert error["type"] == "permission_error"
        assert "identity.shared_account" in error["message"]


@pytest.mark.parametrize(
    "path",
    [
        "/v1/responses",
        "/model/m/converse",
        "/v1/projects/p/locations/l/publishers/google/models/g:generateContent",
        "/v1/complete",
        "/v9/new",
    ],
)
async def test_a_path_that_the_gate_does_not_serve_is_no_reason_to_open_the_account(tmp_path: Path, path: str) -> None:
    """404 with what is served in its place; `identity.shared_account` would open files and batches of all keys."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        flow = make_flow(headers=[x_api_key()], path=path)
        await descend(chain, flow)
    assert flow.response
    assert flow.response.status_code == 404
    assert f"{path} is not served to virtual keys: the gate takes POST /v1/messages" in (flow.response.text or "")
    assert "shared_account" not in (flow.response.text or "")


# -- the proxy's doors
PLAIN: dict[str, Any] = {"mode": "regular", "method": "GET", "path": "/x", "origin": (False, "example.com", 80)}


@pytest.mark.parametrize("mode", ["regular", "upstream:http://corp:3128"])
@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ((), 407),
        ((at_proxy(),), 0),
        ((at_proxy(user=""),), 0),
        ((at_proxy(STATIC),), 0),
        ((at_proxy(OTHER),), 407),
        ((at_proxy(KEY[:-1]),), 407),
        ((x_api_key(),), 407),
        ((bearer(),), 407),
        ((at_proxy(), at_proxy()), 407),
        ((b"proxy-authorization", b"Bearer " + KEY.encode()), 407),
        ((b"proxy-authorization", b"Basic " + KEY.encode()), 407),
    ],
)
async def test_plain_requests_to_a_proxy_need_its_password(tmp_path: Path, mode: str, headers: Any, status: int) -> None:
    """407 that says how, in words and in Proxy-Authenticate; a key for the provider's API is none for the proxy."""
    settings = settings_for(tmp_path)
    store_key(settings)
    headers = (headers,) if headers and isinstance(headers[0], bytes) else headers
    with gate(settings) as chain:
        for origin in ((False, "example.com", 80), (True, "api.anthropic.com", 443)):
            flow = make_flow(headers=headers, **{**PLAIN, "mode": mode, "origin": origin})
            await descend(chain, flow)
            assert (flow.response.status_code if flow.response else 0) == status
            if status:
                assert flow.response
                assert flow.response.headers["proxy-authenticate"].startswith("Basic ")
                assert exchange_of(flow).routing.release is None  # type: ignore[union-attr]


async def test_what_is_for_another_host_goes_there(tmp_path: Path) -> None:
    """Plain HTTP to a host that is not a provider's gets its own cookies and passwords, and none of the gate's secrets."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        headers = [at_proxy(), (b"cookie", b"c=1"), (b"authorization", b"Basic dTpw"), (b"api-key", KEY.encode())]
        flow = make_flow(headers=headers, **PLAIN)
        await descend(chain, flow)
        release = the_exchange(flow).routing.release
        assert release
        assert set(release.target.credential(flow.request)) == {(b"cookie", b"c=1"), (b"authorization", b"Basic dTpw")}


async def connect(chain: Any, *headers: Header, host: str = "example.com", **flow: Any) -> Any:
    made = make_flow("CONNECT", headers=headers, **{"mode": "regular", "origin": (False, host, 443), **flow})
    await chain.http_connect(made)
    return made


async def test_a_tunnel_needs_the_password(tmp_path: Path) -> None:
    """To a provider or to anybody; nothing of it stays on the flow."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        for host in ("api.anthropic.com", "example.com", "sluicegate.local"):
            for headers in ((), (x_api_key(),), (bearer(),), (at_proxy(OTHER),), (at_proxy(), at_proxy())):
                flow = await connect(chain, *headers, host=host)
                assert flow.response.status_code == 407
                assert flow.response.headers["proxy-authenticate"] == 'Basic realm="sluicegate"'
        flow = await connect(chain, at_proxy())
        assert flow.response is None
        assert KEY not in repr(flow.get_state())


async def test_a_tunnel_fails_closed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a policy, without the stage, with a bug: no tunnel."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        monkeypatch.setattr(chain.policy.identity.authenticator, "by_proxy_password", lambda _: 1 / 0)  # type: ignore[union-attr]
        assert (await connect(chain, at_proxy())).response.status_code == 500
        chain.policy.identity = None  # type: ignore[union-attr]
        assert (await connect(chain, at_proxy())).response.status_code == 500
        chain.policy = None
        assert (await connect(chain, at_proxy())).response.status_code == 503
        assert chain._tunnels == {}


async def test_through_a_tunnel_its_key_is_who_calls(tmp_path: Path) -> None:
    """Until the request names another; an expired key shuts the tunnel's requests as well."""
    settings = settings_for(tmp_path)
    mine, other = store_key(settings), store_key(settings, OTHER)
    with gate(settings) as chain:
        tunnel = await connect(chain, at_proxy(), host="api.anthropic.com")

        async def through(*headers: Header) -> Any:
            flow = make_flow(mode="regular", headers=headers)
            flow.client_conn = tunnel.client_conn
            await descend(chain, flow)
            return flow

        assert the_exchange(await through()).caller.key_id == mine.id  # type: ignore[union-attr]
        assert the_exchange(await through(x_api_key("dummy"))).caller.key_id == mine.id  # type: ignore[union-attr]
        assert the_exchange(await through(x_api_key(OTHER))).caller.key_id == other.id  # type: ignore[union-attr]
        assert (await through(bearer("sk-ant-oat01-x"))).response.status_code == 401
        ring = next(iter(chain.services._keyrings.values()))
        ring.by_digest = {}
        assert (await through()).response.status_code == 401
        chain.client_disconnected(tunnel.client_conn)
        assert chain._tunnels == {}


async def test_a_tunnel_from_before_needs_a_key_in_its_requests(tmp_path: Path) -> None:
    """Opened in mode open, before the mode changed. 401, as a client cannot answer a 407 inside a tunnel."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        flow = make_flow(mode="regular")
        chain._tunnels[flow.client_conn.id] = b""
        await descend(chain, flow)
        assert flow.response
        assert flow.response.status_code == 401
        again = make_flow(mode="regular", headers=[x_api_key()])
        again.client_conn = flow.client_conn
        await descend(chain, again)
        assert again.response is None


INSIDE = ["10.0.0.1", "127.0.0.1", "169.254.169.254", "localhost", "[::1]", "0.0.0.0", "2130706433", "::ffff:10.0.0.1"]


@pytest.mark.parametrize("host", INSIDE)
async def test_clients_of_other_machines_stay_outside(tmp_path: Path, host: str) -> None:
    """By tunnel and by plain HTTP; clients of this machine may."""
    settings = settings_for(tmp_path)
    store_key(settings)
    with gate(settings) as chain:
        flow = await connect(chain, at_proxy(), host=host, **STRANGER)
        assert flow.response.status_code == 403
        assert (await connect(chain, at_proxy(), host=host)).response is None
        for peer, status in ((STRANGER["peer"], 403), (("127.0.0.1", 1), 0)):
            plain = make_flow(headers=[at_proxy()], **{**PLAIN, "origin": (False, host, 80)}, peer=peer)
            await descend(chain, plain)
            assert (plain.response.status_code if plain.response else 0) == status


@pytest.mark.parametrize("mode", ["passthrough", "keys"])
async def test_the_same_in_every_mode_that_lets_them_in(tmp_path: Path, mode: str) -> None:
    """Out into the world they may."""
    with gate(settings_for(tmp_path, mode)) as chain:
        for host, status in (("10.0.0.1", 403), ("localhost", 403), ("1.1.1.1", None), ("api.anthropic.com", None)):
            flow = await connect(chain, at_proxy(STATIC), host=host, **STRANGER)
            assert (flow.response.status_code if flow.response else None) == status


async def test_a_providers_name_with_a_dot_is_a_providers(tmp_path: Path) -> None:
    """What a client says to it is not passed on as to a host of the client's choice."""
    with gate(settings_for(tmp_path)) as chain:
        plain = {**PLAIN, "origin": (False, "API.anthropic.com.", 80)}
        flow = make_flow(headers=[at_proxy(STATIC), (b"cookie", b"sessionKey=x")], **plain)
        await descend(chain, flow)
        assert the_exchange(flow).client_credentials == ()


async def test_a_configured_provider_inside_is_reached(tmp_path: Path) -> None:
    """The operator named it."""
    settings = settings_for(tmp_path)
    store_key(settings)
    settings = msgspec.structs.replace(
        settings, providers={"local": Provider(kind="anthropic", base_url="http://127.0.0.1:9000")}
    )
    with gate(settings) as chain:
        assert (await connect(chain, at_proxy(), host="127.0.0.1", **STRANGER)).response is None
        flow = make_flow(headers=[x_api_key()], **STRANGER)
        await descend(chain, flow)
        assert the_exchange(flow).routing.release


@pytest.mark.parametrize(
    ("mode", "asks"),
    [
        ("reverse:https://api.anthropic.com@4000", True),
        ("regular@8080", True),
        ("upstream:http://corp:3128", True),
        ("socks5", False),
        ("transparent", False),
        ("reverse:tcp://10.0.0.1:22@4000", False),
        ("reverse:tls://10.0.0.1:22@4000", False),
        ("reverse:dns://8.8.8.8@5300", False),
        ("dns", False),
    ],
)
async def test_a_door_that_can_not_ask_is_shut(tmp_path: Path, mode: str, asks: bool) -> None:
    """Raw bytes carry no key; nor does this machine get past it."""
    with gate(settings_for(tmp_path)) as chain:
        client = make_flow().client_conn
        client.proxy_mode, client.error = ProxyMode.parse(mode), None
        assert (reject_remote_client(client, chain.policy) is None) is asks


async def test_a_replay_is_the_operators(tmp_path: Path) -> None:
    """It brings no key of its own: who replays, does so at the gate's user interface."""
    with gate(settings_for(tmp_path)) as chain:
        flow = make_flow()
        flow.is_replay = "request"
        await descend(chain, flow)
        assert the_exchange(flow).caller == Caller("replay", mode="keys")


# -- open and passthrough
async def test_open_distinguishes_callers_and_admits_all(tmp_path: Path) -> None:
    """By a keyed hash that is the same each time; nothing presented means anonymous."""
    settings = settings_for(tmp_path, "open")
    ids = [(await ask(settings, *h))[1].key_id for h in ((), (x_api_key("a"),), (bearer("a"),), (x_api_key("b"),))]
    assert ids[0] == "anonymous"
    assert ids[1] == ids[2] != ids[3]
    assert all(i.startswith("cred_") and len(i) == 21 for i in ids[1:])


@pytest.mark.parametrize("mode", ["open", "passthrough"])
async def test_a_clients_own_credential_goes_on(tmp_path: Path, mode: str) -> None:
    """To its provider, unchanged."""
    with gate(settings_for(tmp_path, mode)) as chain:
        flow = make_flow(headers=[bearer("sk-ant-oat01-x"), (b"cookie", b"c=1")])
        await descend(chain, flow)
        x = the_exchange(flow)
        assert x.routing.release
        assert set(x.routing.release.target.credential(flow.request)) == {
            (b"authorization", b"Bearer sk-ant-oat01-x"),
            (b"cookie", b"c=1"),
        }
        assert x.caller
        assert x.caller.mode == mode


async def test_passthrough_wants_a_credential(tmp_path: Path) -> None:
    """For calls; a key of ours is none. What a client fetches without logging in stays open to it."""
    settings = settings_for(tmp_path, "passthrough")
    assert (await ask(settings))[0] == 401
    assert (await ask(settings, x_api_key("")))[0] == 401
    assert (await ask(settings, x_api_key()))[0] == 401
    assert (await ask(settings, (b"cookie", b"c")))[0] == 401
    assert (await ask(settings, method="GET", path="/usage"))[0] == 401
    assert (await ask(settings, method="GET", path="/api/hello"))[0] == 0
    status, caller, _ = await ask(settings, x_api_key("sk-ant-api03-x"), **STRANGER)
    assert status == 0
    assert caller.key_id.startswith("cred_")


async def test_a_login_goes_to_its_vendor_only(tmp_path: Path) -> None:
    """In mode passthrough as in open."""
    settings = msgspec.structs.replace(
        settings_for(tmp_path, "passthrough"), providers={"x": Provider(kind="anthropic", base_url="https://x.example")}
    )
    status, _, error = await ask(settings, bearer("sk-ant-oat01-x"))
    assert status == 401
    assert "Anthropic's own hosts" in error["message"]


async def test_a_virtual_key_never_leaves_in_other_modes(tmp_path: Path) -> None:
    """Nor does it where the mode was keys yesterday."""
    with gate(settings_for(tmp_path, "open")) as chain:
        flow = make_flow(headers=[x_api_key(), (b"x-custom", KEY.encode())])
        await descend(chain, flow)
        x = the_exchange(flow)
        assert x.routing.release
        assert tuple(x.routing.release.target.credential(flow.request)) == ()
        assert "x-custom" not in flow.request.headers


async def test_an_unusable_state_folder_does_not_stop_mode_open(tmp_path: Path) -> None:
    """In mode open; callers get names that last as long as the process. In mode keys it is an error."""
    (tmp_path / "file").write_text("")
    status, caller, _ = await ask(settings_for(tmp_path / "file", "open"), x_api_key("a"))
    assert status == 0
    assert caller.key_id.startswith("cred_")
    with pytest.raises(StoreError, match="state_dir"), gate(settings_for(tmp_path / "file")):
        pass


# -- the header of a proxy in front
PEER = {"peer": ("10.1.2.3", 1)}


def behind_sso(state: Path, mode: str, means: str = "user", **identity: Any) -> Settings:
    given: Any = means
    header = TrustedHeader(name="X-SSO-User", peers=("10.1.0.0/16", "::1"), means=given)
    return settings_for(state, mode, trusted_header=header, **identity)


@pytest.mark.parametrize("mode", ["open", "keys", "passthrough"])
@pytest.mark.parametrize(
    ("values", "peer", "user"),
    [
        ([b"alice"], "10.1.2.3", "alice"),
        ([b" alice@example.com "], "::ffff:10.1.2.3", "alice@example.com"),
        (["zoë".encode()], "::1", "zoë"),
        ([b"alice"], "10.2.0.1", None),
        ([b"alice"], "127.0.0.1", None),
        ([b"alice", b"mallory"], "10.1.2.3", None),
        ([b"alice,mallory"], "10.1.2.3", None),
        ([b""], "10.1.2.3", None),
        ([b"\xff"], "10.1.2.3", None),
        ([b"a\tb"], "10.1.2.3", None),
        ([b"a" * 129], "10.1.2.3", None),
        ([], "10.1.2.3", None),
    ],
)
async def test_a_trusted_header_counts_from_its_peers(
    tmp_path: Path, mode: str, values: list[bytes], peer: str, user: str | None
) -> None:
    """Accepted from its peers only, once, and with a plain name. It is never passed on."""
    settings = behind_sso(tmp_path, mode)
    own = [x_api_key("sk-ant-api03-x")] if mode == "passthrough" else []
    with gate(settings) as chain:
        flow = make_flow(headers=[*own, *((b"x-sso-USER", v) for v in values)], peer=(peer, 1))
        await descend(chain, flow)
        x = the_exchange(flow)
        assert "x-sso-user" not in flow.request.headers
        if mode == "keys" and user is None:
            assert x.caller is None
            assert flow.response
            assert flow.response.status_code == 401
        else:
            assert x.caller
            assert x.caller.user == user
            assert x.caller.key_id == (f"user:{user}" if user else x.caller.key_id)


async def test_a_header_beside_a_key_says_who_holds_it(tmp_path: Path) -> None:
    """A team's key behind the SSO proxy: limits by key, the user by header."""
    settings = behind_sso(tmp_path, "keys")
    record = store_key(settings, team="a", user="nobody")
    _, caller, _ = await ask(settings, x_api_key(), (b"x-sso-user", b"alice"), **PEER)
    assert (caller.key_id, caller.team, caller.user) == (record.id, "a", "alice")


async def test_a_header_may_name_a_team(tmp_path: Path) -> None:
    """With what that team has."""
    settings = behind_sso(tmp_path, "keys", "team", teams={"a": Team(models=("m",), tags={"c": "1"})})
    _, caller, _ = await ask(settings, (b"x-sso-user", b"a"), body={"model": "m"}, **PEER)
    assert (caller.key_id, caller.team, caller.models, caller.tags) == ("team:a", "a", ("m",), {"c": "1"})


# -- the configuration
async def test_the_same_key_twice_is_refused(tmp_path: Path) -> None:
    """Two references to one value: whose limits would hold?"""
    twice = (VirtualKey(key=Secret("env:KEY_A")), VirtualKey(key=Secret("file:/dev/null")))
    settings = settings_for(tmp_path, keys=twice[:1] * 2)
    with pytest.raises(ValueError, match=r"identity\.keys\[1\]"), gate(settings):
        pass


async def test_a_static_key_expires(tmp_path: Path) -> None:
    """At the time that the configuration gives."""
    old = (VirtualKey(key=Secret("env:KEY_A"), expires=datetime(2020, 1, 1, tzinfo=UTC)),)
    status, _, error = await ask(settings_for(tmp_path, keys=old), x_api_key(STATIC))
    assert status == 401
    assert "expired" in error["message"]


@pytest.mark.parametrize("hook", ["head", "request"])
async def test_a_bug_in_the_stage_admits_no_request(tmp_path: Path, hook: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """500 in the client's format, nothing is released."""

    def broken(self: Identity, x: Any) -> None:
        raise KeyError(KEY)

    monkeypatch.setattr(Identity, hook, broken)
    settings = settings_for(tmp_path)
    store_key(settings)
    status, _, error = await ask(settings, x_api_key())
    assert status == 500
    assert KEY not in error["message"]


async def test_without_its_head_no_request_is_admitted(tmp_path: Path) -> None:
    """An exchange whose headers it never saw."""
    settings = settings_for(tmp_path)
    with gate(settings) as chain:
        stage = chain.policy.identity  # type: ignore[union-attr]
        assert stage
        with pytest.raises(Refused):
            stage.request(make_exchange(settings=settings))


async def test_a_stage_alone_asks_as_well(tmp_path: Path) -> None:
    """`-s addons/audit.py` with mode keys: Identity joins whatever is loaded."""
    chain = Chain()
    chain.join([planted("x", [])])
    assert Identity in chain.stages
