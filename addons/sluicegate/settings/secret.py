"""References to secrets: where a secret is, never what it is."""

import contextlib
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Final, Self

COMMAND_TIMEOUT_S: Final = 10.0
MAX_BYTES: Final = 64 * 1024

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")

NOT_A_REFERENCE: Final = "expected a reference to a secret (env:NAME, file:PATH or cmd:COMMAND), not the secret itself"


class SecretError(ValueError):
    """A reference that gives no secret. The message names the reference, never a value or a command's output."""


class Secret:
    """`env:NAME`, `file:PATH` or `cmd:COMMAND`; only the reference is kept, so printing one is harmless.

    No dataclass: msgspec would read one from a mapping, past `parse`.
    """

    __slots__ = ("_reference",)

    def __init__(self, reference: str) -> None:
        self._reference = reference

    @property
    def reference(self) -> str:
        return self._reference

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reference == self.reference

    def __hash__(self) -> int:
        return hash(self.reference)

    def __repr__(self) -> str:
        return f"Secret({self.reference!r})"

    def __str__(self) -> str:
        return self.reference

    @classmethod
    def parse(cls, written: object) -> Self:
        """Raises ValueError, without quoting what was written, for anything but a reference."""
        if not isinstance(written, str):
            raise ValueError(NOT_A_REFERENCE)
        kind, _, rest = written.partition(":")
        if kind == "env":
            if not _VARIABLE.fullmatch(rest):
                raise ValueError("expected the name of an environment variable after env:")
        elif kind == "file":
            if not rest.strip() or "\0" in rest:
                raise ValueError("expected a path after file:")
        elif kind == "cmd":
            if not _words(rest):
                raise ValueError("expected a command, with its quotes closed, after cmd:")
        else:
            raise ValueError(NOT_A_REFERENCE)
        return cls(written)

    def resolve(self, environ: Mapping[str, str]) -> str:
        """The secret itself. Reads a file or runs a command (no shell, 10 s), so call it off the event loop.

        Raises SecretError.
        """
        kind, _, rest = self.reference.partition(":")
        match kind:
            case "env":
                value = environ.get(rest, "")
            case "file":
                value = self._from_file(Path(rest).expanduser())
            case _:
                value = self._from_command(_words(rest), environ)
        if not value:
            unset = kind == "env" and rest not in environ
            raise SecretError(f"{self.reference} {'is not set' if unset else 'is empty'}")
        if _CONTROL.search(value):
            raise SecretError(f"{self.reference} has line breaks or control characters in it")
        return value

    def missing(self, environ: Mapping[str, str]) -> str | None:
        """Why the reference cannot give a secret, judged without reading it; None if it may."""
        kind, _, rest = self.reference.partition(":")
        match kind:
            case "env":
                return None if environ.get(rest) else f"{self.reference} is {'empty' if rest in environ else 'not set'}"
            case "file":
                readable = os.access(Path(rest).expanduser(), os.R_OK)
                return None if readable else f"{self.reference} cannot be read"
            case _:
                found = shutil.which(_words(rest)[0], path=environ.get("PATH"))
                return None if found else f"{self.reference} names a command that is not there"

    def _from_file(self, path: Path) -> str:
        try:
            with path.open("rb") as file:
                return self._decoded(file.read(MAX_BYTES + 1))
        except OSError as error:
            raise SecretError(f"{self.reference} cannot be read: {error.strerror}") from None

    def _from_command(self, words: list[str], environ: Mapping[str, str]) -> str:
        try:
            process = subprocess.Popen(  # noqa: S603  # the operator's own command, split without a shell
                words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=dict(environ),
                start_new_session=True,
            )
        except OSError as error:
            raise SecretError(f"{self.reference} could not be started: {error.strerror}") from None
        try:
            output, _ = process.communicate(timeout=COMMAND_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            _kill(process)
            raise SecretError(f"{self.reference} gave no answer within {COMMAND_TIMEOUT_S:.0f} s") from None
        if process.returncode != 0:
            raise SecretError(f"{self.reference} failed with exit code {process.returncode}")
        return self._decoded(output)

    def _decoded(self, raw: bytes) -> str:
        if len(raw) > MAX_BYTES:
            raise SecretError(f"{self.reference} gives more than {MAX_BYTES} bytes")
        try:
            return raw.decode("utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise SecretError(f"{self.reference} gives something that is not UTF-8 text") from None


def _words(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _kill(process: "subprocess.Popen[bytes]") -> None:
    """End the command with the children it started: one of them may hold the pipe."""
    if hasattr(os, "killpg"):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # its own group: it was started as a session of its own
    else:
        process.kill()
    process.wait()
    if process.stdout is not None:
        process.stdout.close()
