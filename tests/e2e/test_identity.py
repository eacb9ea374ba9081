"""Identity with real processes: keys made by the command, taken at every door, and nobody let in without one."""

import base64
import json
import random
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from kits.gatekit import (
    BIN,
    ROOT,
    Answer,
    Gate,
    clean_env,
    free_port,
    request,
    wait_until,
)
from kits.own_address import own_address
from kits.postgreskit import Postgres
from kits.rawserver import (
    ASK,
    DEADLINE_S,
    MESSAGE,
    Client,
    Got,
    Upstream,
    Web,
    error_of,
    exchange,
    head,
    post,
    self_signed,
)

PROVIDER_KEY = "sk-ant-api03-THE-GATES-OWN"
STATIC = "a-static-key-of-team-a"
CONFIG = """\
providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:PROVIDER_KEY"]}}
identity: {mode: keys, admin_token: "env:ADMIN", keys: [{key: "env:KEY_A", team: a, tags: {cost_center: "4711"}}]}
audit: {log: "file:${STATE}/audit.jsonl", ledger: "${LEDGER:-sqlite}"}
"""
ENV = {"PROVIDER_KEY": PROVIDER_KEY, "KEY_A": STATIC, "ADMIN": "the-admin-token-of-this-test"}
SCRIPTS = Path(__file__).parent / "scripts"
type Start = Callable[..., Gate]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    with ExitStack() as running:

        def begin(name: str = "gate", **options: Any) -> Gate:
            env = {**ENV, **options.pop("env", {})}
            given = {"upstream": upstream.url, "config": CONFIG, **options}
            return running.enter_context(Gate(tmp_path / name, name=name, env=env, **given))

        yield begin


def keys(gate: Gate, *arguments: str) -> str:
    """`sluicegate keys …` with the gate's configuration; its stdout."""
    command = [str(BIN / "sluicegate"), "keys", *arguments, "--config", str(gate.config_file)]
    done = subprocess.run(
        command, env=gate.environment() | {"COLUMNS": "80"}, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def listed(gate: Gate) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = json.loads(keys(gate, "list", "--json"))
    return rows


def ask(gate: Gate, key: str = "", **headers: str) -> Answer:
    return gate.post("/v1/messages", ASK, {**({"x-api-key": key} if key else {}), **headers})


def everywhere(start: Start, **options: Any) -> tuple[Gate, int]:
    """A gate that listens on all addresses, and its regular door's port."""
    port = free_port()
    return start(modes=("reverse:{upstream}@0.0.0.0:{port}", f"regular@0.0.0.0:{port}"), **options), port


def password(key: str) -> str:
    return "Basic " + base64.b64encode(f"claude:{key}".encode()).decode()


def test_the_life_of_a_key(start: Start, upstream: Upstream) -> None:
    """Made, used, paused, resumed, rotated with a grace, revoked, while the gate runs; records and bills go to its id."""
    gate = start()
    assert ask(gate).status == 401
    key = keys(gate, "add", "--team", "b", "--user", "u", "--project", "p", "--tag", "stage=dev", "--name", "laptop")
    assert key.startswith("sk-sg-")
    wait_until(lambda: ask(gate, key).status == 200, "the new key works")
    assert upstream.requests[-1].all("x-api-key") == [PROVIDER_KEY]
    (row,) = listed(gate)
    record = gate.audit_records()[-1]
    assert {k: record[k] for k in ("key_id", "key_name", "team", "user", "project", "tags")} == {
        "key_id": row["id"],
        "key_name": "laptop",
        "team": "b",
        "user": "u",
        "project": "p",
        "tags": {"stage": "dev"},
    }
    keys(gate, "pause", row["id"])
    wait_until(lambda: ask(gate, key).status == 401, "the paused key does not")
    assert "paused" in error_of(ask(gate, key))["message"]
    keys(gate, "resume", row["id"])
    wait_until(lambda: ask(gate, key).status == 200, "the resumed key does")
    new = keys(gate, "rotate", row["id"], "--grace", "1h")
    wait_until(lambda: ask(gate, new).status == 200, "the rotated key works")
    assert ask(gate, key).status == 200
    newest = keys(gate, "rotate", row["id"])
    wait_until(lambda: "was rotated" in ask(gate, new).text, "without a grace the previous key stops working")
    assert ask(gate, newest).status == 200
    keys(gate, "revoke", row["id"])
    wait_until(lambda: ask(gate, newest).status == 401, "the revoked key does not")
    refused = ask(gate, newest)
    assert "revoked" in error_of(refused)["message"]
    assert refused.headers["x-should-retry"] == "false"
    assert {r["key_id"] for r in gate.audit_records() if r["outcome"] == "ok"} == {row["id"]}
    for secret in (key, new, newest):
        assert secret.encode() not in upstream.received


def test_gates_on_several_machines_share_keys(start: Start, tmp_path: Path) -> None:
    """In PostgreSQL: two gates with the same hash key know a key; one with another hash key does not start."""
    with Postgres() as database:
        config = CONFIG.replace("{mode: keys,", "{mode: keys, hash_key: 'env:HASH',")
        env = {"LEDGER": database.url, "HASH": "a-secret-of-all-gates"}
        one, two = (start(name, config=config, env=env) for name in ("one", "two"))
        key = keys(one, "add", "--team", "b")
        for gate in (one, two):
            wait_until(lambda gate=gate: ask(gate, key).status == 200, "the key works")
        keys(two, "revoke", listed(one)[0]["id"])
        for gate in (one, two):
            wait_until(lambda gate=gate: ask(gate, key).status == 401, "the revocation is known")
        with pytest.raises(AssertionError, match=r"identity\.hash_key"):
            start("three", config=config, env={**env, "HASH": "another"})
        database.stop()
        assert ask(one, STATIC).status == 200
        assert ask(one, key).status == 401
        one.wait_for_output("identity.store")
        assert database.url not in one.output()


def through_tls(gate: Gate, raw: bytes, key: str | None, name: str = "api.anthropic.com") -> Got:
    with Client(gate.proxy_port) as client:
        got = client.connect(f"{name}:443", {"proxy-authorization": password(key)} if key else {})
        if got.status != 200:
            return got
        client.start_tls(name, gate.ca_cert)
        client.send(raw)
        return client.answer()


def test_the_regular_door_wants_the_key_as_its_password(start: Start, upstream: Upstream) -> None:
    """By tunnel and by plain HTTP; with it an unmodified client needs no other."""
    gate = start(regular=True)
    call = post("/v1/messages", ASK, {"host": "api.anthropic.com"})
    plain = post("http://api.anthropic.com/v1/messages", ASK, {"host": "api.anthropic.com"})
    for key in (None, "", "guess", STATIC[:-1]):
        got = through_tls(gate, call, key)
        assert got.status == 407
        assert got.one("proxy-authenticate") == 'Basic realm="sluicegate"'
        assert error_of(got)["type"] == "authentication_error"
    assert exchange(gate.proxy_port, plain).status == 407
    assert upstream.received == b""
    assert through_tls(gate, call, STATIC).json() == MESSAGE
    with_password = plain.replace(b"\r\n\r\n", f"\r\nproxy-authorization: {password(STATIC)}\r\n\r\n".encode(), 1)
    assert exchange(gate.proxy_port, with_password).json() == MESSAGE
    assert [asked.all("x-api-key") for asked in upstream.requests] == [[PROVIDER_KEY]] * 2
    assert b"proxy-authorization" not in upstream.received.lower()
    assert STATIC.encode() not in upstream.received
    own = call.replace(b"\r\n\r\n", b"\r\nauthorization: Bearer sk-ant-oat01-OF-THE-CLIENT\r\n\r\n", 1)
    assert through_tls(gate, own, STATIC).status == 401
    assert b"OF-THE-CLIENT" not in upstream.received


def test_tunnels_want_it_as_well(start: Start, tmp_path: Path) -> None:
    """A host that is no provider's: 407 and no connection, or untouched bytes."""
    gate = start(regular=True)
    context, certificate = self_signed(tmp_path / "tls", "localhost")
    with Upstream(tls=context) as other:
        with Client(gate.proxy_port) as client:
            assert client.connect(f"localhost:{other.port}").status == 407
        assert other.peers == []
        with Client(gate.proxy_port) as client:
            assert client.connect(f"localhost:{other.port}", {"proxy-authorization": password(STATIC)}).status == 200
            assert client.start_tls("localhost").getpeercert(binary_form=True) == certificate
            client.send(post("/v1/messages", ASK))
            assert client.answer().json() == MESSAGE
        assert STATIC.encode() not in other.received


def test_clients_of_other_machines_stay_outside(start: Start, upstream: Upstream) -> None:
    """With a good key, too: no tunnel and no plain request to what only this machine should reach."""
    address = own_address()
    _, proxy_port = everywhere(start, config=CONFIG.replace('base_url: "${UPSTREAM}", ', ""))
    door = {"proxy-authorization": password(STATIC)}
    with Upstream() as inside:
        for host in ("127.0.0.1", "localhost", address, "0.0.0.0", "[::1]", "169.254.169.254", "2130706433"):
            with Client(proxy_port, address) as client:
                got = client.connect(f"{host}:{inside.port}", door)
                assert got.status == 403, host
                assert "private addresses" in error_of(got)["message"]
            with Client(proxy_port, address) as client:
                target = f"http://{host}:{inside.port}/"
                client.send(head("GET", target, {"host": f"{host}:{inside.port}", **door}))
                assert client.answer().status == 403, host
        assert inside.peers == []
        with Client(proxy_port) as client:
            assert client.connect(f"127.0.0.1:{inside.port}", door).status == 200


def test_clients_of_other_machines_come_in_with_a_key(start: Start, upstream: Upstream) -> None:
    """And reach the provider that is configured, wherever that is."""
    address = own_address()
    gate, proxy_port = everywhere(start)
    for port, fields, status in (
        (gate.port, {}, 401),
        (gate.port, {"x-api-key": STATIC}, 200),
        (proxy_port, {"proxy-authorization": password(STATIC)}, 200),
    ):
        target = "/v1/messages" if port == gate.port else f"{upstream.url}/v1/messages"
        with Client(port, address) as client:
            client.send(post(target, ASK, fields))
            assert client.answer().status == status
    assert len(upstream.requests) == 2


def test_a_name_that_changes_its_address_leads_nowhere(start: Start) -> None:
    """It resolved to the world when it was asked about, and to this machine when it was dialled: no byte arrives."""
    address = own_address()
    _, proxy_port = everywhere(start, scripts=[ROOT / "addons/gate.py", SCRIPTS / "rebinding.py"])
    door = {"proxy-authorization": password(STATIC)}
    with Upstream() as inside:
        with Client(proxy_port, address) as client:
            assert client.connect(f"rebinding.test:{inside.port}", door).status == 200
            client.send(head("GET", "/"))
            assert client.answer().status == 502
        with Client(proxy_port, address) as client:
            assert client.connect(f"rebinding.test:{inside.port}", door).status == 200
            client.send(b"\0\1\2 neither HTTP nor TLS")
            assert client.ended()
        for peer in inside.wait_for_peers(2):
            assert peer.closed.wait(DEADLINE_S)
        assert inside.received == b""


def test_own_pages(start: Start) -> None:
    """/usage with a client's key; the others with the admin token, which is no client's key."""
    gate = start()
    mine = gate.get("/usage", {"x-api-key": STATIC})
    assert (mine.status, mine.json()["team"]) == (200, "a")
    assert gate.get("/usage").status == 401
    assert gate.get("/usage", {"authorization": f"Bearer {ENV['ADMIN']}"}).status == 401
    assert gate.get("/stats", {"x-api-key": STATIC}).status == 403
    assert gate.get("/stats", {"authorization": f"Bearer {ENV['ADMIN']}"}).status == 200
    assert ask(gate, ENV["ADMIN"]).status == 401
    shown = gate.get("/debug", {"x-sluicegate-admin": ENV["ADMIN"]}).text
    for secret in ENV.values():
        assert secret not in shown


def test_no_key_is_kept_anywhere(start: Start, upstream: Upstream, tmp_path: Path) -> None:
    """Served, refused, in odd places: in no saved flow, page of mitmweb, record, log, state file; only its hash is."""
    saved = tmp_path / "saved.flows"
    gate = start(program="mitmweb", regular=True, options={"save_stream_file": str(saved), "termlog_verbosity": "debug"})
    key = keys(gate, "add")
    wait_until(lambda: ask(gate, key).status == 200, "the key works")
    for headers in (
        {"authorization": f"Bearer {key}", "cookie": f"k={key}", "x-odd": key},
        {"x-odd": key},
        {"x-api-key": key + "x"},
        {"x-api-key": "sk-ant-api03-OF-THE-CLIENT"},
        {"authorization": password(key)},
    ):
        gate.post("/v1/messages", ASK, headers)
    gate.get(f"/v1/models?key={key}", {"x-api-key": key})
    gate.get(f"/usage?key={key}", {"x-api-key": key})
    gate.get(f"/health?key={key}", {"x-odd": key})
    through_tls(gate, post("/v1/messages", ASK, {"host": "api.anthropic.com"}), key)
    through_tls(gate, b"", key + "x")
    exchange(gate.proxy_port, head("GET", "http://api.anthropic.com/", {"proxy-authorization": password(key)}))
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK, {"x-api-key": key})[:150])
    keys(gate, "list")
    keys(gate, "rotate", listed(gate)[0]["id"], "--grace", "1h")
    web = Web(gate.web_port)
    shown = {name: web.call("GET", name).body for name in ("/flows", "/flows/dump", "/events")}
    assert b"/v1/messages" in shown["/flows/dump"]
    gate.stop()
    files = {str(f): f.read_bytes() for f in [*tmp_path.rglob("*")] if f.is_file() and f.parent != gate.confdir}
    assert {"saved.flows", "keys.sqlite", "audit.jsonl", "output.log"} <= {Path(name).name for name in files}
    for name, content in {**shown, **files, "upstream": upstream.received}.items():
        assert key[6:].encode() not in content, name
        assert base64.b64encode(f"claude:{key}".encode()).rstrip(b"=")[:-4] not in content, name
        assert b"OF-THE-CLIENT" not in content, name


def test_a_mode_comes_into_force_while_clients_are_connected(start: Start, upstream: Upstream) -> None:
    """From open to keys: the next request on an old connection needs one, inside an old tunnel as well."""
    gate = start(config=CONFIG.replace("mode: keys", "mode: open").replace("keys: [{", "teams: {}, keys: [{"), regular=True)
    call = post("/v1/messages", ASK, {"host": "api.anthropic.com"})
    with Client(gate.port) as old, Client(gate.proxy_port) as tunnel:
        old.send(call)
        assert old.answer().status == 200
        assert tunnel.connect("api.anthropic.com:443").status == 200
        tunnel.start_tls("api.anthropic.com", gate.ca_cert)
        tunnel.send(call)
        assert tunnel.answer().status == 200
        gate.config_file.write_text(CONFIG)
        wait_until(lambda: ask(gate).status == 401, "the new mode")
        for client in (old, tunnel):
            client.send(call)
            assert client.answer().status == 401
            client.send(post("/v1/messages", ASK, {"host": "api.anthropic.com", "x-api-key": STATIC}))
            assert client.answer().status == 200


def test_one_script_alone_asks_as_well(start: Start, upstream: Upstream) -> None:
    """`-s addons/audit.py` in mode keys."""
    gate = start(scripts=[ROOT / "addons" / "audit.py"])
    assert ask(gate).status == 401
    assert ask(gate, "guess").status == 401
    assert upstream.received == b""
    assert ask(gate, STATIC).status == 200
    assert STATIC.encode() not in upstream.received


def test_a_stranger_is_told_whatever_he_sends(start: Start, upstream: Upstream) -> None:
    """A body of 20 MB without a key is read and forgotten: 401, and nothing upstream."""
    gate = start()
    got = exchange(gate.port, post("/v1/messages", b"x" * 20_000_000), 30)
    assert got.status == 401
    assert gate.audit_records(count=1)[0]["bytes_in"] < 1_000_000
    assert upstream.received == b""


def test_passthrough(start: Start, upstream: Upstream) -> None:
    """Each client's own credential goes on, and names it by a hash in the record."""
    config = 'providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}}\n' + (
        'identity: {mode: passthrough}\naudit: {log: "file:${STATE}/audit.jsonl"}\n'
    )
    gate = start(config=config)
    for key in ("sk-ant-api03-one", "sk-ant-api03-two", "sk-ant-api03-one"):
        assert ask(gate, key).status == 200
        assert upstream.requests[-1].all("x-api-key") == [key]
    assert ask(gate).status == 401
    one, two, again, _ = (r["key_id"] for r in gate.audit_records(count=4))
    assert one == again != two
    assert "sk-ant" not in (gate.state_dir / "audit.jsonl").read_text()


def test_a_page_in_a_browser_may_call(start: Start, upstream: Upstream) -> None:
    """A preflight is answered without a key; a key is still needed for the call."""
    origin = "https://app.example.com"
    gate = start(config=CONFIG + f"cors: {{origins: ['{origin}']}}\n")
    asked = {"origin": origin, "access-control-request-method": "POST", "access-control-request-headers": "x-api-key"}
    preflight = request("OPTIONS", f"{gate.url}/v1/messages", headers=asked)
    assert (preflight.status, preflight.headers["access-control-allow-origin"]) == (204, origin)
    assert upstream.received == b""
    for key, status in ((STATIC, 200), ("guess", 401)):
        answer = ask(gate, key, origin=origin)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (status, origin)
    assert "access-control-allow-origin" not in ask(gate, STATIC, origin="https://evil.example").headers
    upstream.stop()
    failed = ask(gate, STATIC, origin=origin)
    assert (failed.status, failed.headers["access-control-allow-origin"]) == (502, origin)


# -- hundreds of ways to knock, over the wire
HEADERS = (
    *("x-api-key", "authorization", "proxy-authorization", "cookie", "x-sso-user", "x-forwarded-user", "api-key"),
    *("x-sluicegate-admin", "x-goog-api-key", "x-forwarded-for", "X-API-KEY", "x-api-key\t", "x_api_key"),
)


def knock(dice: random.Random) -> bytes:
    """One request in raw bytes; some are hardly HTTP."""
    method = dice.choice(["POST", "GET", "HEAD", "OPTIONS", "PUT", "CONNECT", "TRACE", "post", "PRI"])
    target = dice.choice(
        [
            *("/v1/messages", "/v1/messages?key=x", "//v1/messages", "/health/../v1/messages", "/v1/models", "*", "/usage"),
            *("http://api.anthropic.com/v1/messages", "http://sluicegate.local/usage", "http://127.0.0.1/v1/messages"),
            *("api.anthropic.com:443", "127.0.0.1:22", "sluicegate.local:443", "/debug", "/stats", "/monitor"),
        ]
    )
    fields = [("host", dice.choice(["api.anthropic.com", "localhost", "sluicegate.local", "x", ""]))]
    for _ in range(dice.choice([0, 1, 1, 2, 9])):
        value = dice.choice(
            [
                *(STATIC[:-1], STATIC + "x", STATIC.upper(), "Bearer " + STATIC[1:], "Bearer", "", "sk-sg-" + "A" * 43),
                *(
                    "sk-ant-api03-x",
                    "Basic " + STATIC,
                    password("guess"),
                    password(""),
                    "\u00ff",
                    "null",
                    "key_" + "a" * 13,
                ),
            ]
        )
        fields.append((dice.choice(HEADERS), value))
    body = dice.choice([b"", b"{}", json.dumps(ASK).encode()])
    if dice.random() < 0.9:
        fields.append(("content-length", str(len(body))))
    else:
        fields.append(("transfer-encoding", "chunked"))
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body) if body else b"0\r\n\r\n"
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields)
    version = dice.choice(["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"])
    return f"{method} {target} {version}\r\n{lines}\r\n".encode("latin-1") + body


def test_nobody_comes_in(start: Start, upstream: Upstream) -> None:
    """Some hundreds of requests at both doors, from this machine and from its own address: not a byte goes upstream."""
    gate, proxy_port = everywhere(start)
    dice = random.Random(17)
    address = own_address()
    statuses: dict[int, int] = {}
    lock = threading.Lock()

    def several(raws: list[tuple[int, str, bytes]]) -> None:
        for port, host, raw in raws:
            with Client(port, host) as client:
                client.send(raw)
                got = client.until(b"\r\n\r\n")
            status = int(got[9:12]) if got.startswith(b"HTTP/") else 0
            with lock:
                statuses[status] = statuses.get(status, 0) + 1
            assert status == 0 or status >= 400, (port, raw, got)

    knocks = [(dice.choice([gate.port, proxy_port]), dice.choice(["127.0.0.1", address]), knock(dice)) for _ in range(400)]
    several(knocks)
    assert upstream.peers == []
    assert statuses[401] > 50
    assert statuses[407] > 50
    assert ask(gate, STATIC).status == 200


def test_what_the_environment_of_a_test_must_not_hold() -> None:
    """The keys above are in no variable that a gate would inherit by accident."""
    assert not set(ENV) & set(clean_env())
