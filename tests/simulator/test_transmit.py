import time

import pytest

DEFAULT_EVENTS = 11  # of a stream with five text deltas


def outcomes(sim) -> list[str | None]:
    sim.wait(lambda sim: all(call.outcome for call in sim.calls))
    return [call.outcome for call in sim.calls]


def split_head(raw: bytes) -> tuple[bytes, bytes]:
    head, _, rest = raw.partition(b"\r\n\r\n")
    return head, rest


def test_a_status_has_a_native_body_and_its_headers(sim, client) -> None:
    """status answers before anything else is looked at, in the native error format."""
    answer = client.ask('{"status":529,"headers":{"retry-after":"7","x-should-retry":"true"}}')
    assert (answer.status, answer.headers["retry-after"], answer.headers["x-should-retry"]) == (529, "7", "true")
    assert answer.json["type"] == "error"
    assert answer.json["error"] == {"type": "overloaded_error", "message": "Overloaded"}
    assert answer.json["request_id"] == answer.headers["request-id"]
    assert outcomes(sim) == ["fault:status"]
    assert sim.bill["calls"] == 0


def test_a_status_may_have_any_body(client) -> None:
    """As a load balancer in between would answer."""
    answer = client.ask('{"status":502,"body":"<html>","content_type":"text/html"}')
    assert (answer.status, answer.headers["content-type"], answer.body) == (502, "text/html", b"<html>")


def test_the_words_of_an_error_can_be_told(client) -> None:
    """error_type and error_message outrank the status's own."""
    error = client.ask("status=429;error_type=x_error;error_message=wait").json["error"]
    assert error == {"type": "x_error", "message": "wait"}


@pytest.mark.parametrize("fault", ["reset", "eof"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_connection_ends_before_the_head(sim, client, fault, stream) -> None:
    """No byte comes, and the end is a RST or a FIN as asked; nothing is billed."""
    assert client.raw(f"fault={fault}", stream=stream) == (b"", fault)
    assert outcomes(sim) == [f"fault:{fault}"]
    assert sim.bill["calls"] == 0


@pytest.mark.parametrize("fault", ["reset", "eof"])
@pytest.mark.parametrize("stream", [False, True])
def test_the_connection_ends_after_the_head(sim, client, fault, stream) -> None:
    """The head came whole, of the body nothing."""
    raw, ended = client.raw(f"fault={fault};at=headers", stream=stream)
    assert raw.startswith(b"HTTP/1.1 200 OK\r\n")
    assert raw.endswith(b"\r\n\r\n")
    assert ended == fault
    assert outcomes(sim) == [f"fault:{fault}"]


@pytest.mark.parametrize("fault", ["reset", "eof", "truncate", "cut"])
@pytest.mark.parametrize("events", [1, 4, 99])
def test_a_stream_breaks_off_after_so_many_events(sim, client, fault, events) -> None:
    """N events and no more; a clean truncation ends the chunked body properly, the others do not."""
    raw, ended = client.raw(f"fault={fault};at={events}", head="connection: close\r\n", stream=True)
    _, body = split_head(raw)
    whole = min(events, DEFAULT_EVENTS)
    assert body.count(b"event: ") == whole + (fault == "cut")  # the event cut in two shows its beginning
    assert body.endswith(b"0\r\n\r\n") == (fault == "truncate")
    assert ended == ("reset" if fault == "reset" else "eof")
    assert outcomes(sim) == [f"fault:{fault}"]
    assert sim.calls[0].events == whole


def test_an_error_event_ends_a_stream(sim, client) -> None:
    """After N events `event: error` comes, then the body's proper end and no message_stop."""
    answer = client.ask("fault=error;at=4", stream=True)
    assert [name for name, _ in answer.events][4:] == ["error"]
    assert answer.events[-1][1]["error"]["type"] == "overloaded_error"
    assert outcomes(sim) == ["fault:error"]


def test_an_error_event_may_be_the_first(client) -> None:
    """A 200 whose stream holds nothing but the error."""
    assert [name for name, _ in client.ask("fault=error;at=0", stream=True).events] == ["error"]


def test_error_without_a_stream_is_the_status(client) -> None:
    """A JSON call has no events to put an error in."""
    answer = client.ask("fault=error")
    assert (answer.status, answer.json["error"]["type"]) == (529, "overloaded_error")
    refused = client.ask("fault=error", stream=True, max_tokens=0)
    assert (refused.status, refused.json["error"]["type"]) == (400, "invalid_request_error")


def test_a_json_body_ends_below_its_length(sim, client) -> None:
    """content-length promises more than comes."""
    raw, ended = client.raw("fault=short")
    head, body = split_head(raw)
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    assert 0 < len(body) < length
    assert ended == "eof"


@pytest.mark.parametrize("fault", ["truncate", "cut"])
def test_a_json_body_breaks_off_in_chunks(client, fault) -> None:
    """Half the document: ended properly, or in the middle of a chunk."""
    raw, ended = client.raw(f"fault={fault}", head="connection: close\r\n")
    assert raw.count(b'"stop_reason"') + raw.count(b'"service_tier"') < 2
    assert raw.endswith(b"0\r\n\r\n") == (fault == "truncate")
    assert ended == "eof"


def test_garbage_is_not_http(client) -> None:
    """Instead of a head, or in mid-stream."""
    assert not client.raw("fault=garbage")[0].startswith(b"HTTP/")
    assert b"not an answer" in client.raw("fault=garbage;at=2", stream=True)[0]


@pytest.mark.parametrize("place", ["start", "headers", "3"])
@pytest.mark.parametrize("stream", [False, True])
def test_a_stall_goes_on_after_its_time(sim, client, place, stream) -> None:
    """The answer is late and whole."""
    started = time.monotonic()
    answer = client.ask(f"fault=stall;at={place};stall_s=0.05", stream=stream)
    assert time.monotonic() - started >= 0.05
    assert answer.text.startswith("Hello")
    assert outcomes(sim) == ["complete"]


def test_a_client_that_leaves_a_stall_is_noticed(sim, client) -> None:
    """The call is marked client_gone while it waits; before the head nothing is billed."""
    with client.connect() as sock:
        sock.sendall(b"POST /v1/messages HTTP/1.1\r\nx-sim: fault=stall\r\ncontent-length: 0\r\n\r\n")
        sim.wait(lambda sim: len(sim.calls) == 1)
    assert outcomes(sim) == ["client_gone"]
    assert sim.bill["calls"] == 0


def test_a_client_that_leaves_a_stream_stops_it(sim, client) -> None:
    """Nothing more is produced, and what was sent is billed: not the whole answer."""
    body = b'{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
    with client.connect() as sock:
        head = b"POST /v1/messages HTTP/1.1\r\nx-sim: events=1000;delay_ms=5\r\ncontent-length: %d\r\n\r\n"
        sock.sendall(head % len(body) + body)
        sim.wait(lambda sim: bool(sim.calls) and sim.calls[0].events > 5)
    assert outcomes(sim) == ["client_gone"]
    (call,) = sim.calls
    assert call.events < 1000
    assert 0 < sim.bill["models"]["claude-x"]["output_tokens"] < 1000


def test_delays_spread_the_events(client) -> None:
    """delay_ms lies between events, first_byte_ms before the head."""
    started = time.monotonic()
    assert client.ask("delay_ms=5;first_byte_ms=20;events=10", stream=True).status == 200
    assert time.monotonic() - started >= 0.02 + 15 * 0.005


@pytest.mark.parametrize("stream", [False, True])
def test_any_cutting_gives_the_same_answer(client, stream) -> None:
    """chunk_bytes changes the writes, not the bytes."""
    assert client.ask("chunk_bytes=7", stream=stream).body == client.ask(stream=stream).body


def test_close_ends_the_connection(client) -> None:
    """The answer says so and does it."""
    raw, ended = client.raw("close=1")
    assert b"connection: close" in raw
    assert ended == "eof"


def test_an_http_1_0_client_gets_a_stream_until_eof(client) -> None:
    """No chunks for a client that does not know them."""
    body = b'{"model":"claude-x","max_tokens":9,"stream":true,"messages":[{"role":"user","content":"hi"}]}'
    raw, ended = client.exchange(b"POST /v1/messages HTTP/1.0\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body))
    head, events = split_head(raw)
    assert b"transfer-encoding" not in head
    assert events.endswith(b'event: message_stop\ndata: {"type":"message_stop"}\n\n')
    assert ended == "eof"
