from sluicegate.simulator import calls
from sluicegate.simulator.calls import CallLog
from sluicegate.simulator.wire import Request


def request(body: bytes) -> Request:
    return Request("POST", "/", "/", "", False, [], {}, body)


def test_the_log_is_a_ring() -> None:
    """Only the newest calls stay; the totals count all."""
    log = CallLog(max_calls=3)
    for number in range(5):
        log.open(request(b"%d" % number), "", 0)
    assert [call.body for call in log.snapshot()] == [b"2", b"3", b"4"]
    assert log.total == 5


def test_bodies_are_kept_up_to_a_total(monkeypatch) -> None:
    """The oldest bodies go first; their hash and size stay."""
    monkeypatch.setattr(calls, "MAX_TOTAL_BYTES", 25)
    log = CallLog()
    made = [log.open(request(b"x" * 10), "", 0) for _ in range(3)]
    assert [len(call.body) for call in made] == [0, 10, 10]
    assert made[0].body_bytes == 10
    assert made[0].body_sha256 == made[1].body_sha256


def test_a_long_body_is_cut(monkeypatch) -> None:
    """The hash is of the whole."""
    monkeypatch.setattr(calls, "MAX_BODY_BYTES", 4)
    call = CallLog().open(request(b"123456"), "", 0)
    assert (call.body, call.body_bytes) == (b"1234", 6)


def test_the_first_outcome_counts() -> None:
    """A call that has ended does not end again."""
    log = CallLog()
    call = log.open(request(b""), "", 0)
    log.close(call, "complete", 1)
    log.close(call, "client_gone", 2)
    assert (call.outcome, call.ended, dict(log.outcomes)) == ("complete", 1, {"complete": 1})
