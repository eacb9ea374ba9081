"""Where a client's credential goes, and everywhere that it does not."""

import base64
import socket
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import pytest

from kits.gatekit import (
    BIN,
    GATE_SCRIPT,
    PASS_THROUGH,
    Gate,
    clean_env,
    request,
    wait_until,
)
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    MESSAGE,
    Client,
    HeldStream,
    Upstream,
    Web,
    answering,
    error_of,
    exchange,
    head,
    post,
    reply,
    stream,
)

SCRIPTS = Path(__file__).parent / "scripts"
SECRETS = {
    "x-api-key": "sk-ant-api03-KEY-OF-THE-CLIENT",
    "authorization": "Bearer sk-BEARER-OF-THE-CLIENT",
    "cookie": "session=COOKIE-OF-THE-CLIENT",
    "x-goog-api-key": "GOOG-OF-THE-CLIENT",
    "api-key": "AZURE-OF-THE-CLIENT",
    "proxy-authorization": "Basic " + base64.b64encode(b"PROXY:OF-THE-CLIENT").decode(),
}
TRACES = [
    *(b"KEY-OF-THE-CLIENT", b"BEARER-OF-THE-CLIENT", b"COOKIE-OF-THE-CLIENT", b"GOOG-OF-THE-CLIENT"),
    *(b"AZURE-OF-THE-CLIENT", b"OF-THE-CLIENT", SECRETS["proxy-authorization"].removeprefix("Basic ").encode()),
]
type Start = Callable[..., Gate]


@pytest.fixture
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture
def start(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    with ExitStack() as running:

        def begin(**options: object) -> Gate:
            return running.enter_context(Gate(tmp_path / "gate", **{"upstream": upstream.url, **options}))  # type: ignore[arg-type]

        yield begin


def everything_kept(gate: Gate, saved: Path) -> dict[str, bytes]:
    """All that the gate has written or shows, by where it is."""
    web = Web(gate.web_port)
    shown = {name: web.call("GET", name).body for name in ("/flows", "/flows/dump", "/events", "/state", "/options")}
    own = {page: gate.get(page).body for page in ("/debug", "/stats")}
    files = {
        str(file): file.read_bytes() for file in gate.workdir.rglob("*") if file.is_file() and file.parent != gate.confdir
    }
    assert str(saved) in files
    assert str(gate.log) in files
    return {**shown, **own, **files}


def test_a_clients_credential_reaches_the_upstream_and_nothing_else(
    start: Start, upstream: Upstream, tmp_path: Path
) -> None:
    """Served, refused, failed, aborted, by both doors: it is in no saved flow, page of mitmweb, record, log or answer."""
    saved = tmp_path / "gate" / "saved.flows"
    gate = start(
        program="mitmweb",
        regular=True,
        scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"],
        options={"save_stream_file": str(saved)},
    )
    given = {k: v for k, v in SECRETS.items() if k != "authorization"}
    answers = [exchange(gate.port, post("/v1/messages", ASK, given))]
    assert upstream.requests[-1].all("x-api-key") == [SECRETS["x-api-key"]]
    bearer = {k: v for k, v in SECRETS.items() if k != "x-api-key"}
    answers.append(exchange(gate.port, post("/v1/messages?beta=true", ASK, bearer)))
    assert upstream.requests[-1].all("authorization") == [SECRETS["authorization"]]
    for trouble in ("head", "request", "async-cancelled", "refuse", "answer", "settle"):
        answers.append(exchange(gate.port, post("/v1/messages", ASK, {**SECRETS, "x-trouble": trouble})))
    upstream.say(stream)
    answers.append(exchange(gate.port, post("/v1/messages", ASK_STREAM, {**SECRETS, "x-trouble": "tap"})))
    upstream.say(answering(reply(401, b"{}")), answering(b"nonsense\r\n\r\n", then="close"), answering(b"", then="reset"))
    answers += [exchange(gate.port, post("/v1/messages", ASK, SECRETS)) for _ in range(3)]
    answers.append(exchange(gate.port, head("GET", "/v1/models", SECRETS)))
    answers.append(exchange(gate.port, head("GET", "/debug", SECRETS)))
    answers.append(exchange(gate.proxy_port, post(f"{upstream.url}/v1/messages", ASK, SECRETS)))  # absolute form
    with Client(gate.proxy_port) as client:
        client.connect("api.anthropic.com:443", {"proxy-authorization": SECRETS["proxy-authorization"]})
        client.start_tls("api.anthropic.com", gate.ca_cert)
        client.send(post("/v1/messages", ASK, {**SECRETS, "host": "api.anthropic.com"}))
        answers.append(client.answer())
    held = HeldStream()
    upstream.say(held)
    with Client(gate.port) as client:
        client.send(post("/v1/messages", ASK_STREAM, SECRETS))
        client.until(b"content_block_start")
    assert held.left.wait(2)
    wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 0, "the end of all exchanges")

    kept = everything_kept(gate, saved)
    assert b"planted" in kept[str(gate.log)]
    assert kept["/flows"].count(b'"id"') > 10
    for answer in answers:
        kept[f"answer {len(kept)}"] = answer.body + repr(answer.headers).encode()
    found = [(where, trace) for where, text in kept.items() for trace in TRACES if trace in text]
    assert found == []
    assert not any(asked.all("proxy-authorization") for asked in upstream.requests)
    assert SECRETS["proxy-authorization"].encode() not in upstream.received

    gate.stop()
    raw = saved.read_bytes()
    assert b"/v1/messages" in raw
    assert not any(trace in raw for trace in TRACES)
    listing = subprocess.run(
        [str(BIN / "mitmdump"), "-nr", str(saved), "--set", f"confdir={gate.confdir}", "--flow-detail", "1"],
        capture_output=True,
        env=clean_env(),
        timeout=20,
        check=True,
    ).stdout.decode()
    assert listing.count("/v1/messages") > 8, listing
    assert "<< 200" in listing


def test_keys_of_the_configuration_replace_the_clients_own(start: Start, upstream: Upstream) -> None:
    """`keys: [env:KEY]`: the provider sees ours alone; it is shown nowhere."""
    ours = "sk-ant-api03-OUR-OWN-KEY"
    gate = start(
        config="""\
            providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:OUR_KEY"]}}
            audit: {log: "file:${STATE}/audit.jsonl"}
            """.replace("            ", ""),
        env={"OUR_KEY": ours},
    )
    for given in ({"x-api-key": SECRETS["x-api-key"]}, {"authorization": SECRETS["authorization"]}, {}):
        got = exchange(gate.port, post("/v1/messages", ASK, given))
        assert got.status == 200
        asked = upstream.requests[-1]
        assert asked.all("x-api-key") == [ours]
        assert asked.all("authorization") == []
    upstream.say(answering(reply(401, b"{}")))
    assert exchange(gate.port, post("/v1/messages", ASK)).status == 401
    gate.audit_records(count=4)
    debug = gate.get("/debug").text
    assert "env:OUR_KEY" in debug
    for text in (debug, gate.output(), (gate.state_dir / "audit.jsonl").read_text()):
        assert ours not in text
    assert b"OF-THE-CLIENT" not in upstream.received


def test_a_subscription_token_of_the_configuration_goes_as_bearer(start: Start, upstream: Upstream) -> None:
    """Our own subscription's token is presented the way that Anthropic takes it."""
    gate = start(
        config='providers: {anthropic: {kind: anthropic, base_url: "${UPSTREAM}", keys: ["env:OUR_KEY"]}}\n',
        env={"OUR_KEY": "sk-ant-oat01-OURS"},
    )
    assert exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": "sk-client"})).status == 200
    assert upstream.requests[0].all("authorization") == ["Bearer sk-ant-oat01-OURS"]
    assert upstream.requests[0].all("x-api-key") == []


OAT = "sk-ant-oat01-THE-SUBSCRIPTION"


@pytest.mark.parametrize(
    "given",
    [
        {"authorization": f"Bearer {OAT}"},
        {"authorization": f"bearer   {OAT}"},
        {"x-api-key": OAT},
        {"x-api-key": "sk-ant-api03-x", "authorization": f"Bearer {OAT}"},
        {"authorization": "Bearer sk-ant-api03-x", "x-api-key": OAT},
        {"cookie": "a=b", "authorization": f"Bearer {OAT}"},
    ],
    ids=["bearer", "lower case", "x-api-key", "beside a key", "behind a bearer", "with a cookie"],
)
def test_a_subscription_token_goes_to_no_strangers_host(
    elsewhere: Gate, upstream: Upstream, given: Mapping[str, str]
) -> None:
    """A base_url that is neither Anthropic's nor this machine: refused, with nothing dialled."""
    got = exchange(elsewhere.port, post("/v1/messages", ASK, given))
    assert got.status in (401, 403)
    assert OAT not in error_of(got)["message"]
    assert upstream.received == b""
    assert OAT not in elsewhere.output()


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    """A gate before a provider on a foreign host (a name that never resolves)."""
    config = PASS_THROUGH.replace("${UPSTREAM}", "https://llm.invalid")
    with Gate(tmp_path_factory.mktemp("gate"), config=config) as gate:
        yield gate


def test_a_subscription_token_reaches_this_machine(start: Start, upstream: Upstream) -> None:
    """A base_url on loopback (another gateway, a test) gets it unchanged."""
    gate = start()
    assert exchange(gate.port, post("/v1/messages", ASK, {"authorization": f"Bearer {OAT}"})).status == 200
    assert upstream.requests[0].all("authorization") == [f"Bearer {OAT}"]


# -- hot reload
def edit(gate: Gate, text: str) -> None:
    """Replace the configuration in one step, as an editor or a deployment does."""
    new = gate.config_file.with_suffix(".new")
    new.write_text(text)
    new.replace(gate.config_file)


@pytest.mark.parametrize(
    ("bad", "where"),
    [
        ("audit: {log: nowhere}\n", ":1"),
        ("max_body: 1MB\n\nmax_bodyy: 2MB\n", ":3"),
        ("max_body: 1MB\nproviders: {x: {kind: anthropic, base_url: 7}}\n", ":2"),
        ("max_body: [\n", ":2"),
        ("providers: {anthropic: {kind: anthropic, keys: [sk-ant-api03-PASTED]}}\n", ":1"),
    ],
    ids=["wrong value", "unknown key", "wrong type", "no YAML", "a pasted key"],
)
def test_a_bad_edit_keeps_the_old_policy_and_says_where(start: Start, upstream: Upstream, bad: str, where: str) -> None:
    """The log names file and line; requests go on under the old policy; a repair is taken."""
    gate = start(config=PASS_THROUGH + "max_body: 2000\n")
    large = {**ASK, "pad": "x" * 3000}
    assert exchange(gate.port, post("/v1/messages", large)).status == 413
    edit(gate, bad)
    gate.wait_for_output(gate.config_file.name + where)
    assert "config.rejected" in gate.output()
    assert "PASTED" not in gate.output()
    assert exchange(gate.port, post("/v1/messages", ASK)).json() == MESSAGE
    assert exchange(gate.port, post("/v1/messages", large)).status == 413
    edit(gate, PASS_THROUGH)
    gate.wait_for_output("config.reloaded")
    assert exchange(gate.port, post("/v1/messages", large)).status == 200


def test_a_deleted_configuration_keeps_the_old_policy(start: Start, upstream: Upstream) -> None:
    """The file is gone: the policy in force stays, the log says so, and a new file is taken."""
    gate = start(config=PASS_THROUGH + "max_body: 2000\n")
    gate.config_file.unlink()
    gate.wait_for_output("config.rejected")
    assert exchange(gate.port, post("/v1/messages", {**ASK, "pad": "x" * 3000})).status == 413
    edit(gate, PASS_THROUGH)
    gate.wait_for_output("config.reloaded")
    assert exchange(gate.port, post("/v1/messages", {**ASK, "pad": "x" * 3000})).status == 200


def test_a_good_edit_applies_to_later_requests_only(start: Start, upstream: Upstream) -> None:
    """A stream that began under the old policy ends under it; the next request goes where the new one says."""
    gate = start()
    held = HeldStream()
    upstream.say(held)
    with Upstream() as other, Client(gate.port) as client:
        client.send(post("/v1/messages", ASK_STREAM))
        client.until(b"content_block_start")
        edit(gate, PASS_THROUGH.replace("${UPSTREAM}", other.url).replace("audit.jsonl", "second.jsonl"))
        gate.wait_for_output("config.reloaded")
        assert exchange(gate.port, post("/v1/messages", ASK)).status == 200
        assert (len(upstream.requests), len(other.requests)) == (1, 1)
        held.release.set()
        assert b"message_stop" in client.until(LAST)
        assert [r["outcome"] for r in gate.audit_records(count=1)] == ["ok"]
        client.send(post("/v1/messages", ASK))  # the same client, a later request
        assert client.answer().status == 200
        assert (len(upstream.requests), len(other.requests)) == (1, 2)
    second = gate.audit_records(count=2, file=gate.state_dir / "second.jsonl")
    assert len(second) == 2
    assert len(gate.audit_records()) == 1


LAST = b"0\r\n\r\n"


def test_a_start_with_a_bad_configuration_ends_and_says_where(tmp_path: Path) -> None:
    """At the start there is no old policy: mitmdump ends, naming file and line."""
    with pytest.raises(AssertionError, match=r"sluicegate\.yaml:1"):
        Gate(tmp_path, config="max_bodyy: 2MB\n").start()


def test_no_listener_is_left_behind(start: Start) -> None:
    """After SIGTERM the ports are free again."""
    gate = start()
    port = gate.port
    assert request("GET", f"{gate.url}/health").status == 200
    assert gate.stop() == 0
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind(("127.0.0.1", port))
