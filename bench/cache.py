"""`python -m bench.cache`: the cost of N identical requests with the response cache on and off, with the simulator."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import urllib.request
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any, Final

from bench.connection import LoadError
from bench.load import CONNECTIONS, Job, Result
from bench.processes import Load
from bench.proxies import CONTENDERS, Contender, Proxy, Simulator
from bench.workloads import WORKLOADS, Workload

HEADINGS: Final = ("", "calls", "tokens", "dollars", "first byte ms", "CPU ms/request", "to off", "to bare")
MEASURED: Final = ("4 KB JSON", "100 KB JSON", "stream")
ALONE: Final = 6
"""One in this many requests is sent alone, for the time to first byte."""

NOTES: Final = f"""\
Medians over the rounds. calls, tokens, dollars: served and billed by the simulator in all rounds, at its own prices.
first byte: of requests sent one at a time; CPU: of the proxy process, over {CONNECTIONS} keep-alive connections.
"to off" and "to bare": CPU per request relative to the gate without the cache, and to bare mitmdump, in the same round."""


@dataclass(frozen=True, slots=True)
class Row:
    proxy: str
    calls: int
    tokens: int
    cost_usd: float
    results: list[Result]


def _gate(mode: str) -> Contender:
    def command(upstream: str, port: int, folder: Path) -> list[str]:
        file, state = folder / f"cache-{mode}.yaml", folder / f"state-{mode}"
        file.write_text(
            f"providers: {{anthropic: {{kind: anthropic, base_url: {json.dumps(upstream)}}}}}\n"
            f"audit: {{log: {json.dumps(f'file:{state}/audit.jsonl')}}}\n"
            f"state_dir: {json.dumps(str(state))}\ncache: {{mode: {mode}}}\n"
        )
        return [sys.executable, "-m", "sluicegate", "run", "--config", str(file), "--reverse", str(port)]

    return Contender("cache on" if mode != "off" else "cache off", command)


def measure(count: int, rounds: int, mode: str) -> dict[str, list[Row]]:
    """By workload: bare mitmdump, the gate without the cache, the gate with it. Raises LoadError."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        upstream = running.enter_context(Simulator(folder))
        load = running.enter_context(Load())
        contenders = (CONTENDERS[0], _gate("off"), _gate(mode))
        proxies = [running.enter_context(Proxy(c, upstream.url, folder)) for c in contenders]
        found: dict[str, list[Row]] = {}
        for workload in (w for w in WORKLOADS if w.name in MEASURED):
            for proxy in proxies:
                load.run(Job(proxy.port, workload.name, max(2, count // 10), 1))
            found[workload.name] = _rows(upstream, proxies, load, workload, count, rounds)
    return found


def _rows(upstream: Simulator, proxies: list[Proxy], load: Load, workload: Workload, count: int, rounds: int) -> list[Row]:
    """The proxies take turns; each has its own bill."""
    results: dict[str, list[Result]] = {proxy.name: [] for proxy in proxies}
    bills: dict[str, list[dict[str, Any]]] = {proxy.name: [] for proxy in proxies}
    for number in range(rounds):
        for proxy in proxies[number % len(proxies) :] + proxies[: number % len(proxies)]:
            _ask(upstream, "DELETE")
            job = Job(proxy.port, workload.name, count, max(2, count // ALONE), proxy.pid)
            results[proxy.name].append(load.run(job))
            bills[proxy.name].append(_ask(upstream, "GET"))
    return [
        Row(
            proxy.name,
            sum(b["calls"] for b in bills[proxy.name]),
            sum(_tokens(b) for b in bills[proxy.name]),
            sum(b["cost_usd"] for b in bills[proxy.name]),
            results[proxy.name],
        )
        for proxy in proxies
    ]


def _ask(upstream: Simulator, method: str) -> Any:
    request = urllib.request.Request(f"{upstream.url}/_sim/bill", method=method)  # noqa: S310 - our own simulator
    with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=10) as answer:
        return json.loads(answer.read())


def _tokens(bill: dict[str, Any]) -> int:
    return sum(n for line in bill["models"].values() for name, n in line.items() if name.endswith("_tokens"))


def render(found: dict[str, list[Row]]) -> str:
    """One block per workload, one row per proxy."""
    table: list[tuple[str, ...]] = [HEADINGS]
    for workload, rows in found.items():
        table.append((workload, *[""] * (len(HEADINGS) - 1)))
        bare, off = rows[0].results, rows[1].results
        table += [
            (
                f"  {row.proxy}",
                str(row.calls),
                str(row.tokens),
                f"{row.cost_usd:.4f}",
                f"{median(median(r.first_byte_ms) for r in row.results):.2f}",
                f"{median(r.cpu_ms or 0 for r in row.results):.2f}",
                _ratio(row.results, off),
                _ratio(row.results, bare),
            )
            for row in rows
        ]
    widths = [max(len(row[i]) for row in table) for i in range(len(HEADINGS))]
    lines = [
        "  ".join([row[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True))]).rstrip()
        for row in table
    ]
    return "\n".join([lines[0], "-" * (sum(widths) + 2 * (len(widths) - 1)), *lines[1:]])


def _ratio(of: list[Result], base: list[Result]) -> str:
    return f"{median((a.cpu_ms or 0) / (b.cpu_ms or 1) for a, b in zip(of, base, strict=True)):.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.cache", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="identical requests per round (default: 200)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds (default: 5)")
    parser.add_argument("--mode", choices=("exact", "normalized"), default="normalized", help="mode of the cache")
    options = parser.parse_args()
    try:
        print(f"{render(measure(max(2, options.count), max(1, options.rounds), options.mode))}\n\n{NOTES}")
    except LoadError as e:
        sys.exit(f"bench: {e}")
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
