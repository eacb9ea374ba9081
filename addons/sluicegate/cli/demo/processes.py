"""The simulator and the gate of the demo, each a process that is gone at the end."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import sluicegate

__all__ = ["Child", "DemoError", "is_free", "start_gate", "start_simulator"]

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
NOT_INHERITED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ANTHROPIC_", "SLUICEGATE", "SSLKEYLOGFILE")

CONFIG = """\
providers: {{anthropic: {{kind: anthropic, base_url: {upstream}}}}}
scrub: {{mode: pseudonymize}}
cache: {{mode: exact}}
retry: {{attempts: 3, backoff: {{start_s: 0.2, max_s: 0.4}}}}
audit: {{log: {audit_log}}}
"""


class DemoError(Exception):
    """The demo can not go on; the message says why."""


class Child:
    """A process of ours, from its start to its end. `found` is what `ready` found in its output: where it listens."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, ready: str) -> None:
        self.name = name
        self.found = ""
        self._arguments = arguments
        self._folder = folder
        self._ready = re.compile(ready)
        self._log = folder / f"{name}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own modules
                [sys.executable, "-m", *self._arguments],
                env=_environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end them in order
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self.__exit__()
            raise
        return self

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while not (found := self._ready.search(self._output())):
            if self.ended:
                raise self.failed("did not start")
            if time.monotonic() > deadline:
                raise self.failed(f"did not start within {START_TIMEOUT_S:g} s")
            time.sleep(0.02)
        self.found = found[1]

    def __exit__(self, *_: object) -> None:
        if not self.ended:
            self._process.terminate()
            try:
                self._process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def line(self, word: str) -> str:
        """The rest of the output's line that begins with that word."""
        found = re.search(rf"^ *{word} +(.+)$", self._output(), re.MULTILINE)
        return found[1] if found else ""

    def failed(self, what: str) -> DemoError:
        tail = self._output()[-1500:].strip()
        return DemoError(f"the {self.name} {what}" + (f"; it said:\n{tail}" if tail else ""))

    def _output(self) -> str:
        return self._log.read_text(errors="replace")


def start_simulator(folder: Path) -> Child:
    return Child("simulator", ["sluicegate.simulator", "--port", "0"], folder, r"listening on (http://\S+)\n")


def start_gate(folder: Path, upstream: str, port: int, *, web: bool) -> Child:
    config = folder / "sluicegate.yaml"
    audit_log = json.dumps(f"file:{folder / 'audit.jsonl'}")
    config.write_text(CONFIG.format(upstream=json.dumps(upstream), audit_log=audit_log))
    arguments = ["sluicegate", "run", "--config", str(config), "--reverse", str(port)]
    if web:
        arguments += ["--web", "--web-port", str(8081 if is_free(8081) else _free_port())]
    return Child("gate", arguments, folder, r"reverse +(http://\S+) [^\n]*\n" + (r"(?s:.*)mitmweb +\S+\n" if web else ""))


def _environment(folder: Path) -> dict[str, str]:
    """This process's, without proxies, keys and settings of its own; all state goes into the demo's folder."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(NOT_INHERITED)}
    path = [str(Path(sluicegate.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "SLUICEGATE_STATE_DIR": str(folder / "state"),
        "SLUICEGATE_CERTS": str(folder / "certs"),
    }


def is_free(port: int) -> bool:
    with socket.socket() as s:
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
