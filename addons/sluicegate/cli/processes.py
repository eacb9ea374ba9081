"""Processes that a command starts for itself: the child runs a module of this package and is gone at the end."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import sluicegate

__all__ = ["Child", "ProcessError"]

START_TIMEOUT_S = 10.0
STOP_TIMEOUT_S = 3.0
NOT_INHERITED = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ANTHROPIC_", "SLUICEGATE", "SSLKEYLOGFILE")


class ProcessError(Exception):
    """A child did not start, or ended early; the message holds the end of its output."""


class Child:
    """A child process from start to end. `found` is the first group of `ready` in its output: the address it listens on."""

    def __init__(self, name: str, arguments: Sequence[str], folder: Path, ready: str) -> None:
        self.name = name
        self.found = ""
        self._arguments = arguments
        self._folder = folder
        self._ready = re.compile(ready)
        self._log = folder / f"{name}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - modules of this package
                [sys.executable, "-m", *self._arguments],
                env=_environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches the command alone, which ends its children in order
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
        """The rest of the output line that begins with `word`; "" if there is none."""
        found = re.search(rf"^ *{word} +(.+)$", self._output(), re.MULTILINE)
        return found[1] if found else ""

    def failed(self, what: str) -> ProcessError:
        tail = self._output()[-1500:].strip()
        return ProcessError(f"the {self.name} {what}" + (f"; its output:\n{tail}" if tail else ""))

    def _output(self) -> str:
        return self._log.read_text(errors="replace")


def _environment(folder: Path) -> dict[str, str]:
    """This process's environment without proxies, keys and Sluicegate settings; all state goes into `folder`."""
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(NOT_INHERITED)}
    path = [str(Path(sluicegate.__file__).parents[1]), *filter(None, [kept.get("PYTHONPATH")])]
    return kept | {
        "PYTHONPATH": os.pathsep.join(path),
        "PYTHONUNBUFFERED": "1",
        "SLUICEGATE_STATE_DIR": str(folder / "state"),
        "SLUICEGATE_CERTS": str(folder / "certs"),
    }
