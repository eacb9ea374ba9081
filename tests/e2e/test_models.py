"""GET /v1/models by the gate: what the routes serve, with what the providers list."""

from __future__ import annotations

import json
import ssl
from collections.abc import Iterator
from pathlib import Path

import anthropic
import openai
import pytest

from kits.gatekit import (
    Gate,
    Simulator,
    request,
    wait_until,
)
from kits.rawserver import (
    Upstream,
    answering,
    reply,
    self_signed,
)

CONFIG = """\
providers:
  anthropic: {kind: anthropic, base_url: "${UPSTREAM}"}
  local:     {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY_B"]}
  silent:    {kind: openai, base_url: "${SILENT}/v1", keys: ["env:KEY_B"]}
  aws:       {kind: bedrock, base_url: "${UPSTREAM}", region: us-west-2, keys: ["env:KEY_B"]}
routes:
  - {model: "fast", targets: [{provider: local, model: llama-3.3-70b}]}
  - {model: "claude-mine", targets: [{provider: aws, model: us.anthropic.claude-opus-4-1-20250805-v1:0}]}
  - {model: "silent-*", targets: [{provider: silent}]}
  - {model: "claude-*", targets: [{provider: anthropic}]}
state_dir: "${STATE}"
"""


@pytest.fixture(scope="module")
def gate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gate]:
    folder = tmp_path_factory.mktemp("models")
    with Simulator(folder / "sim") as sim, Simulator(folder / "silent", name="silent") as silent:
        silent.script([{"fault": "stall", "stall_s": 20, "times": -1, "match": {"path": "/models", "method": "GET"}}])
        env = {"KEY_B": "b", "SILENT": silent.url}
        with Gate(folder / "gate", upstream=sim.url, config=CONFIG, env=env, regular=True) as running:
            yield running


def test_routes_and_listings_are_one_list(gate: Gate) -> None:
    """Names of our own come first, then what a provider lists and a route lets through; who is silent is left out."""
    answer = gate.get("/v1/models?limit=1000", {"x-api-key": "sk-ant-api03-client", "anthropic-version": "2023-06-01"})
    assert answer.status == 200, answer.body
    names = [model["id"] for model in answer.json()["data"]]
    assert names[:2] == ["fast", "claude-mine"]
    assert any(name.startswith("claude-") for name in names[2:])
    assert not any(name.startswith("silent") for name in names)
    assert answer.json()["has_more"] is False


def test_clients_of_both_apis_read_it(gate: Gate) -> None:
    """The SDKs list it, page through it and fetch one model."""
    ours = anthropic.Anthropic(base_url=gate.url, api_key="sk-ant-api03-client", max_retries=0)
    paged = [model.id for model in ours.models.list(limit=2)]
    assert paged[:2] == ["fast", "claude-mine"]
    assert len(paged) == len(set(paged)) > 2
    assert ours.models.retrieve("fast").display_name == "fast"
    theirs = openai.OpenAI(base_url=f"{gate.url}/v1", api_key="k", max_retries=0)
    assert [model.id for model in theirs.models.list()][:2] == ["fast", "claude-mine"]
    assert theirs.models.retrieve("fast").owned_by == "local"
    with pytest.raises(openai.NotFoundError, match="unknown model 'nothing'"):
        theirs.models.retrieve("nothing")
    with pytest.raises(anthropic.NotFoundError, match="unknown model 'nothing'"):
        ours.models.retrieve("nothing")


def test_the_regular_door_has_it_on_the_magic_host(gate: Gate) -> None:
    """There the providers' own lists stay theirs."""
    answer = request("GET", "http://sluicegate.local/v1/models", proxy=gate.proxy_url)
    assert answer.json()["data"][0]["id"] == "fast"


def test_a_list_is_not_fetched_twice_within_its_time(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Two clients with the same credential cause one call; another credential has its own list."""
    folder = tmp_path_factory.mktemp("cached")
    config = CONFIG.replace("${SILENT}", "${UPSTREAM}")
    with (
        Simulator(folder / "sim") as sim,
        Gate(folder / "gate", upstream=sim.url, config=config, env={"KEY_B": "b"}) as gate,
    ):
        for _ in range(3):
            assert gate.get("/v1/models", {"x-api-key": "sk-ant-api03-a"}).status == 200
        listed = [call["credential"] for call in sim.calls() if call["path"].startswith("/v1/models")]
        assert sorted(listed) == ["b", "b", "sk-ant-api03-a"]
        assert gate.get("/v1/models", {"x-api-key": "sk-ant-api03-b"}).status == 200
        assert len([call for call in sim.calls() if call["path"].startswith("/v1/models")]) == 4


def test_one_plain_provider_answers_by_itself(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Nothing of its list is changed."""
    folder = tmp_path_factory.mktemp("plain")
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url) as gate:
        through = gate.get("/v1/models", {"x-api-key": "sk-ant-api03-a"})
        assert through.body == request("GET", f"{sim.url}/v1/models", headers={"x-api-key": "sk-ant-api03-a"}).body


def test_a_key_sees_its_own_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    """In mode keys: none without a key, and with one what it covers; the key goes to no provider."""
    folder = tmp_path_factory.mktemp("keys")
    key = "sk-sg-" + "a" * 40
    more = """\
identity:
  mode: keys
  keys: [{name: one, key: "env:VIRTUAL", models: ["fast"]}]
"""
    config = CONFIG.replace("${SILENT}", "${UPSTREAM}") + more
    env = {"KEY_B": "b", "VIRTUAL": key}
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=config, env=env) as gate:
        assert gate.get("/v1/models").status == 401
        answer = gate.get("/v1/models", {"x-api-key": key})
        assert [model["id"] for model in answer.json()["data"]] == ["fast"]
        assert all(key not in str(call["headers"]) for call in sim.calls())


LISTED = {"object": "list", "data": [{"id": "llama-of-the-house", "object": "model", "created": 1, "owned_by": "us"}]}


@pytest.mark.parametrize("how", ["ssl_verify_upstream_trusted_ca", "ssl_insecure", ""])
def test_lists_are_fetched_under_the_trust_of_the_proxy_core(tmp_path: Path, how: str) -> None:
    """A provider behind a company's own CA is listed where its requests would be served, and nowhere else."""
    tls, certificate = self_signed(tmp_path / "tls", "127.0.0.1")
    trusted = tmp_path / "company.pem"
    trusted.write_text(ssl.DER_cert_to_PEM_cert(certificate))
    options = {how: "true" if how == "ssl_insecure" else str(trusted)} if how else {}
    with Upstream(tls=tls) as upstream:
        upstream.say(answering(reply(body=json.dumps(LISTED).encode())))
        config = f"""
providers: {{house: {{kind: openai, base_url: "{upstream.url}/v1", keys: ["env:KEY_B"]}}}}
state_dir: "${{STATE}}"
"""
        with Gate(tmp_path / "gate", config=config, env={"KEY_B": "b"}, options=options) as gate:
            names = [model["id"] for model in gate.get("/v1/models").json()["data"]]
    assert names == (["llama-of-the-house"] if how else [])


def test_certificates_and_many_models(tmp_path: Path) -> None:
    """A provider that only mitmproxy's options trust is asked for its list like for all else; a long one is no fault."""
    tls, _ = self_signed(tmp_path / "tls", "127.0.0.1")
    rows = [{"id": f"vendor/model-{n}", "object": "model", "description": "x" * 400} for n in range(10_000)]
    config = """\
providers: {own: {kind: openai, base_url: "${UPSTREAM}/v1", keys: ["env:KEY_B"]}}
routes: [{model: "*", targets: [{provider: own}]}]
state_dir: "${STATE}"
"""
    options = {"ssl_verify_upstream_trusted_ca": str(tmp_path / "tls" / "own.pem")}
    with Upstream(tls=tls) as own:
        own.say(answering(reply(body=json.dumps({"object": "list", "data": rows}).encode())))
        with Gate(tmp_path, upstream=own.url, config=config, env={"KEY_B": "b"}, options=options) as gate:
            wait_until(lambda: len(gate.get("/v1/models").json()["data"]) == 1000, "the provider's list")
