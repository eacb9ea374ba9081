"""Nothing gets past the stages: whatever breaks, is edited, removed or smuggled, the upstream sees no unreleased call."""

import base64
import json
import os
import shutil
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from mitmproxy.version import VERSION

from kits.gatekit import (
    GATE_SCRIPT,
    ROOT,
    Gate,
    ProcessFailed,
    wait_until,
)
from kits.rawserver import (
    ASK,
    ASK_STREAM,
    MESSAGE,
    Asked,
    Client,
    Got,
    HeldStream,
    Peer,
    Upstream,
    Web,
    answering,
    error_of,
    exchange,
    head,
    message,
    post,
    post_chunked,
    self_signed,
    settled,
    stream,
)

SCRIPTS = Path(__file__).parent / "scripts"
KEY = "sk-ant-api03-the-clients-own-key"
type Start = Callable[..., Gate]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with Upstream() as server:
        yield server


@pytest.fixture(autouse=True)
def _clean_record(upstream: Upstream) -> None:
    upstream.forget()


@pytest.fixture(scope="module")
def keep(tmp_path_factory: pytest.TempPathFactory, upstream: Upstream) -> Iterator[Start]:
    """Gates that live as long as the module."""
    with ExitStack() as running:

        def start(**options: Any) -> Gate:
            options.setdefault("upstream", upstream.url)
            return running.enter_context(Gate(tmp_path_factory.mktemp("gate"), **options))

        yield start


@pytest.fixture
def own(tmp_path: Path, upstream: Upstream) -> Iterator[Start]:
    """Gates of one test, to be damaged at will."""
    with ExitStack() as running:

        def start(name: str = "gate", **options: Any) -> Gate:
            options.setdefault("upstream", upstream.url)
            return running.enter_context(Gate(tmp_path / name, name=name, **options))

        yield start


def serves(gate: Gate, upstream: Upstream) -> None:
    """The gate does its work: one call goes through, staged and audited."""
    calls = len(upstream.requests)
    got = exchange(gate.port, post("/v1/messages", ASK))
    assert got.status == 200, got
    assert got.json() == MESSAGE
    assert len(upstream.requests) == calls + 1
    assert record_of(gate, got)["outcome"] == "ok"


def record_of(gate: Gate, got: Got) -> dict[str, Any]:
    """The audit record of an answer."""
    wanted = got.one("x-sluicegate-id")
    assert wanted, got
    return wait_until(
        lambda: [record for record in gate.audit_records() if record["exchange"] == wanted], f"the record of {wanted}"
    )[0]


def last_record(gate: Gate, after: int) -> dict[str, Any]:
    """The newest record, when there are more than `after`."""
    return gate.audit_records(count=after + 1)[-1]


# -- (a) stages with bugs
@pytest.fixture(scope="module")
def planted(keep: Start) -> Gate:
    return keep(scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"])


@pytest.mark.parametrize("body", [ASK, ASK_STREAM], ids=["json", "stream"])
@pytest.mark.parametrize(
    "trouble", ["head", "request", "exit", "generator", "async", "async-cancelled", "async-task-cancelled"]
)
def test_a_stage_that_raises_before_sending_sends_nothing(
    planted: Gate, upstream: Upstream, trouble: str, body: object
) -> None:
    """A bug in a stage, in whatever hook and of whatever kind: native 500, no byte upstream; the next request is served."""
    with Client(planted.port) as client:
        client.send(post("/v1/messages", body, {"x-trouble": trouble, "x-api-key": KEY}))
        got = client.answer()
        assert got.status == 500
        assert got.complete
        assert "planted" in error_of(got)["message"]
        assert b"secret-in-the-exception" not in got.body
        assert upstream.received == b""
        record = record_of(planted, got)
        assert (record["outcome"], record["status"]) == ("internal", 500)
        client.send(post("/v1/messages", ASK))  # the same connection goes on
        assert client.answer().json() == MESSAGE
    serves(planted, upstream)
    assert "secret-in-the-exception" not in planted.output()


@pytest.mark.parametrize(("trouble", "status"), [("refuse", 418), ("async-refuse", 429)])
def test_a_refusal_is_a_native_answer_and_sends_nothing(
    planted: Gate, upstream: Upstream, trouble: str, status: int
) -> None:
    """Refused becomes a native error with its status, is audited as refused, and nothing goes upstream."""
    got = exchange(planted.port, post("/v1/messages", ASK, {"x-trouble": trouble}))
    assert got.status == status
    assert "refused" in error_of(got)["message"]
    assert upstream.received == b""
    assert record_of(planted, got)["outcome"] == "refused"
    serves(planted, upstream)


def test_a_stage_that_answers_by_itself_sends_nothing(planted: Gate, upstream: Upstream) -> None:
    """An answer of a stage's own ends the descent."""
    got = exchange(planted.port, post("/v1/messages", ASK, {"x-trouble": "answer-itself"}))
    assert (got.status, got.body) == (200, b"its own")
    assert upstream.received == b""


def test_a_stage_that_alters_the_request_is_covered_by_the_release(planted: Gate, upstream: Upstream) -> None:
    """What stages change goes upstream as they left it."""
    assert exchange(planted.port, post("/v1/messages", ASK, {"x-trouble": "alter"})).status == 200
    assert upstream.requests[0].one("x-altered") == "yes"


@pytest.mark.parametrize("body", [ASK, ASK_STREAM], ids=["json", "stream"])
def test_a_stage_that_raises_at_the_answers_headers_breaks_it_off(
    planted: Gate, upstream: Upstream, body: dict[str, Any]
) -> None:
    """No byte of an answer that a stage could not look at reaches the client; it gets a native 500."""
    upstream.say(stream if body.get("stream") else message)
    before = settled(planted)
    got = exchange(planted.port, post("/v1/messages", body, {"x-trouble": "answer"}))
    assert got.status == 500
    error_of(got)
    assert len(upstream.requests) == 1
    assert last_record(planted, before)["outcome"] == "internal"
    serves(planted, upstream)


@pytest.mark.parametrize("trouble", ["tap", "tap-end", "tap-cancelled", "change", "change-end"])
def test_a_tap_that_raises_ends_a_stream_with_an_error_event_and_an_abort(
    planted: Gate, upstream: Upstream, trouble: str
) -> None:
    """A failed tap: the client sees `event: error`, then the stream breaks off unterminated; nothing more is passed on."""
    upstream.say(stream)
    before = settled(planted)
    got = exchange(planted.port, post("/v1/messages", ASK_STREAM, {"x-trouble": trouble}))
    assert got.status == 200
    assert not got.complete
    last = got.body.rstrip().rpartition(b"\n\n")[2]
    assert last.startswith(b"event: error\ndata: "), got.body
    assert json.loads(last.partition(b"data: ")[2])["type"] == "error"
    if not trouble.endswith("-end"):
        assert b"message_start" not in got.body
    assert last_record(planted, before)["outcome"] == "internal"
    serves(planted, upstream)


@pytest.mark.parametrize("trouble", ["tap", "change", "change-end"])
def test_a_tap_that_raises_breaks_a_json_answer(planted: Gate, upstream: Upstream, trouble: str) -> None:
    """A JSON answer that a tap fails on is never delivered as a complete one."""
    got = exchange(planted.port, post("/v1/messages", ASK, {"x-trouble": trouble}))
    assert not got.complete or got.status == 500, got
    serves(planted, upstream)


def test_a_stage_that_raises_when_it_settles_spoils_nothing(planted: Gate, upstream: Upstream) -> None:
    """The answer is whole, the other stages settle (the record is there), an alarm is raised."""
    got = exchange(planted.port, post("/v1/messages", ASK, {"x-trouble": "settle"}))
    assert (got.status, got.json()) == (200, MESSAGE)
    assert record_of(planted, got)["outcome"] == "ok"
    assert planted.get("/stats").json()["alarms"]["stage.settle"] >= 1
    serves(planted, upstream)


def test_an_ordinary_script_that_crashes_opens_nothing(keep: Start, upstream: Upstream) -> None:
    """mitmproxy only logs a script's exception and skips the others of that script; the stages run all the same."""
    gate = keep(scripts=[SCRIPTS / "crashing.py", GATE_SCRIPT])
    serves(gate, upstream)


# -- (b) the script breaks while the gate runs
@pytest.fixture
def copied_script(tmp_path: Path) -> Path:
    """A copy of gate.py in a folder of its own, beside a link to the package."""
    folder = tmp_path / "addons"
    folder.mkdir()
    (folder / "sluicegate").symlink_to(ROOT / "addons" / "sluicegate")
    return Path(shutil.copy(GATE_SCRIPT, folder / "gate.py"))


@pytest.mark.parametrize("damage", ["syntax error", "emptied", "raises", "deleted", "renamed addon list"])
def test_a_broken_reload_leaves_the_chain_in_force(
    own: Start, upstream: Upstream, copied_script: Path, damage: str
) -> None:
    """mitmproxy re-reads the script when it changes; whatever it finds then, requests are staged, audited and sealed."""
    planted = shutil.copy(SCRIPTS / "planted.py", copied_script.parent)
    gate = own(scripts=[copied_script, planted])
    serves(gate, upstream)
    texts = {
        "syntax error": "def (\n",
        "emptied": "",
        "raises": "raise RuntimeError('broken on purpose')\n",
        "renamed addon list": "addons = []\n",
    }
    if damage == "deleted":
        copied_script.unlink()
        wait_until(lambda: _alive_for(gate, 2.5), "two looks of mitmproxy at its scripts")
    else:
        seen = gate.output().count("Loading script")
        copied_script.write_text(texts[damage])
        os.utime(copied_script, (1, 2_000_000_000))  # a change of the time is what mitmproxy looks at
        gate.wait(lambda: gate.output().count("Loading script") > seen, "the reload")
    upstream.forget()
    serves(gate, upstream)
    upstream.forget()
    got = exchange(gate.port, post("/v1/messages", ASK, {"x-trouble": "refuse"}))
    assert got.status == 418
    assert upstream.received == b""


def _alive_for(gate: Gate, seconds: float) -> bool:
    """Whether the gate's own clock is that far."""
    return bool(gate.get("/stats").json()["run"]["uptime_s"] >= seconds)


def test_a_script_that_comes_back_joins_the_same_chain(own: Start, upstream: Upstream, copied_script: Path) -> None:
    """After a broken edit and its repair there is one Chain, and each request has one record."""
    gate = own(scripts=[copied_script])
    text = copied_script.read_text()
    for n, content in enumerate(("def (\n", text)):
        seen = gate.output().count("Loading script")
        copied_script.write_text(content)
        os.utime(copied_script, (1, 2_000_000_000 + n))
        gate.wait(lambda seen=seen: gate.output().count("Loading script") > seen, "the reload")
    serves(gate, upstream)
    assert len(gate.audit_records()) == 1
    assert gate.get("/debug").json()["stages"] == ["audit", "identity", "router"]


# -- (c) (e) (f) mitmweb
@pytest.fixture(scope="module")
def webbed(keep: Start) -> Gate:
    return keep(program="mitmweb", scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"])


@pytest.fixture
def web(webbed: Gate) -> Iterator[Web]:
    page = Web(webbed.web_port)
    yield page
    page.set(intercept="")
    page.call("POST", "/clear")


def test_removing_the_scripts_in_mitmweb_leaves_the_chain_in_force(own: Start, upstream: Upstream) -> None:
    """PUT /options {"scripts": []} unloads the script, not the Chain: audited, staged and sealed as before."""
    gate = own(program="mitmweb", scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"])
    page = Web(gate.web_port)
    serves(gate, upstream)
    page.set(scripts=[])
    assert page.call("GET", "/options").json()["scripts"]["value"] == []
    serves(gate, upstream)
    upstream.forget()
    got = exchange(gate.port, post("/v1/messages", ASK, {"x-trouble": "request"}))
    assert got.status == 500
    error_of(got)
    assert upstream.received == b""
    page.call("POST", f"/flows/{page.flow()['id']}/replay")
    serves(gate, upstream)


EDITS: dict[str, tuple[dict[str, object], Callable[[Asked], bool]]] = {
    "body": ({"content": '{"model":"claude-haiku-4-5","edited":1}'}, lambda asked: b"edited" in asked.body),
    "path": ({"path": "/v1/messages?edited=1"}, lambda asked: asked.target.endswith("edited=1")),
    "header": (
        {"headers": [["content-type", "application/json"], ["x-edited", "1"]]},
        lambda asked: asked.one("x-edited") == "1",
    ),
    "method": ({"method": "PUT"}, lambda asked: asked.method == "PUT"),
}


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_of_an_intercepted_request_goes_through_the_stages(
    webbed: Gate, web: Web, upstream: Upstream, what: str
) -> None:
    """Intercepted, edited, resumed: the stages and the audit see the edit, and exactly that is sent, once."""
    change, arrived = EDITS[what]
    with web.intercepting("~q & ~u /v1/messages"), Client(webbed.port) as client:
        client.send(post("/v1/messages", ASK, {"x-api-key": KEY}))
        flow = web.flow(lambda f: f["intercepted"])
        assert KEY not in json.dumps(flow)
        assert upstream.received == b""
        web.call("PUT", f"/flows/{flow['id']}", {"request": change})
        assert upstream.received == b""
        web.call("POST", f"/flows/{flow['id']}/resume")
        got = client.answer()
    assert got.status == 200
    assert len(upstream.requests) == 1
    assert arrived(upstream.requests[0])
    assert upstream.requests[0].all("x-api-key") == [KEY]
    record = record_of(webbed, got)
    assert record["method"] == ("PUT" if what == "method" else "POST")
    assert record["bytes_in"] == len(upstream.requests[0].body)
    if what == "body":
        assert record["model"] == "claude-haiku-4-5"


def test_an_intercepted_request_that_a_stage_refuses_is_not_sent(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """The stages have their say about what a person typed."""
    with web.intercepting("~q & ~u /v1/messages"), Client(webbed.port) as client:
        client.send(post("/v1/messages", ASK))
        flow = web.flow(lambda f: f["intercepted"])
        change = {"headers": [*flow["request"]["headers"], ["x-trouble", "refuse"]]}
        web.call("PUT", f"/flows/{flow['id']}", {"request": change})
        web.call("POST", f"/flows/{flow['id']}/resume")
        got = client.answer()
    assert got.status == 418
    assert upstream.received == b""


def test_an_edit_while_a_stage_waits_is_no_mixture(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """The request is edited in the middle of its descent: what is sent is what the audit saw, or nothing is."""
    with Client(webbed.port) as client:
        client.send(post("/v1/messages", ASK, {"x-trouble": "wait-blindly"}))
        flow = web.flow(lambda f: f["request"]["path"] == "/v1/messages")
        web.call("PUT", f"/flows/{flow['id']}", {"request": {"content": '{"model":"edited-late"}'}})
        got = client.answer()
    if got.status == 200:
        assert upstream.requests[0].body == b'{"model":"edited-late"}'
        assert record_of(webbed, got)["model"] == "edited-late"
    else:
        error_of(got)
        assert upstream.received == b""


@pytest.mark.parametrize("what", EDITS)
def test_an_edit_after_the_release_is_denied(own: Start, upstream: Upstream, tmp_path: Path, what: str) -> None:
    """Intercepted, resumed, released, and edited while the upstream is dialled: native 500, no byte upstream."""
    go = tmp_path / "go"
    gate = own(
        program="mitmweb",
        scripts=[GATE_SCRIPT, SCRIPTS / "meddler.py"],
        arguments=["--set", f"meddle_hold={go}"],
    )
    web = Web(gate.web_port)
    with web.intercepting("~q & ~u /v1/messages"), Client(gate.port) as client:
        client.send(post("/v1/messages", ASK, {"x-api-key": KEY}))
        flow = web.flow(lambda f: f["intercepted"])
        web.call("POST", f"/flows/{flow['id']}/resume")
        wait_until((tmp_path / "go.held").exists, "the dialling")
        web.call("PUT", f"/flows/{flow['id']}", {"request": EDITS[what][0]})
        go.touch()
        got = client.answer()
    assert got.status == 500
    assert "changed after its release" in error_of(got)["message"]
    assert upstream.received == b""
    assert record_of(gate, got)["outcome"] == "denied"
    serves(gate, upstream)


def test_a_killed_intercepted_request_sends_nothing(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """Kill in the user interface: no byte upstream, the record says so, the gate goes on."""
    before = settled(webbed)
    with web.intercepting("~q & ~u /v1/messages"), Client(webbed.port) as client:
        client.send(post("/v1/messages", ASK))
        flow = web.flow(lambda f: f["intercepted"])
        web.call("POST", f"/flows/{flow['id']}/kill")
        assert not client.rest().startswith(b"HTTP/1.1 200")
    assert upstream.received == b""
    assert last_record(webbed, before)["outcome"] != "ok"
    serves(webbed, upstream)


def test_a_client_that_leaves_an_intercepted_request_leaves_nothing_to_send(
    webbed: Gate, web: Web, upstream: Upstream
) -> None:
    """Resuming a request whose client has gone sends nothing."""
    before = settled(webbed)
    with web.intercepting("~q & ~u /v1/messages"):
        with Client(webbed.port) as client:
            client.send(post("/v1/messages", ASK))
            flow = web.flow(lambda f: f["intercepted"])
        assert last_record(webbed, before)["outcome"] == "client_abort"
        web.call("POST", f"/flows/{flow['id']}/resume")
    serves(webbed, upstream)
    assert len(upstream.requests) == 1  # that of serves()


def test_a_replay_is_a_new_exchange_under_the_same_seal(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """POST /flows/ID/replay: a record of its own by the door `replay`, one call, no credential of the first client."""
    got = exchange(webbed.port, post("/v1/messages", ASK, {"x-api-key": KEY}))
    first = record_of(webbed, got)
    flow = web.flow(lambda f: f["response"])
    before = settled(webbed)
    web.call("POST", f"/flows/{flow['id']}/replay")
    again = last_record(webbed, before)
    assert again["door"] == "replay"
    assert again["exchange"] != first["exchange"]
    assert again["outcome"] == "ok"
    assert [asked.body for asked in upstream.requests] == [upstream.requests[0].body] * 2
    assert upstream.requests[1].one("x-api-key") is None
    serves(webbed, upstream)


def test_a_replay_outlives_the_first_client(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """The client of the first exchange leaves while the replay waits for its answer: the replay is served to its end."""
    with Client(webbed.port) as client:
        client.send(post("/v1/messages", ASK))
        assert client.answer().status == 200
        flow = web.flow(lambda f: f["response"])
        before = settled(webbed)
        held = HeldStream()
        upstream.say(held)
        web.call("POST", f"/flows/{flow['id']}/replay")
        upstream.wait_for(2)
    serves(webbed, upstream)  # by now the gate has seen the first client leave
    before += 1
    held.release.set()
    record = last_record(webbed, before)
    assert (record["door"], record["outcome"]) == ("replay", "ok")


def test_a_replay_of_an_edited_flow_is_what_is_audited(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """An edit of a finished flow, replayed: the record names the edited model, the upstream sees the edited body."""
    exchange(webbed.port, post("/v1/messages", ASK))
    flow = web.flow(lambda f: f["response"])
    before = settled(webbed)
    web.call("PUT", f"/flows/{flow['id']}", {"request": {"content": '{"model":"claude-haiku-4-5"}'}})
    web.call("POST", f"/flows/{flow['id']}/replay")
    assert last_record(webbed, before)["model"] == "claude-haiku-4-5"
    assert upstream.wait_for(2)[1].body == b'{"model":"claude-haiku-4-5"}'


@pytest.mark.parametrize("trouble", ["refuse", "request", "async-cancelled"])
def test_a_replay_that_a_stage_stops_sends_nothing(webbed: Gate, web: Web, upstream: Upstream, trouble: str) -> None:
    """The stages decide about a replay as about any request."""
    exchange(webbed.port, post("/v1/messages", ASK))
    flow = web.flow(lambda f: f["response"])
    upstream.forget()
    before = settled(webbed)
    headers = [*flow["request"]["headers"], ["x-trouble", trouble]]
    web.call("PUT", f"/flows/{flow['id']}", {"request": {"headers": headers}})
    web.call("POST", f"/flows/{flow['id']}/replay")
    assert last_record(webbed, before)["outcome"] in ("refused", "internal")
    assert upstream.received == b""
    serves(webbed, upstream)


# -- (d) other addons
@pytest.fixture(scope="module")
def meddled(keep: Start) -> Gate:
    return keep(scripts=[GATE_SCRIPT, SCRIPTS / "meddler.py"])


@pytest.mark.parametrize("what", ["body", "path", "method", "host", "port", "scheme", "header", "credential", "replace"])
def test_an_edit_after_the_stages_is_denied(meddled: Gate, upstream: Upstream, what: str) -> None:
    """Another addon changes the released request: native 500, no byte upstream, an alarm; the next request is served."""
    with Upstream() as other:
        fields = {"x-meddle": what, "x-meddle-port": str(other.port), "x-api-key": KEY}
        got = exchange(meddled.port, post("/v1/messages", ASK, fields))
        assert got.status == 500
        assert "changed after its release" in error_of(got)["message"]
        assert other.received == b""
    assert upstream.received == b""
    assert record_of(meddled, got)["outcome"] == "denied"
    assert meddled.get("/stats").json()["alarms"]["seal.denied"] >= 1
    serves(meddled, upstream)


def test_trailers_are_not_smuggled_in(meddled: Gate, upstream: Upstream) -> None:
    """Trailers set by another addon after the release do not reach the upstream."""
    exchange(meddled.port, post("/v1/messages", ASK, {"x-meddle": "trailers"}))
    assert b"meddled: yes" not in upstream.received
    serves(meddled, upstream)


def test_streaming_switched_on_by_another_addon_does_not_pass_the_stages(meddled: Gate, upstream: Upstream) -> None:
    """`flow.request.stream = True` in an addon's requestheaders: still collected and staged, or not sent at all."""
    before = settled(meddled)
    got = exchange(meddled.port, post_chunked("/v1/messages", [b'{"model":"a",', b'"x":1}'], {"x-meddle": "stream"}))
    record = last_record(meddled, before)
    if got.status == 200:
        assert [asked.body for asked in upstream.requests] == [b'{"model":"a","x":1}']
        assert record["model"] == "a"
    else:
        error_of(got)
        assert upstream.received == b""
    serves(meddled, upstream)


def test_an_answer_of_another_addon_is_no_call(meddled: Gate, upstream: Upstream) -> None:
    """An addon that answers by itself is its owner's business; nothing goes upstream."""
    got = exchange(meddled.port, post("/v1/messages", ASK, {"x-meddle": "response"}))
    assert (got.status, got.body) == (200, b"meddled")
    assert upstream.received == b""


def test_an_edit_before_the_stages_is_staged(meddled: Gate, upstream: Upstream) -> None:
    """A script's own edit runs before the Chain: it is what the stages see, the audit counts and the upstream gets."""
    got = exchange(meddled.port, post("/v1/messages", ASK, {"x-meddle-early": "body"}))
    assert got.status == 200
    assert b"meddled" in upstream.requests[0].body
    assert record_of(meddled, got)["bytes_in"] == len(upstream.requests[0].body)


def test_a_server_address_changed_while_dialling_gets_no_byte(keep: Start, upstream: Upstream) -> None:
    """An addon that redirects the connection itself: the request was released for another target."""
    with Upstream() as other:
        gate = keep(
            scripts=[GATE_SCRIPT, SCRIPTS / "meddler.py"],
            arguments=["--set", f"meddle_address=127.0.0.1:{other.port}"],
        )
        got = exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": KEY}))
        assert got.status == 500
        error_of(got)
        assert other.received == b""
    assert upstream.received == b""


# -- (g) mitmproxy's own streaming
def test_stream_large_bodies_does_not_pass_the_stages(keep: Start, upstream: Upstream) -> None:
    """With mitmproxy's request streaming on, a large body is still collected, staged and sent in one call."""
    gate = keep(scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"], options={"stream_large_bodies": "1k"})
    body = json.dumps({**ASK, "pad": "x" * 300_000}).encode()
    pieces = [body[i : i + 50_000] for i in range(0, len(body), 50_000)]
    for raw in (post("/v1/messages", body), post_chunked("/v1/messages", pieces)):
        upstream.forget()
        got = exchange(gate.port, raw)
        assert got.status == 200
        assert [asked.body for asked in upstream.requests] == [body]
        record = record_of(gate, got)
        assert (record["bytes_in"], record["model"]) == (len(body), ASK["model"])
    for trouble in ("request", "refuse", "async-cancelled", "head"):
        for raw in (
            post("/v1/messages", body, {"x-trouble": trouble}),
            post_chunked("/v1/messages", pieces, {"x-trouble": trouble}),
        ):
            upstream.forget()
            got = exchange(gate.port, raw)
            assert got.status in (418, 500)
            error_of(got)
            assert upstream.received == b""
    serves(gate, upstream)


# -- (h) WebSockets and other upgrades
UPGRADE = {
    "connection": "Upgrade",
    "upgrade": "websocket",
    "sec-websocket-version": "13",
    "sec-websocket-key": base64.b64encode(b"0123456789abcdef").decode(),
}
SWITCHING = (
    b"HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n"
    b"sec-websocket-accept: BACScCJPNqyz+UBoqMH89VmURoA=\r\n\r\n"
)


def switching(peer: Peer, asked: Asked) -> None:
    """101, then a frame with `hello`, then whatever comes is recorded."""
    assert asked.one("upgrade") == "websocket", asked
    peer.send(SWITCHING, b"\x81\x05hello")
    peer.wait_closed(5)


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages?beta=true", "/v1/messages/count_tokens"])
def test_an_upgrade_on_an_inference_path_is_refused(planted: Gate, upstream: Upstream, path: str) -> None:
    """What could carry prompts past the stages is refused; nothing goes upstream."""
    got = exchange(planted.port, head("GET", path, UPGRADE))
    assert got.status == 426
    error_of(got)
    assert upstream.received == b""
    serves(planted, upstream)


def test_a_websocket_elsewhere_is_relayed_where_no_stage_has_to_read_it(planted: Gate, upstream: Upstream) -> None:
    """Voice and the like: relayed both ways, once the stages have let the upgrade pass."""
    upstream.say(switching)
    with Client(planted.port) as client:
        client.send(head("GET", "/v1/voice", {**UPGRADE, "x-api-key": KEY}))
        status, headers = client.head()
        assert status == 101
        assert ("upgrade", "websocket") in [(k.lower(), v) for k, v in headers]
        assert client.until(b"hello") == b"\x81\x05hello"
        client.send(b"\x81\x85\x00\x00\x00\x00world")
        wait_until(lambda: b"world" in _unmasked(upstream.peers[-1].received), "the frame upstream")
    assert upstream.requests[0].one("x-api-key") == KEY
    serves(planted, upstream)


def _unmasked(received: bytes | bytearray) -> bytes:
    """The payload of the last masked frame, where a whole one is there."""
    at = received.rfind(b"\x81\x85")
    if at < 0 or len(received) < at + 11:
        return b""
    mask = received[at + 2 : at + 6]
    return bytes(byte ^ mask[i % 4] for i, byte in enumerate(received[at + 6 : at + 11]))


def test_a_websocket_is_refused_where_a_stage_has_to_read_what_passes(keep: Start, upstream: Upstream) -> None:
    """A stage with reads_websockets: no upgrade passes it unread."""
    gate = keep(scripts=[GATE_SCRIPT, SCRIPTS / "reader.py"])
    got = exchange(gate.port, head("GET", "/v1/voice", UPGRADE))
    assert got.status == 403
    error_of(got)
    assert upstream.received == b""
    serves(gate, upstream)


def test_a_stage_that_stops_an_upgrade_stops_it(planted: Gate, upstream: Upstream) -> None:
    """A bug or a refusal before the upgrade: nothing upstream."""
    for trouble, status in (("request", 500), ("refuse", 418)):
        got = exchange(planted.port, head("GET", "/v1/voice", {**UPGRADE, "x-trouble": trouble}))
        assert got.status == status
        error_of(got)
    assert upstream.received == b""


def test_an_unasked_101_is_a_native_502(planted: Gate, upstream: Upstream) -> None:
    """An upstream that switches protocols by itself opens no tunnel: native 502, and no byte of the client follows."""
    upstream.say(answering(SWITCHING + b"\x81\x05hello"))
    with Client(planted.port) as client:
        client.send(post("/v1/messages", ASK))
        got = client.answer()
        assert got.status == 502
        error_of(got)
        assert b"hello" not in got.body
    sent = len(upstream.received)
    assert upstream.received.endswith(json.dumps(ASK).encode())
    serves(planted, upstream)
    assert sent < len(upstream.received)


def test_an_upgrade_to_something_else_goes_as_plain_http(planted: Gate, upstream: Upstream) -> None:
    """`Upgrade: h2c` is hop-by-hop: neither it nor HTTP2-Settings reaches the upstream."""
    fields = {"connection": "Upgrade, HTTP2-Settings", "upgrade": "h2c", "http2-settings": "AAMAAABkAAQAAP__"}
    got = exchange(planted.port, post("/v1/messages", ASK, fields))
    assert got.status == 200
    assert {name.lower() for name, _ in upstream.requests[0].headers}.isdisjoint({"upgrade", "http2-settings"})


# -- (i) raw bytes


@pytest.fixture(scope="module")
def tls_upstream(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upstream]:
    context, _ = self_signed(tmp_path_factory.mktemp("tls"), "localhost", "127.0.0.1")
    with Upstream(tls=context) as server:
        yield server


@pytest.fixture(scope="module")
def regular(keep: Start, upstream: Upstream) -> Gate:
    """The base_url's host is a provider's: 127.0.0.1 itself, whatever the port."""
    return keep(regular=True)


RAW = {
    "text": b"raw bytes, no HTTP at all\r\n\r\n" * 20,
    "binary": bytes(range(256)) * 8,
    "smtp": b"EHLO somebody\r\n",
    "ssh": b"SSH-2.0-OpenSSH_9.9\r\n",
}


@pytest.mark.parametrize("kind", RAW)
def test_raw_bytes_in_a_tunnel_to_a_provider_go_nowhere(regular: Gate, upstream: Upstream, kind: str) -> None:
    """CONNECT to a provider's host and then no TLS and no HTTP: no byte upstream, and the connection ends."""
    with Client(regular.proxy_port) as client:
        assert client.connect(f"127.0.0.1:{upstream.port}").status == 200
        client.send(RAW[kind])
        client.sock.shutdown(socket.SHUT_WR)
        client.rest()
    assert upstream.received == b""
    serves(regular, upstream)


@pytest.mark.parametrize("kind", RAW)
def test_raw_bytes_at_a_door_go_nowhere(regular: Gate, upstream: Upstream, kind: str) -> None:
    """Garbage at the reverse door and at the regular door: no byte upstream."""
    for port in (regular.port, regular.proxy_port):
        with Client(port) as client:
            client.send(RAW[kind])
            client.sock.shutdown(socket.SHUT_WR)
            client.rest()
    assert upstream.received == b""
    serves(regular, upstream)


def test_plain_http_in_a_tunnel_to_a_provider_is_staged(regular: Gate, upstream: Upstream) -> None:
    """HTTP without TLS inside a tunnel is HTTP: collected, staged, audited."""
    with Client(regular.proxy_port) as client:
        assert client.connect(f"127.0.0.1:{upstream.port}").status == 200
        client.send(post("/v1/messages", ASK))
        got = client.answer()
    assert got.status == 200
    assert record_of(regular, got)["door"] == "regular"


def test_raw_bytes_inside_tls_to_a_provider_go_nowhere(keep: Start, tls_upstream: Upstream) -> None:
    """Opened TLS to a provider, then no HTTP inside: no byte upstream."""
    gate = keep(regular=True, upstream=tls_upstream.url, options={"ssl_insecure": "true"})
    tls_upstream.forget()
    with Client(gate.proxy_port) as client:
        assert client.connect(f"127.0.0.1:{tls_upstream.port}").status == 200
        client.start_tls("127.0.0.1", gate.ca_cert)
        client.send(RAW["text"])
        client.rest()
    assert tls_upstream.received == b""


# -- (j) several scripts
def alone(own: Start, upstream: Upstream, *names: str) -> tuple[Gate, list[str]]:
    gate = own(scripts=[ROOT / "addons" / name for name in names])
    got = exchange(gate.port, post("/v1/messages", ASK, {"x-api-key": KEY}))
    assert (got.status, got.json()) == (200, MESSAGE)
    assert upstream.requests[-1].all("x-api-key") == [KEY]
    stages: list[str] = gate.get("/debug").json()["stages"]
    return gate, stages


def test_several_scripts_join_one_chain_in_its_order(own: Start, upstream: Upstream) -> None:
    """Router first, then audit, on the command line: one Chain, audit outside, one record per request."""
    gate, stages = alone(own, upstream, "router.py", "audit.py")
    assert stages == ["audit", "identity", "router"]
    record = gate.audit_records(count=1)[0]
    assert (record["outcome"], record["input_tokens"]) == ("ok", 10)
    assert len(gate.audit_records()) == 1


def test_the_router_alone(own: Start, upstream: Upstream) -> None:
    """router.py by itself: routed under the seal, no audit log. Who calls is asked whatever is loaded."""
    gate, stages = alone(own, upstream, "router.py")
    assert stages == ["identity", "router"]
    assert gate.audit_records() == []
    upstream.forget()
    assert exchange(gate.port, head("GET", "/v1/messages", UPGRADE)).status == 426
    assert upstream.received == b""


def test_the_audit_log_alone(own: Start, upstream: Upstream) -> None:
    """audit.py by itself: the request goes where the door points, with the client's own key, and is recorded."""
    gate, stages = alone(own, upstream, "audit.py")
    assert stages == ["audit", "identity"]
    assert gate.audit_records(count=1)[0]["outcome"] == "ok"


# -- (k) (l) options
def test_proxy_debug_is_refused_at_the_start(tmp_path: Path, upstream: Upstream) -> None:
    """proxy_debug writes credentials to the log: the gate does not start with it, and says why."""
    with pytest.raises(ProcessFailed, match="proxy_debug is not allowed; it writes credentials to the log"):
        Gate(tmp_path, upstream=upstream.url, options={"proxy_debug": "true"}).start()


@pytest.mark.skipif(VERSION.startswith("12.2."), reason="mitmproxy has it from 12.3 on")
@pytest.mark.parametrize("option", ["emudhra", "emudhra_old"])
def test_a_publicly_known_ca_key_is_refused_at_the_start(tmp_path: Path, upstream: Upstream, option: str) -> None:
    """Clients that trust that CA would trust anybody who signs with its key."""
    with pytest.raises(ProcessFailed, match=f"{option} is not allowed; it signs .* publicly known key"):
        Gate(tmp_path, upstream=upstream.url, options={option: "true"}).start()


def test_proxy_debug_can_not_be_switched_on_later(webbed: Gate, web: Web, upstream: Upstream) -> None:
    """Nor through mitmweb's options: refused, and the option keeps its value."""
    with pytest.raises(AssertionError, match="proxy_debug"):
        web.set(proxy_debug=True)
    assert web.call("GET", "/options").json()["proxy_debug"]["value"] is False
    serves(webbed, upstream)


@pytest.mark.parametrize(
    "option",
    ["ignore_hosts=.*", "allow_hosts=nothing.example", "tcp_hosts=.*", "ignore_hosts=127"],
)
def test_host_options_open_no_raw_tcp_to_the_provider(own: Start, upstream: Upstream, option: str) -> None:
    """mitmproxy turns such hosts into raw TCP, past every addon; on the reverse door HTTP stays HTTP under the seal."""
    name, _, value = option.partition("=")
    gate = own(options={name: value}, scripts=[GATE_SCRIPT, SCRIPTS / "planted.py"])
    serves(gate, upstream)
    upstream.forget()
    got = exchange(gate.port, post("/v1/messages", ASK, {"x-trouble": "refuse"}))
    assert got.status == 418
    with Client(gate.port) as client:
        client.send(RAW["text"])
        client.sock.shutdown(socket.SHUT_WR)
        client.rest()
    assert upstream.received == b""


def test_host_options_open_no_raw_tcp_in_a_tunnel_to_a_provider(own: Start, upstream: Upstream) -> None:
    """The same in the regular door's tunnels to a provider's host."""
    gate = own(regular=True, options={"ignore_hosts": ".*"})
    with Client(gate.proxy_port) as client:
        assert client.connect(f"127.0.0.1:{upstream.port}").status == 200
        client.send(RAW["text"])
        client.sock.shutdown(socket.SHUT_WR)
        client.rest()
    assert upstream.received == b""
