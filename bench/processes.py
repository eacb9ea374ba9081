"""Processes of ours: started in a clean environment, ended by their id with the block that they belong to."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final, Self

from bench.connection import LoadError
from bench.load import Job, Result

__all__ = ["ROOT", "Child", "Load"]

ROOT: Final = Path(__file__).resolve().parents[1]
START_TIMEOUT_S: Final = 30.0
STOP_TIMEOUT_S: Final = 10.0
_NOT_INHERITED: Final = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "ANTHROPIC_", "SLUICEGATE", "SSLKEYLOGFILE")


class Child:
    """A process of ours, ended with the block; what it prints goes into a file."""

    def __init__(self, name: str, command: Sequence[str], folder: Path) -> None:
        self.name = name
        self._command = command
        self._folder = folder
        self._log = folder / f"{name.replace(' ', '-')}.log"

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(  # noqa: S603 - our own commands
                self._command,
                cwd=ROOT,
                env=_environment(self._folder),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for us; we end them
            )
        return self

    def __exit__(self, *_: object) -> None:
        _end(self._process)

    @property
    def pid(self) -> int:
        return self._process.pid

    def output(self) -> str:
        return self._log.read_text(errors="replace")

    def wait_until(self, ready: Callable[[], bool]) -> None:
        """Ends the process where it does not get there."""
        deadline = time.monotonic() + START_TIMEOUT_S
        try:
            while not ready():
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise LoadError(f"{self.name} did not start; it said:\n{self.output()[-2000:]}")
                time.sleep(0.02)
        except BaseException:
            _end(self._process)
            raise


def _end(process: subprocess.Popen[Any]) -> None:
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _environment(folder: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.upper().startswith(_NOT_INHERITED)}
    return kept | {
        "PYTHONPATH": f"{ROOT / 'addons'}{os.pathsep}{ROOT}",
        "PYTHONUNBUFFERED": "1",
        "SLUICEGATE_STATE_DIR": str(folder / "state"),
        "SLUICEGATE_CERTS": str(folder / "certs"),
    }


class Load:
    """The process of bench/load.py; one job at a time."""

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "bench.load"],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def run(self, job: Job) -> Result:
        """Raises LoadError where an answer was not as it has to be."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(asdict(job)) + "\n")
        self._process.stdin.flush()
        answer = json.loads(self._process.stdout.readline() or '{"error": "the load generator ended"}')
        if "error" in answer:
            raise LoadError(answer["error"])
        return Result(**answer)

    def __exit__(self, *_: object) -> None:
        _end(self._process)
