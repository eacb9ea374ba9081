"""The live feed: increasing numbers, a bounded backlog, subscribers that cannot block it."""

import msgspec

from sluicegate.core.wire.sse import SSEParser
from sluicegate.exchange.bodies import ByteSource
from sluicegate.services.telemetry.monitor import Monitor


def received(source: ByteSource) -> list[dict[str, object]]:
    return [msgspec.json.decode(e.data) for e in SSEParser().feed(b"".join(source.take()[0]))]


async def test_each_call_is_one_event() -> None:
    """With an increasing number, for every subscriber, from its subscription on."""
    monitor = Monitor()
    monitor.publish({"model": "before"})
    sources = [ByteSource(), ByteSource()]
    for source in sources:
        monitor.subscribe(source)
    monitor.publish({"model": "a"})
    monitor.publish({"model": "b\n\ndata: evil"})
    for source in sources:
        assert received(source) == [{"seq": 2, "model": "a"}, {"seq": 3, "model": "b\n\ndata: evil"}]


async def test_what_was_missed_is_repeated() -> None:
    """At most the last fifty events."""
    monitor = Monitor()
    for i in range(80):
        monitor.publish({"i": i})
    source = ByteSource()
    monitor.subscribe(source, after=78)
    assert [e["seq"] for e in received(source)] == [79, 80]
    source = ByteSource()
    monitor.subscribe(source, after=0)
    assert [e["seq"] for e in received(source)] == list(range(31, 81))


async def test_closed_and_slow_subscribers_are_removed() -> None:
    """The others receive every event."""
    monitor = Monitor()
    gone, slow, good = ByteSource(), ByteSource(limit=300), ByteSource()
    for source in (gone, slow, good):
        monitor.subscribe(source)
    gone.close()
    for i in range(20):
        monitor.publish({"i": i})
    assert slow.closed
    assert len(received(good)) == 20
    assert monitor._subscribers == {good}
    monitor.send_heartbeat()
    assert good.take()[0] == [b": beat\n\n"]


async def test_the_number_of_subscribers_is_limited() -> None:
    """`is_full` until one of them closes."""
    monitor, sources = Monitor(), [ByteSource() for _ in range(50)]
    for source in sources:
        assert not monitor.is_full
        monitor.subscribe(source)
    assert monitor.is_full
    sources[0].close()
    assert not monitor.is_full
