"""The requests inside a batch."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.messages.batches import batch_parts


def test_what_a_batch_asks_for() -> None:
    """Each request with its model, its most tokens and its body; one that cannot be read has no model."""
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
