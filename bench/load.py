"""The load generator, a process of its own: keep-alive HTTP/1.1 over plain sockets, every answer read to its end.

`python -m bench.load` reads one job per line (JSON) and answers each with one line: a Result, or {"error": why}.
"""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from bench.connection import Connection, LoadError
from bench.usage import cpu_s
from bench.workloads import WORKLOADS, Workload

__all__ = ["CONNECTIONS", "Job", "Result"]

CONNECTIONS = 8
SETTLE_S = 0.05
"""Time for the work of a proxy after the client has received the last byte, which belongs to the request's CPU."""


@dataclass(frozen=True, slots=True)
class Job:
    """Send `count` requests over CONNECTIONS, then `alone` more one after another, for the time to first byte."""

    port: int
    workload: str
    count: int
    alone: int
    pid: int | None = None
    """The process whose CPU is measured meanwhile."""


@dataclass(frozen=True, slots=True)
class Result:
    requests_per_s: float
    cpu_ms: float | None
    """CPU time per request of the proxy's process: user and system, all threads."""
    first_byte_ms: list[float]
    """One for each request that was sent alone."""


async def run(job: Job) -> Result:
    workload = next(w for w in WORKLOADS if w.name == job.workload)
    request = _request(workload, job.port)
    connections = [Connection(job.port, workload) for _ in range(min(CONNECTIONS, job.count))]
    try:
        for connection in connections:  # connected on both sides of the proxy before the clock starts
            await connection.exchange(request)
        cpu_before = cpu_s(job.pid) if job.pid else 0.0
        began = time.perf_counter()
        turns = iter(range(job.count))
        await asyncio.gather(*(_take_turns(connection, request, turns) for connection in connections))
        took_s = time.perf_counter() - began
        await asyncio.sleep(SETTLE_S)
        cpu_ms = (cpu_s(job.pid) - cpu_before) / job.count * 1000 if job.pid else None
        alone = [await connections[0].exchange(request) * 1000 for _ in range(job.alone)]
    finally:
        for connection in connections:
            connection.close()
    return Result(job.count / took_s, cpu_ms, alone)


async def _take_turns(connection: Connection, request: bytes, turns: Iterator[int]) -> None:
    for _ in turns:
        await connection.exchange(request)


def _request(workload: Workload, port: int) -> bytes:
    body = workload.body()
    head = (
        f"POST /v1/messages HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nuser-agent: bench\r\naccept: */*\r\n"
        "content-type: application/json\r\nanthropic-version: 2023-06-01\r\nx-api-key: bench\r\n"
        f"x-sim: {workload.knobs}\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def main() -> None:
    for line in sys.stdin:
        answer: dict[str, Any]
        try:
            answer = asdict(asyncio.run(run(Job(**json.loads(line)))))
        except (LoadError, OSError, ValueError, KeyError) as e:
            answer = {"error": f"{e or type(e).__name__}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
