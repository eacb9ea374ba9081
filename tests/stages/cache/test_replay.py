"""Replay: the recorded bytes and headers, at once or at the recorded pace."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest

from sluicegate.exchange.bodies import ByteSource
from sluicegate.stages.cache import replay as module
from sluicegate.stages.cache.replay import replay
from sluicegate.stores.cache.base import Entry, Head

BODY = b"one two three"
TIMING = ((0, 4), (100, 4), (100, 2), (60_000, 3))


def entry(body: bytes = BODY, *, stream: bool = True, age_s: float = 0, timing: Any = TIMING) -> Entry:
    head = Head("m", headers=(("content-type", "text/event-stream"),), stream=stream, timing=timing)
    return Entry("k" * 64, time.time() - age_s, time.time() + 60, head, body)


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses that a replay makes; they take no time here."""
    made: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await real(0)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    return made


async def ended(source: ByteSource) -> list[bytes]:
    """The chunks until the end."""
    chunks: list[bytes] = []
    while True:
        await source.wait()
        new, over = source.take()
        chunks += new
        if over:
            return chunks


@pytest.mark.parametrize(
    ("kept", "pace"),
    [(entry(), 0), (entry(stream=False), 1.0), (entry(timing=((0, 13),)), 1.0)],
    ids=["no pace", "a document", "a single chunk"],
)
async def test_at_once(kept: Entry, pace: float, pauses: list[float]) -> None:
    """The whole body with its length, without a pause."""
    response, source = replay(kept, pace)
    assert (response.status_code, response.headers["content-length"]) == (200, str(len(BODY)))
    assert source.take() == ([BODY], True)
    assert pauses == []


async def test_at_the_recorded_pace(pauses: list[float]) -> None:
    """Chunks as they were recorded, pauses times the factor, none longer than ten seconds; no length is promised."""
    response, source = replay(entry(), 0.5)
    assert "content-length" not in response.headers
    assert b"".join(await ended(source)) == BODY
    assert source.error is None
    assert pauses == [0.05, 10.0]


async def test_more_bytes_than_timed_are_sent_at_the_end(pauses: list[float]) -> None:
    """Only the first chunks of a long answer are timed; the rest follows in one piece."""
    _, source = replay(entry(BODY + b" and more", timing=TIMING[:2]), 1.0)
    assert b"".join(await ended(source)) == BODY + b" and more"
    assert pauses == [0.1]


async def test_a_client_that_disconnects_ends_the_replay(pauses: list[float]) -> None:
    """The closed source gets nothing more, and no further pause is made."""
    _, source = replay(entry(timing=((0, 4), (100, 4), (200, 5))), 1.0)
    await source.wait()
    source.close("the client disconnected")
    await asyncio.gather(*module._tasks)
    assert source.take() == ([b"one "], True)
    assert source.error == "the client disconnected"
    assert pauses == [0.1]


async def test_age() -> None:
    """The seconds since the answer was recorded; never negative, whatever the clocks of two machines say."""
    assert replay(entry(age_s=90), 0)[0].headers["age"] == "90"
    assert replay(entry(age_s=-90), 0)[0].headers["age"] == "0"
    assert replay(entry(), 0)[0].headers["content-type"] == "text/event-stream"
