"""Estimates: what a call is likely to use."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.limits.estimate import (
    Amounts,
    History,
    input_tokens,
    most_input_tokens,
    used_tokens,
)
from sluicegate.core.messages.usage import Usage


def test_input() -> None:
    """A token for four bytes; an image counts as a full-size one, not as its base64."""
    assert input_tokens(b"x" * 4001) == 1001
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 1_000_000}}
    body = msgspec.json.encode({"messages": [{"role": "user", "content": [image, image]}]})
    assert 3200 < input_tokens(body) < 3400


@given(body=st.binary(max_size=3000))
def test_the_most_is_never_less(body: bytes) -> None:
    """The worst case is at least the estimate, and at least a token for each byte."""
    assert most_input_tokens(body) >= max(len(body), input_tokens(body))


def test_used() -> None:
    """Cache reads do not count as input; work besides the answer does."""
    usage = Usage(10, 20, 1000, 30, 40, iterations=[("other", Usage(1, 2, 500, 3, 4))])
    assert used_tokens(usage) == (88, 22)
    assert Amounts(1, 88, 22).tokens == 110


def test_history() -> None:
    """The 95th percentile of the latest 64 answers, by key and model."""
    history = History()
    assert history.p95("k", "m") is None
    for n in range(1, 101):
        history.add("k", "m", n)
    assert history.p95("k", "m") == 97  # of 37…100
    history.add("k", "other", 5)
    assert history.p95("k", "other") == 5


def test_history_is_bounded() -> None:
    """With any number of keys and models; those used last are kept."""
    history = History()
    for i in range(5000):
        history.add(f"k{i}", "m", 1)
        history.add("busy", "m", 2)
    assert len(history._latest) == len(history._p95) == 2000
    assert history.p95("busy", "m") == 2
