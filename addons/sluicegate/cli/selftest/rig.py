"""The real gate in front of two leak witnesses, all on free ports and in a temporary folder."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException, HTTPResponse
from pathlib import Path
from typing import Any, Final

import msgspec

from sluicegate.cli.processes import Child
from sluicegate.cli.selftest.plants import Nursery, Plant
from sluicegate.cli.selftest.witness import Needles, Witness, needles
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.restore.tool_policy import ToolPolicy
from sluicegate.settings.scrub import Scrub
from sluicegate.simulator.wire import Request

__all__ = ["MAX_BODY", "OPUS", "SONNET", "Failed", "LeftOut", "Reply", "Rig", "open_rig"]

SONNET, OPUS = "claude-sonnet-5-5", "claude-opus-5-5"
MAX_BODY: Final = 300_000
_TIMEOUT_S: Final = 20.0
_READY: Final = r"reverse +(http://\S+) "


class Failed(Exception):
    """A case failed; the message says how and quotes no value."""


class LeftOut(Exception):
    """A case does not apply to this configuration; the message says why."""


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    kind: str
    """The content type."""
    body: bytes = field(repr=False)


@dataclass(slots=True)
class Rig:
    """The processes and values that a case uses."""

    scrub: Scrub
    folder: Path
    nursery: Nursery
    first: Witness
    """The provider of all models; the one that is overloaded for OPUS."""
    second: Witness
    gate: Child
    blocking: Child
    """The same gate in mode block."""
    planted: dict[str, str] = field(default_factory=dict)
    """Every value so far, by a printable name."""
    sessions: int = 0

    @property
    def flows(self) -> Path:
        return self.folder / "gate" / "flows"

    @property
    def tools(self) -> ToolPolicy:
        return ToolPolicy(self.scrub.restore.tools, self.scrub.restore.allow_hosts)

    def is_hidden(self, request: Request) -> bool:
        """Whether its body holds a placeholder."""
        return bool(GRAMMARS[self.scrub.style].patterns["json"].search(request.body.decode("utf-8", "replace")))

    # -- planting
    def plant(self) -> Plant:
        try:
            plant = self.nursery.plant()
        except LookupError:
            raise LeftOut("no secret can be generated for any enabled rule") from None
        self.note(plant.rule, plant.value)
        return plant

    def note(self, name: str, value: str) -> str:
        """From now on no witness may see this value."""
        self.planted[f"a value of {name} (no. {len(self.planted) + 1})"] = value
        return value

    def wanted(self, values: Mapping[str, str] | None = None) -> Needles:
        return needles(self.planted if values is None else values)

    # -- sending
    def session(self) -> str:
        """The id of a new conversation."""
        self.sessions += 1
        return f"5e1f7e57-0000-4000-8000-{self.sessions:012d}"

    def send(
        self,
        body: Any,
        path: str = "/v1/messages",
        *,
        sim: Mapping[str, Any] | None = None,
        session: str | None = None,
        encoding: str | None = None,
        to: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """POST through the gate, or to the address `to`. A body that is not bytes is sent as JSON."""
        payload = body if isinstance(body, bytes) else json.dumps(body).encode()
        fields = {
            "content-type": "application/json",
            "anthropic-version": "2023-06-01",
            "x-api-key": "sluicegate-selftest",
            "x-claude-code-session-id": session or self.session(),
            "x-sim": json.dumps(sim or {"echo": True}),
            **(headers or {}),
        }
        if encoding:
            fields["content-encoding"] = encoding
        connection = HTTPConnection((to or self.gate.found).removeprefix("http://"), timeout=_TIMEOUT_S)
        try:
            answer = _exchange(connection, path, payload, fields)
            return Reply(answer.status, answer.getheader("content-type", ""), answer.read())
        except (OSError, HTTPException) as e:
            raise Failed(f"incomplete response: {type(e).__name__}") from None
        finally:
            connection.close()


def _exchange(connection: HTTPConnection, path: str, payload: bytes, fields: Mapping[str, str]) -> HTTPResponse:
    with contextlib.suppress(
        BrokenPipeError, ConnectionResetError
    ):  # refused before the whole body was sent: the response can be read
        connection.request("POST", path, payload, dict(fields))
    return connection.getresponse()


@contextmanager
def open_rig(scrub: Scrub, nursery: Nursery, folder: Path, mode: str = "pseudonymize") -> Iterator[Rig]:
    """Start all processes. Raises ProcessError if one does not start. In another `mode` the cases must fail."""
    with Witness().running() as first, Witness().running() as second:
        saving = ["--set", f"save_stream_file={folder / 'gate' / 'flows'}"]
        gate = _gate(folder / "gate", scrub, mode, first, second, saving)
        blocking = _gate(folder / "blocking", scrub, "block", first, second, [])
        with gate, blocking:
            yield Rig(scrub, folder, nursery, first, second, gate, blocking)


def _gate(folder: Path, scrub: Scrub, mode: str, first: Witness, second: Witness, more: list[str]) -> Child:
    folder.mkdir()
    key = folder / "key"
    key.write_text(os.urandom(32).hex())
    section = msgspec.to_builtins(scrub, enc_hook=str)
    section |= {"mode": mode, "max_body": MAX_BODY, "key": f"file:{key}"}
    section["rules"] = [_absolute(rule) for rule in scrub.rules]
    models = [{"model": OPUS, "targets": [{"provider": "first"}, {"provider": "second"}]}]
    config = {
        "providers": {name: _provider(w) for name, w in (("first", first), ("second", second))},
        "routes": [*models, {"model": "*", "targets": [{"provider": "first"}]}],
        "retry": {"attempts": 2, "backoff": {"start_s": 0.05, "max_s": 0.05}, "cooldown_s": 0},
        "scrub": _escaped(section),
        "audit": {"log": f"file:{folder / 'audit.jsonl'}"},
    }
    file = folder / "sluicegate.yaml"
    file.write_text(json.dumps(config, ensure_ascii=False))  # JSON is YAML
    return Child("gate", ["sluicegate", "run", "--config", str(file), "--reverse", "0", *more], folder, _READY)


def _provider(witness: Witness) -> dict[str, Any]:
    return {"kind": "anthropic", "base_url": witness.url}


def _absolute(rule: str) -> str:
    kind, colon, path = rule.partition(":")
    return f"file:{Path(path).expanduser().absolute()}" if colon and kind == "file" else rule


def _escaped(value: Any) -> Any:
    """The same value with `${` escaped, so that it is not read as a reference to the environment."""
    if isinstance(value, dict):
        return {key: _escaped(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_escaped(item) for item in value]
    return value.replace("${", "$${") if isinstance(value, str) else value
