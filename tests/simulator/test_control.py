import hashlib
from concurrent.futures import ThreadPoolExecutor


def test_the_log_tells_each_call(sim, client, clock) -> None:
    """Method, path, headers, body, times and outcome of every call but the control endpoints' own."""
    client.ask("x=1")
    client.request("GET", "/v1/models", headers={"X-Mine": "1"})
    first, second = client.get("/_sim/calls")
    assert (first["method"], first["path"], first["query"]) == ("POST", "/v1/messages", "beta=true")
    assert first["body_sha256"] == hashlib.sha256(first["body"].encode()).hexdigest()
    assert (first["started"], first["ended"], first["status"]) == (clock.now, clock.now, 400)
    assert ["X-Mine", "1"] in second["headers"]
    assert (second["outcome"], second["credential"]) == ("complete", "sk-1")
    assert sim.calls[1].header("x-mine") == "1"


def test_the_log_can_be_cleared(sim, client) -> None:
    """DELETE forgets the calls."""
    client.ask()
    assert client.request("DELETE", "/_sim/calls").status == 200
    assert client.get("/_sim/calls") == []


def test_the_script_is_set_over_http(sim, client) -> None:
    """One entry or a list replaces the queue, append=1 adds; GET shows what is left, DELETE clears."""
    client.request("POST", "/_sim/script", {"status": 529})
    client.request("POST", "/_sim/script?append=1", [{"status": 500, "times": 2}])
    assert [client.ask().status for _ in range(2)] == [529, 500]
    assert client.get("/_sim/script") == [{"times": 1, "match": {}, "status": 500}]
    client.request("DELETE", "/_sim/script")
    assert client.ask().status == 200
    assert client.request("POST", "/_sim/script", {"statuss": 1}).status == 400
    assert client.request("POST", "/_sim/script", b"{").status == 400


def test_stats_count(sim, client) -> None:
    """Calls by outcome and by status."""
    client.ask()
    client.ask("status=529")
    stats = client.get("/_sim/stats")
    assert (stats["calls"], stats["running"], stats["statuses"]) == (2, 0, {"200": 1, "529": 1})
    assert stats["outcomes"] == {"complete": 1, "fault:status": 1}
    assert stats == sim.stats


def test_a_pause_can_be_ended(sim, client) -> None:
    """POST release lets every answer go on that is in a pause, and says how many there were."""
    assert client.request("POST", "/_sim/release").json == {"released": 0}
    sim.script({"first_byte_ms": 60_000})
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(client.ask)
        sim.wait(lambda s: s.stats["running"] == 1)
        assert client.get("/_sim/calls")[0]["outcome"] is None
        assert client.request("POST", "/_sim/release").json == {"released": 1}
        assert asked.result(30).status == 200


def test_bill_and_everything_can_be_cleared(sim, client) -> None:
    """DELETE /_sim/bill starts a new bill; clear() forgets all."""
    client.ask()
    client.request("DELETE", "/_sim/bill")
    assert sim.bill["calls"] == 0
    client.ask()
    sim.script({"status": 500})
    sim.clear()
    assert (sim.bill["calls"], sim.calls, sim.stats["scripted"]) == (0, [], 0)


def test_an_unknown_control_endpoint_is_a_404(client) -> None:
    """A typo is told."""
    assert client.request("GET", "/_sim/nope").status == 404
