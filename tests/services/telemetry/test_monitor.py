"""The live feed: numbers that only grow, a short memory, listeners that can not hold it up."""

import msgspec

from sluicegate.core.wire.sse import SSEParser
from sluicegate.exchange.bodies import ByteSource
from sluicegate.services.telemetry.monitor import Monitor


def received(source: ByteSource) -> list[dict[str, object]]:
    return [msgspec.json.decode(e.data) for e in SSEParser().feed(b"".join(source.take()[0]))]


async def test_each_call_is_one_event() -> None:
    """With a number that only grows, for everyone who listens, from then on."""
    monitor = Monitor()
    monitor.publish({"model": "before"})
    sources = [ByteSource(), ByteSource()]
    for source in sources:
        monitor.listen(source)
    monitor.publish({"model": "a"})
    monitor.publish({"model": "b\n\ndata: evil"})
    for source in sources:
        assert received(source) == [{"seq": 2, "model": "a"}, {"seq": 3, "model": "b\n\ndata: evil"}]


async def test_what_was_missed_is_repeated() -> None:
    """Up to the last fifty."""
    monitor = Monitor()
    for i in range(80):
        monitor.publish({"i": i})
    source = ByteSource()
    monitor.listen(source, after=78)
    assert [e["seq"] for e in received(source)] == [79, 80]
    source = ByteSource()
    monitor.listen(source, after=0)
    assert [e["seq"] for e in received(source)] == list(range(31, 81))


async def test_listeners_that_end_are_let_go_of() -> None:
    """Those that closed and those that are too slow; the others go on."""
    monitor = Monitor()
    gone, slow, good = ByteSource(), ByteSource(limit=300), ByteSource()
    for source in (gone, slow, good):
        monitor.listen(source)
    gone.close()
    for i in range(20):
        monitor.publish({"i": i})
    assert slow.closed
    assert len(received(good)) == 20
    assert monitor._listeners == {good}
    monitor.beat()
    assert good.take()[0] == [b": beat\n\n"]


async def test_a_full_house() -> None:
    """`full` until somebody leaves."""
    monitor, sources = Monitor(), [ByteSource() for _ in range(50)]
    for source in sources:
        assert not monitor.full
        monitor.listen(source)
    assert monitor.full
    sources[0].close()
    assert not monitor.full
