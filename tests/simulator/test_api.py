import hashlib
import json
from datetime import UTC, datetime

import pytest

from sluicegate.simulator import simulator


def test_native_headers_are_on_every_answer(client, clock) -> None:
    """request-id, organization and rate limits, on errors too; request ids differ."""
    for answer in (client.ask(), client.ask(model="gpt")):
        assert answer.headers["request-id"].startswith("req_")
        assert answer.headers["anthropic-organization-id"]
        for kind in ("requests", "tokens", "input-tokens", "output-tokens"):
            limit = int(answer.headers[f"anthropic-ratelimit-{kind}-limit"])
            assert 0 <= int(answer.headers[f"anthropic-ratelimit-{kind}-remaining"]) <= limit
            reset = datetime.fromisoformat(answer.headers[f"anthropic-ratelimit-{kind}-reset"])
            assert 0 < (reset - datetime.fromtimestamp(clock.now, UTC)).total_seconds() <= 60
    assert client.ask().headers["request-id"] != client.ask().headers["request-id"]


def test_remaining_limits_go_down_per_credential(client, clock) -> None:
    """Each call counts for its own credential until the window ends."""

    def remaining(key: str) -> int:
        return int(client.ask(key=key).headers["anthropic-ratelimit-requests-remaining"])

    assert [remaining("a"), remaining("a"), remaining("b")] == [4000, 3999, 4000]
    clock.now += 60
    assert remaining("a") == 4000


@pytest.mark.parametrize("headers", [{"x-api-key": "invalid"}, {"x-api-key": "", "authorization": "Bearer invalid"}])
def test_the_invalid_credential_is_refused(client, headers) -> None:
    """`invalid` is a 401 in either header, on each API endpoint."""
    for method, path in (("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens"), ("GET", "/v1/models")):
        answer = client.request(method, path, {} if method == "POST" else None, headers)
        assert (answer.status, answer.json["error"]["type"]) == (401, "authentication_error")


def test_a_credential_may_be_required(client_of) -> None:
    """require_auth refuses those who bring none, and only them."""
    with simulator(require_auth=True) as sim:
        client = client_of(sim)
        assert client.ask(key="").status == 401
        assert client.ask(key="any").status == 200
        bearer = client.request("GET", "/v1/models", headers={"authorization": "Bearer t"}, key="")
        assert bearer.status == 200


def test_without_require_auth_no_credential_is_needed(client) -> None:
    """The default asks for nothing."""
    assert client.ask(key="").status == 200


def test_models_are_listed_natively(client) -> None:
    """data, has_more, first_id, last_id; one alone by its id."""
    listed = client.get("/v1/models?limit=1000")
    assert {"type", "id", "display_name", "created_at"} == set(listed["data"][0])
    assert (listed["first_id"], listed["last_id"]) == (listed["data"][0]["id"], listed["data"][-1]["id"])
    assert listed["has_more"] is False
    assert client.get("/v1/models?limit=1")["has_more"] is True
    assert client.get(f"/v1/models/{listed['first_id']}") == listed["data"][0]
    assert client.request("GET", "/v1/models/nope").status == 404
    assert client.request("GET", "/v1/models?limit=0").status == 400


def test_warm_up_and_unknown_paths(client) -> None:
    """HEAD / and /api/hello are 200, what is not there is a native 404; HEAD has no body."""
    assert client.request("HEAD", "/").status == 200
    assert client.request("HEAD", "/api/hello").status == 200
    assert client.request("GET", "/api/hello").status == 200
    missing = client.request("GET", "/nowhere")
    assert (missing.status, missing.json["error"]["type"]) == (404, "not_found_error")
    head = client.request("HEAD", "/nowhere")
    assert (head.status, head.body) == (404, b"")
    assert int(head.headers["content-length"]) > 0


def test_a_path_prefix_is_tolerated(client) -> None:
    """The path's end decides."""
    body = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
    assert client.request("POST", "/team/a/v1/messages?beta=true", body).status == 200
    assert client.request("GET", "/team/a/v1/models").status == 200


def test_echo_tells_what_arrived(client) -> None:
    """Method, path, headers in order, and the body's length and hash."""
    echoed = client.request("PUT", "/_sim/echo?q=1", b"abc", {"X-Mixed-Case": "kept"}).json
    assert (echoed["method"], echoed["path"], echoed["query"]) == ("PUT", "/_sim/echo", "q=1")
    assert ["X-Mixed-Case", "kept"] in echoed["headers"]
    assert (echoed["body_bytes"], echoed["body_sha256"]) == (3, hashlib.sha256(b"abc").hexdigest())


def test_knobs_apply_to_every_endpoint(client) -> None:
    """A fault is as possible for models and unknown paths as for messages."""
    for path in ("/v1/models", "/_sim/echo", "/nowhere"):
        assert client.request("GET", path, headers={"x-sim": "status=503"}).status == 503


def test_a_wrong_knob_is_a_400_that_names_it(client) -> None:
    """A typo in a test's knobs is told, not ignored."""
    answer = client.ask("evnts=3")
    assert answer.status == 400
    assert "evnts" in answer.json["error"]["message"]


def test_script_outranks_header_outranks_model(sim, client) -> None:
    """Knobs of the three sources are merged, in this order."""
    sim.script({"text": "script"})
    assert client.ask("text=header;length=6", model="claude-x+text=model").text == "script"
    assert client.ask("text=header", model="claude-x+text=model").text == "header"
    assert client.ask(model="claude-x+text=model").text == "model"
    assert set(sim.bill["models"]) == {"claude-x"}


def test_usage_and_bill_agree(sim, client) -> None:
    """The sum of the answers' usage is the bill, by model and by credential, streamed or not."""
    control = {"type": "ephemeral"}
    text = {"type": "text", "text": "x" * 8000, "cache_control": control}
    messages = [{"role": "user", "content": [text, {"type": "text", "text": "q"}]}]
    first = client.ask(messages=messages).json["usage"]
    assert first["cache_creation"] == {"ephemeral_5m_input_tokens": 2000, "ephemeral_1h_input_tokens": 0}
    second = client.ask(messages=messages, stream=True).events[-2][1]["usage"]
    assert (second["input_tokens"], second["cache_read_input_tokens"]) == (1, 2000)
    sim.wait(lambda sim: sim.bill["calls"] == 2)
    line = sim.bill["models"]["claude-sonnet-4-5"]
    assert line["input_tokens"] == 2
    assert line["cache_creation_5m_input_tokens"] == line["cache_read_input_tokens"] == 2000
    assert line["output_tokens"] == first["output_tokens"] + second["output_tokens"]
    expected = ((2 + 2000 * 1.25 + 2000 * 0.1) * 3 + line["output_tokens"] * 15) / 1e6
    assert line["cost_usd"] == pytest.approx(expected)
    assert sim.bill["credentials"]["sk-1"] == line
    assert json.loads(client.request("GET", "/_sim/bill").body) == sim.bill
