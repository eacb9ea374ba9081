"""Sinks for audit records: stdout, stderr or a file, one line per record. Policies share a sink by its name."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Protocol

from sluicegate.core.errors import StoreError

__all__ = ["Sink", "Sinks"]


class Sink(Protocol):
    def write(self, line: bytes) -> None: ...


class _Stream:
    """A standard stream."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def write(self, line: bytes) -> None:
        try:
            os.write(self._fd, line)
        except OSError as e:
            raise StoreError(f"cannot write to the standard stream: {e.strerror}") from e


class _File:
    """A file, appended to with one write per line, so that several processes may share it. Reopened after a rotation."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1
        self._inode = 0
        self._open()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._fd = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        except OSError as e:
            raise StoreError(f"cannot open {self.path} for writing: {e.strerror}") from e
        self._inode = os.fstat(self._fd).st_ino

    def write(self, line: bytes) -> None:
        try:
            os.write(self._fd, line)
        except OSError as e:
            raise StoreError(f"cannot write to {self.path}: {e.strerror}") from e

    def follow_rotation(self) -> None:
        """Open the file again if it was moved away (logrotate)."""
        try:
            moved = self.path.stat().st_ino != self._inode
        except FileNotFoundError:
            moved = True
        if moved:
            old = self._fd
            self._open()  # before the close: if this failed after it, a client's socket might get the old one's number
            os.close(old)

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        os.close(fd)


class Sinks:
    """Sinks by their name in the configuration: `stdout`, `stderr` or `file:PATH`; None for `off`."""

    def __init__(self) -> None:
        self._sinks: dict[str, Sink] = {}

    def get(self, name: str) -> Sink | None:
        """Raises StoreError if a file cannot be opened."""
        if name == "off":
            return None
        if name not in self._sinks:
            self._sinks[name] = self._make(name)
        return self._sinks[name]

    def _make(self, name: str) -> Sink:
        if name in ("stdout", "stderr"):
            (sys.stdout if name == "stdout" else sys.stderr).flush()
            return _Stream(1 if name == "stdout" else 2)
        kind, _, path = name.partition(":")
        if kind != "file" or not path:
            raise StoreError(f"unknown sink {name!r} for records; use stdout, stderr, file:PATH or off")
        return _File(Path(path).expanduser())

    def reopen(self, name: str) -> Sink | None:
        """Open the sink again after an error. Raises StoreError if it still cannot be written."""
        old = self._sinks.get(name)
        sink = None if name == "off" else self._make(name)
        if sink:
            sink.write(b"")
            self._sinks[name] = sink
        if isinstance(old, _File):
            old.close()
        return sink

    def follow_rotation(self) -> None:
        """To be called periodically: reopens files that were rotated."""
        for sink in self._sinks.values():
            if isinstance(sink, _File):
                sink.follow_rotation()
