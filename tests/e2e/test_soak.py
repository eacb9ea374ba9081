"""Two minutes of clients that leave, and upstreams that fail in every way: nothing hangs and nothing stays behind.

Run by `make soak`; SOAK_S sets another length.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from kits.gatekit import (
    GATE_SCRIPT,
    Gate,
    Simulator,
    wait_until,
)
from kits.rawserver import post

pytestmark = [
    pytest.mark.soak,
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc"),
]

SOAK_S = float(os.environ.get("SOAK_S", "120"))
CLIENTS = 24
ABORTS = 0.15
HANG_S = 40.0
SCRIPTS = Path(__file__).parent / "scripts"
CONFIG = """
providers:
  first:  {{kind: anthropic, base_url: "{first}", keys: ["env:KEY_1", "env:KEY_2"]}}
  second: {{kind: anthropic, base_url: "{second}", keys: ["env:KEY_1"]}}
routes: [{{model: "*", targets: [{{provider: first}}, {{provider: second}}]}}]
retry: {{attempts: 3, backoff: {{start_s: 0.05, factor: 2, max_s: 0.5, jitter: true}}, cooldown_s: 0.2}}
timeouts: {{connect_s: 2, first_byte_s: 1, idle_s: 1, total_s: 5}}
connections: {{max: 60, keepalive: 8}}
ping_s: 0.3
audit: {{log: "file:${{STATE}}/audit.jsonl"}}
"""
FAULTS = [
    *({"status": status} for status in (408, 429, 500, 503, 529)),
    {"status": 429, "headers": {"retry-after": "1"}},
    *({"fault": fault} for fault in ("reset", "eof", "garbage", "truncate", "cut")),
    {"fault": "error", "at": 0},
    {"fault": "error", "at": 4},
    {"fault": "reset", "at": 4},
    {"fault": "stall", "at": "start", "stall_s": 3},
    {"fault": "stall", "at": 4, "stall_s": 3},
    {"first_byte_ms": 700},
]


@pytest.fixture
def site(tmp_path: Path) -> Iterator[tuple[Gate, list[Simulator]]]:
    with ExitStack() as stack:
        sims = [stack.enter_context(Simulator(tmp_path / n, name=n)) for n in ("first", "second")]
        gate = Gate(
            tmp_path / "gate",
            upstream=sims[0].url,
            config=CONFIG.format(first=sims[0].url, second=sims[1].url),
            scripts=(GATE_SCRIPT, SCRIPTS / "census.py"),
            options={"flow_detail": "0", "termlog_verbosity": "warn"},
            env={
                "KEY_1": "one", "KEY_2": "two", "SLUICEGATE__RETRY__ATTEMPTS": None, "CENSUS": str(tmp_path / "census")
            },
        )  # fmt: skip
        yield stack.enter_context(gate), sims


def census(gate: Gate) -> dict[str, int]:
    """What lives in the gate now."""
    file = Path(gate.environment()["CENSUS"])
    before = len(file.read_text().splitlines()) if file.exists() else 0
    os.kill(gate.pid, signal.SIGUSR1)
    wait_until(lambda: file.exists() and len(file.read_text().splitlines()) > before, "the census", 20)
    found: dict[str, int] = json.loads(file.read_text().splitlines()[-1])
    return found


async def one_call(port: int, chance: random.Random) -> str:
    """One client connection with one call; how it ended."""
    stream = chance.random() < 0.6
    body = {
        "model": "claude-haiku-4-5",
        "max_tokens": 60,
        "stream": stream,
        "messages": [{"role": "user", "content": "hi"}],
    }
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(post("/v1/messages", body, {"connection": "close"}))
        if chance.random() < ABORTS:
            try:
                said = await asyncio.wait_for(reader.read(), chance.random() * 0.3)
            except TimeoutError:
                return "left"
        else:
            said = await asyncio.wait_for(reader.read(), HANG_S)
    except TimeoutError:
        return "HANG"
    except ConnectionError:
        return "reset"
    finally:
        writer.transport.abort()
    if not stream or b"message_stop" in said:
        return said[9:12].decode()
    return "told" if b"event: error" in said or b" 200 " not in said[:20] else "SILENT"


async def soak(port: int, seconds: float, seed: int) -> Counter[str]:
    """So many clients at once, each with one call after the other, for so long."""
    end = asyncio.get_running_loop().time() + seconds
    ends: Counter[str] = Counter()

    async def client(n: int) -> None:
        chance = random.Random(seed * 1000 + n)
        while asyncio.get_running_loop().time() < end:
            ends[await one_call(port, chance)] += 1

    await asyncio.gather(*(client(n) for n in range(CLIENTS)))
    return ends


def at_rest(gate: Gate) -> dict[str, int]:
    """The census once everything that takes its time has ended."""

    def quiet() -> bool:
        found = census(gate)
        return not any(found[k] for k in ("HTTPFlow", "RetryingStream", "Exchange"))

    wait_until(lambda: gate.get("/stats").json()["run"]["active"] == 0, "the end of all exchanges", 30)
    wait_until(quiet, "no flow left in the gate", 30)
    return census(gate)


@pytest.mark.e2e
def test_nothing_hangs_and_nothing_stays(site: tuple[Gate, list[Simulator]], capsys: pytest.CaptureFixture[str]) -> None:
    """Every call ends in time and visibly; then no flow, stream, exchange, task or socket of them is left."""
    gate, sims = site
    chance = random.Random(7)
    asyncio.run(soak(gate.port, 2, 1))
    before = at_rest(gate)
    for sim in sims:
        sim.script([chance.choice(FAULTS) if chance.random() < 0.4 else {"times": 1} for _ in range(20_000)])
    ends = asyncio.run(soak(gate.port, SOAK_S, 2))
    for sim in sims:
        sim.script([])
    after = at_rest(gate)
    with capsys.disabled():
        print(f"\n{sum(ends.values())} calls: {dict(ends)}\nbefore {before}\nafter  {after}")
    assert ends["HANG"] == ends["SILENT"] == 0
    assert ends["200"] > 0.5 * sum(ends.values())
    assert after["tasks"] <= before["tasks"]
    assert after["sockets"] <= before["sockets"]
    assert {k: after[k] for k in after if k not in ("tasks", "sockets")} == {
        k: before[k] for k in before if k not in ("tasks", "sockets")
    }
    assert "crashed" not in gate.output()
    assert "Traceback" not in gate.output()
