"""The proxies measured: bare mitmdump and the gate in its two forms, each a process in front of one simulator."""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from bench.processes import ROOT, Child

__all__ = ["CONTENDERS", "Contender", "Proxy", "Simulator"]

BIN: Final = Path(sys.executable).parent


class Simulator(Child):
    """The upstream of all contenders."""

    def __init__(self, folder: Path) -> None:
        super().__init__("simulator", [sys.executable, "-m", "sluicegate.simulator", "--port", "0"], folder)

    def __enter__(self) -> Self:
        super().__enter__()
        self.wait_until(lambda: self.output().endswith("\n"))
        return self

    @property
    def url(self) -> str:
        return self.output().split()[-1]

    @property
    def port(self) -> int:
        return int(self.url.rpartition(":")[2])


# -- the contenders
type Command = Callable[[str, int, Path], list[str]]
"""(upstream URL, port, folder) to a command."""


@dataclass(frozen=True, slots=True)
class Contender:
    name: str
    command: Command


def _mitmdump(upstream: str, port: int, folder: Path) -> list[str]:
    quiet = ["-q", "--set", "flow_detail=0", "--set", f"confdir={folder / 'certs'}"]
    return [str(BIN / "mitmdump"), *quiet, "--mode", f"reverse:{upstream}@127.0.0.1:{port}"]


def _bare(upstream: str, port: int, folder: Path) -> list[str]:
    return [*_mitmdump(upstream, port, folder), "-s", str(ROOT / "bench" / "stream_all.py")]


def _script(upstream: str, port: int, folder: Path) -> list[str]:
    gate = ["-s", str(ROOT / "addons" / "gate.py"), "--set", f"sluicegate_config={_config(upstream, port, folder)}"]
    return [*_mitmdump(upstream, port, folder), *gate]


def _run(upstream: str, port: int, folder: Path) -> list[str]:
    config = _config(upstream, port, folder)
    return [sys.executable, "-m", "sluicegate", "run", "--config", str(config), "--reverse", str(port)]


def _config(upstream: str, port: int, folder: Path) -> Path:
    """All features off: bodies pass unchanged, each call is recorded in a file."""
    file = folder / f"sluicegate-{port}.yaml"
    audit_log = json.dumps(f"file:{folder / f'audit-{port}.jsonl'}")
    file.write_text(
        f"providers: {{anthropic: {{kind: anthropic, base_url: {json.dumps(upstream)}}}}}\naudit: {{log: {audit_log}}}\n"
    )
    return file


CONTENDERS: Final = (
    Contender("bare mitmdump", _bare),
    Contender("mitmdump -s gate", _script),
    Contender("sluicegate run", _run),
)
"""The first is the baseline."""


class Proxy(Child):
    """A contender that runs, in front of `upstream`."""

    def __init__(self, contender: Contender, upstream: str, folder: Path) -> None:
        self.port = _free_port()
        super().__init__(contender.name, contender.command(upstream, self.port, folder), folder)

    def __enter__(self) -> Self:
        super().__enter__()
        self.wait_until(lambda: _listens(self.port))
        return self


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
