"""ByteSource and KeptBody: bounded, whole or not there."""

import asyncio

from sluicegate.exchange.bodies import ByteSource, KeptBody


async def test_a_source_hands_over_all_that_came() -> None:
    """Chunks come in order; the end is told with the last of them."""
    source = ByteSource()
    source.write(b"a")
    source.write(b"")
    source.write(b"b")
    await asyncio.wait_for(source.wait(), 1)
    assert source.take() == ([b"a", b"b"], False)
    waiting = asyncio.ensure_future(source.wait())
    await asyncio.sleep(0)
    assert not waiting.done()
    source.write(b"c")
    source.close()
    await asyncio.wait_for(waiting, 1)
    assert source.take() == ([b"c"], True)
    source.write(b"late")
    assert source.take() == ([], True)


async def test_a_source_is_bounded() -> None:
    """A reader that does not keep up loses the stream, not our memory; the writer is told once."""
    source, closed = ByteSource(limit=10), []
    source.on_close = lambda: closed.append(True)
    source.write(b"x" * 10)
    source.write(b"y")
    assert source.closed
    assert source.error
    source.close("again")
    assert closed == [True]
    assert source.take() == ([b"x" * 10], True)


async def test_taking_makes_room() -> None:
    """The limit is on what waits, not on what has passed."""
    source = ByteSource(limit=10)
    for _ in range(5):
        source.write(b"x" * 10)
        source.take()
    assert not source.closed


def test_a_kept_body_is_whole_or_not_there() -> None:
    """A part of a body is never shown as if it were all."""
    kept = KeptBody(limit=5)
    kept.add(b"abc")
    assert kept.body == b"abc"
    kept.add(b"def")
    kept.add(b"")
    kept.add(b"g")
    assert kept.body is None
