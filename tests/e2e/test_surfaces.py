"""Stages on every surface: what a client of another format gets, and what its provider sees, with the scrubber on."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from kits.everyprovider import CONFIG, ENV, MODELS
from kits.gatekit import (
    Gate,
    Simulator,
)
from kits.surfaceskit import ask, record_of, text_of
from sluicegate.core.formats.bedrock import codec as bedrock

SECRET = "ghp_" + "a1B2c3D4e5F6" * 3
SAID = f"key {SECRET}, again {SECRET}."
SCRUB = """\
scrub: {mode: pseudonymize, key: "env:SCRUB_KEY", rules: [basic], style: angle, numbering: ranked}
"""
CLIENTS = ("messages", "chat", "bedrock", "vertex")

type Pair = tuple[Simulator, Gate]


@pytest.fixture(scope="module")
def module_pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pair]:
    folder = tmp_path_factory.mktemp("surfaces")
    env = {**ENV, "SCRUB_KEY": "0123456789abcdef" * 4}
    with Simulator(folder / "sim") as sim, Gate(folder / "gate", upstream=sim.url, config=CONFIG + SCRUB, env=env) as gate:
        yield sim, gate


@pytest.fixture
def pair(module_pair: Pair) -> Pair:
    """With nothing of the test before."""
    sim, gate = module_pair
    sim.script([])
    sim.clear()
    return sim, gate


def bodies(sim: Simulator) -> str:
    """All that the provider saw, what is wrapped up in base64 included."""
    seen = [call["body"] for call in sim.calls()]
    inner = [bedrock.counted_body(body.encode()) or b"" for body in seen]
    return " ".join([*seen, *(body.decode() for body in inner)])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("client", CLIENTS)
def test_a_secret_there_and_back(pair: Pair, client: str, name: str, stream: bool) -> None:
    """Whatever the client and the provider speak: the provider never sees the value, the client gets it back."""
    sim, gate = pair
    sim.script([{"echo": True, "events": 20, "times": -1}])
    answer = ask(gate, client, MODELS[name], SAID, stream=stream)
    assert answer.status == 200, answer.body
    assert text_of(client, answer, stream=stream) == SAID
    assert "<GITHUB_TOKEN_1>" in bodies(sim)
    assert SECRET not in bodies(sim)
    record = record_of(gate, answer)
    assert (record["provider"], record["outcome"]) == (name, "ok")
    assert record["bytes_out"] == len(answer.body)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("client", ["messages", "bedrock", "vertex"])
def test_counting_hides_as_well(pair: Pair, client: str, name: str) -> None:
    """A count goes out without the secret, in whatever it is wrapped, and comes back in the client's format."""
    sim, gate = pair
    answer = ask(gate, client, MODELS[name], SAID, counts=True)
    assert answer.status == 200, answer.body
    assert answer.json()["inputTokens" if client == "bedrock" else "input_tokens"] > 0
    assert SECRET not in bodies(sim)
