"""`python -m bench`: measure the gate against bare mitmdump, in turns, and print the ratios."""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import NoReturn

from bench.connection import LoadError
from bench.load import CONNECTIONS, Job
from bench.processes import Load
from bench.proxies import CONTENDERS, Proxy, Simulator
from bench.table import Sample, render
from bench.usage import rss_mb
from bench.workloads import STREAM_EVENTS, WORKLOADS, Workload

QUICK_DIVISOR = 10
WARM_UP_DIVISOR = 4
ALONE_DIVISOR = 10
MIN_ALONE = 5
DIRECT = "(no proxy)"

NOTES = f"""\
Medians over the rounds (lowest-highest); ratio: to {CONTENDERS[0].name}, median of the rounds' ratios.
{CONNECTIONS} keep-alive connections; first byte: of requests sent one at a time. CPU: user and system time of
the proxy process. A stream has {STREAM_EVENTS} deltas, 1 ms apart. Machines differ: compare the ratios."""


def main() -> None:
    options = _options()
    signal.signal(signal.SIGTERM, _leave)  # so that the child processes end with this one
    try:
        samples = measure(options.rounds, QUICK_DIVISOR if options.quick else 1)
    except LoadError as e:
        sys.exit(f"bench: {e}")
    except KeyboardInterrupt:
        sys.exit(130)
    print(_machine())
    print(f"\n{render(samples, CONTENDERS[0].name)}\n\n{NOTES}")
    if options.json:
        result = {"machine": _machine(), "baseline": CONTENDERS[0].name, "samples": [asdict(s) for s in samples]}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--rounds", type=_positive, default=5, help="rounds for each proxy (default: 5)")
    parser.add_argument(
        "--quick", action="store_true", help="send a tenth of the requests: a smoke test, not a measurement"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples to this file")
    return parser.parse_args()


def _positive(text: str) -> int:
    if (number := int(text)) < 1:
        raise argparse.ArgumentTypeError("expected at least 1")
    return number


def _leave(number: int, _frame: object) -> NoReturn:
    sys.exit(128 + number)


def measure(rounds: int, divisor: int) -> list[Sample]:
    """All samples, by workload. Raises LoadError."""
    with ExitStack() as running:
        folder = Path(running.enter_context(tempfile.TemporaryDirectory(prefix="bench-", ignore_cleanup_errors=True)))
        upstream = running.enter_context(Simulator(folder))
        load = running.enter_context(Load())
        targets: list[Simulator | Proxy] = [upstream]
        for contender in CONTENDERS:
            _progress(f"starting {contender.name}")
            targets.append(running.enter_context(Proxy(contender, upstream.url, folder)))
        for target in targets:
            for workload in WORKLOADS:
                _progress(f"warming up {target.name}: {workload.name}")
                load.run(_job(target, workload, divisor * WARM_UP_DIVISOR))
        samples = []
        for number, workload, target in _turns(rounds, targets):
            _progress(f"round {number} of {rounds}: {workload.name}, {target.name}")
            samples.append(_sample(number, workload, target, load, divisor))
        _progress("")
    return sorted(samples, key=lambda s: (_place(s), s.round))


def _turns(rounds: int, targets: list[Simulator | Proxy]) -> Iterator[tuple[int, Workload, Simulator | Proxy]]:
    """All proxies in each round, starting with another one each time, so that their order does not matter."""
    for number in range(1, rounds + 1):
        for workload in WORKLOADS:
            first = number % len(targets)
            for target in targets[first:] + targets[:first]:
                yield number, workload, target


def _sample(number: int, workload: Workload, target: Simulator | Proxy, load: Load, divisor: int) -> Sample:
    try:
        result = load.run(_job(target, workload, divisor))
    except LoadError as e:
        raise LoadError(f"{target.name}: {e}\nits output ends with:\n{target.output()[-2000:]}") from e
    proxy = isinstance(target, Proxy)
    return Sample(
        round=number,
        workload=workload.name,
        proxy=target.name if proxy else DIRECT,
        requests_per_s=result.requests_per_s,
        cpu_ms=result.cpu_ms,
        first_byte_ms=median(result.first_byte_ms),
        rss_mb=rss_mb(target.pid) if proxy else None,
    )


def _job(target: Simulator | Proxy, workload: Workload, divisor: int) -> Job:
    count = workload.scaled(divisor)
    pid = target.pid if isinstance(target, Proxy) else None
    return Job(target.port, workload.name, count, alone=max(MIN_ALONE, count // ALONE_DIVISOR), pid=pid)


def _place(sample: Sample) -> tuple[int, int]:
    proxies = [DIRECT, *(c.name for c in CONTENDERS)]
    return [w.name for w in WORKLOADS].index(sample.workload), proxies.index(sample.proxy)


def _progress(what: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{what}", end="", file=sys.stderr, flush=True)
    elif what:
        print(what, file=sys.stderr, flush=True)


def _machine() -> str:
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs, {python}, mitmproxy {version('mitmproxy')}"


if __name__ == "__main__":
    main()
