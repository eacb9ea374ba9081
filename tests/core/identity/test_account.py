"""Paths that are no inference, and what a batch asks for."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.identity.account import (
    batch_parts,
    is_batch,
    is_own_affair,
    may_start_models,
)


@pytest.mark.parametrize(
    ("method", "path", "batch", "starts", "own"),
    [
        ("POST", "/v1/messages/batches", True, True, False),
        ("POST", "/v1/messages/batches/?beta=true", True, True, False),
        ("POST", "/prefix/v1/messages/batches", True, True, False),
        ("GET", "/v1/messages/batches", False, False, False),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel", False, False, False),
        ("POST", "/v1/messages/batches/../batches", False, True, False),
        ("POST", "/v1/messages/%62atches", False, True, False),
        ("POST", "/v1/messages//batches", False, True, False),
        ("POST", "/v1/responses", False, True, False),
        ("PUT", "/v1/sessions/1", False, True, False),
        ("POST", "/v1/files", False, False, False),
        ("POST", "/v1/files/../sessions", False, True, False),
        ("HEAD", "/", False, False, True),
        ("GET", "/api/claude_code/settings?x=/v1/files", False, False, True),
        ("GET", "/api/../v1/files", False, False, False),
        ("GET", "/api/%2e%2e/v1/files", False, False, False),
        ("GET", "/api//v1/files", False, False, False),
        ("GET", "/apiary", False, False, False),
    ],
)
def test_paths(method: str, path: str, batch: bool, starts: bool, own: bool) -> None:
    """What is spelled oddly is no batch that could be judged, but one that may start anything, and nobody's own affair."""
    assert (is_batch(method, path), may_start_models(method, path), is_own_affair(path)) == (batch, starts, own)


def test_what_a_batch_asks_for() -> None:
    """Each request with its model, its most tokens and its body; one that can not be read has no model."""
    params = {"model": "m", "max_tokens": 5, "messages": []}
    body = {"requests": [{"custom_id": "a", "params": params}, {"params": "nothing"}, {"params": {"max_tokens": "5"}}]}
    parts = batch_parts(json.dumps(body).encode())
    assert parts is not None
    assert [(part.model, part.max_tokens) for part in parts] == [("m", 5), (None, None), (None, None)]
    assert json.loads(parts[0].body) == params


def test_of_a_model_twice_the_last_counts() -> None:
    """As everywhere else; of a list twice, too."""
    twice = b'{"requests": [], "requests": [{"params": {"model": "cheap"}, "params": {"model": "a", "model": "dear"}}]}'
    parts = batch_parts(twice)
    assert parts is not None
    assert [part.model for part in parts] == ["dear"]


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"requests": {}}', b'{"requests": [1]}', b'{"requests": [{}]}', b"\xff"]
)
def test_what_is_no_batch(body: bytes) -> None:
    """Is not taken for an empty one."""
    assert batch_parts(body) is None


@given(st.binary(max_size=200))
def test_any_bytes(body: bytes) -> None:
    """Are a batch or none, and never an exception."""
    batch_parts(body)
