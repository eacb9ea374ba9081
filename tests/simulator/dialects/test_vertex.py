"""Vertex AI's rawPredict as the simulator speaks it."""

from __future__ import annotations

from typing import Any

import pytest

MODELS = "/v1/projects/p/locations/us-east5/publishers/anthropic/models/"
BODY = {"anthropic_version": "vertex-2023-10-16", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}


def ask(client: Any, action: str = "rawPredict", sim: str = "", token: str = "t", **fields: Any) -> Any:
    body = {name: value for name, value in {**BODY, **fields}.items() if value is not None}
    headers = {"x-sim": sim, **({"authorization": f"Bearer {token}"} if token else {})}
    return client.request("POST", f"{MODELS}claude-sonnet-4-5@20250929:{action}", body, headers, key="")


def test_a_plain_answer_and_a_stream(client) -> None:
    """As the Messages API has them, from the model by its own name."""
    assert ask(client, sim="text=hello").json["model"] == "claude-sonnet-4-5-20250929"
    assert ask(client, "streamRawPredict", "text=hello", stream=True).text == "hello"


def test_the_version_that_current_sdks_name(client) -> None:
    """anthropic 2.14 sends the date of the Messages API in place of Vertex' own name for its first version."""
    assert ask(client, anthropic_version="2026-10-21").status == 200


def test_tokens_are_counted(client) -> None:
    """At a path of its own, with the model in the body."""
    headers = {"authorization": "Bearer t"}
    body = {**BODY, "model": "claude-sonnet-4-5@20250929"}
    assert client.request("POST", f"{MODELS}count-tokens:rawPredict", body, headers, key="").json == {"input_tokens": 1}


@pytest.mark.parametrize(
    ("action", "wrong"),
    [
        ("rawPredict", {"anthropic_version": None}),
        ("rawPredict", {"model": "x"}),
        ("rawPredict", {"anthropic_beta": []}),
        ("rawPredict", {"stream": True}),
        ("streamRawPredict", {}),
    ],
)
def test_what_vertex_does_not_take(client, action: str, wrong: dict[str, Any]) -> None:
    """INVALID_ARGUMENT."""
    answer = ask(client, action, **wrong)
    assert (answer.status, answer.json["error"]["status"]) == (400, "INVALID_ARGUMENT")


@pytest.mark.parametrize("token", ["", "invalid"])
def test_a_token_is_required(client, token: str) -> None:
    """UNAUTHENTICATED."""
    assert ask(client, token=token).json["error"] == {
        "code": 401,
        "message": "Request had invalid authentication credentials.",
        "status": "UNAUTHENTICATED",
    }


def test_faults(client) -> None:
    """By Google's names before the answer, as the Messages API has them within it."""
    assert ask(client, sim="status=529").json["error"]["status"] == "UNAVAILABLE"
    assert ask(client, sim="status=429").json["error"]["status"] == "RESOURCE_EXHAUSTED"
    names = [name for name, _ in ask(client, "streamRawPredict", "fault=error", stream=True).events]
    assert names[-1] == "error"
