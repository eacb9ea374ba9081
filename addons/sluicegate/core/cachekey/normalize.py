"""Normalizes a request: removes what differs between two identical runs of the same client.

Removed: Claude Code's attribution block, the names of user and session (`prompt_cache_key`, `metadata.user_id` and the
like), the session id wherever it occurs, every cache_control, the order in which parallel tool results arrived, and what
the operator's expressions match. Everything else stays, and so does the order of keys. The input is not modified.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sluicegate.core.messages.attribution import ATTRIBUTION_PREFIX, is_attribution
from sluicegate.core.messages.sessions import GROUP_FIELDS, METADATA_KEYS

__all__ = ["NO_STRIPS", "Strip", "Strips", "compile_strips", "normalized"]

Strip = Callable[[str], str]
"""Removes what an expression matches from a text."""

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OF_ONE_RUN: Final = frozenset({"cache_control", "user", *GROUP_FIELDS})
_METADATA_OF_ONE_RUN: Final = frozenset({"user_id", *METADATA_KEYS})
_SESSION: Final = "<session>"


@dataclass(frozen=True, slots=True)
class Strips:
    """What the operator removes from texts in `system` and in `messages`."""

    system: tuple[Strip, ...] = ()
    messages: tuple[Strip, ...] = ()


NO_STRIPS: Final = Strips()


def compile_strips(system: tuple[str, ...], messages: tuple[str, ...]) -> Strips:
    """The operator's expressions, run by RE2 in time linear in the text. Raises ValueError for an invalid one."""
    return Strips(tuple(map(_compiled, system)), tuple(map(_compiled, messages)))


def _compiled(pattern: str) -> Strip:
    import re2

    options = re2.Options()
    options.log_errors = False
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as e:
        said = e.args[0] if e.args else b""
        text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
        raise ValueError(text.partition(": ")[0]) from None  # the rest quotes the expression

    def strip(text: str) -> str:
        out: str = compiled.sub("", text)
        return out

    return strip


def normalized(body: dict[str, Any], strips: Strips = Strips(), session_id: str | None = None) -> dict[str, Any]:
    """A normalized copy of a request's JSON, for comparison only."""
    out = {k: v for k, v in body.items() if k not in _OF_ONE_RUN}
    by_session = _session_strip(session_id)
    if isinstance(metadata := out.get("metadata"), dict):
        out["metadata"] = {k: v for k, v in metadata.items() if k not in _METADATA_OF_ONE_RUN}
        if not out["metadata"]:
            del out["metadata"]
    if isinstance(tools := out.get("tools"), list):
        out["tools"] = [_unmarked(tool) for tool in tools]
    if "system" in out:
        out["system"] = _system(out["system"], (*by_session, *strips.system))
    if isinstance(messages := out.get("messages"), list):
        steps = (*by_session, *strips.messages)
        out["messages"] = [_message(message, steps) for message in messages]
    return out


def _session_strip(session_id: str | None) -> tuple[Strip, ...]:
    """Only for a UUID: removing a session id such as "yes" would make different prompts equal."""
    if session_id is None or not _UUID.fullmatch(session_id):
        return ()
    return (lambda text: text.replace(session_id, _SESSION),)


def _unmarked(block: Any) -> Any:
    if isinstance(block, dict) and "cache_control" in block:
        return {k: v for k, v in block.items() if k != "cache_control"}
    return block


def _system(system: Any, steps: tuple[Strip, ...]) -> Any:
    if isinstance(system, str):
        first, newline, rest = system.partition("\n")
        return _stripped(rest if newline and first.startswith(ATTRIBUTION_PREFIX) else system, steps)
    if isinstance(system, list):
        return [_block(b, steps) for b in system if not is_attribution(b)]
    return system


def _message(message: Any, steps: tuple[Strip, ...]) -> Any:
    if not isinstance(message, dict):
        return message
    content = message.get("content")
    if isinstance(content, str):
        return {**message, "content": _stripped(content, steps)}
    if not isinstance(content, list):
        return message
    return {**message, "content": _results_sorted([_block(b, steps) for b in content])}


def _block(block: Any, steps: tuple[Strip, ...]) -> Any:
    if not isinstance(block, dict):
        return block
    block = _unmarked(block)
    if steps and isinstance(text := block.get("text"), str):
        block = {**block, "text": _stripped(text, steps)}
    if block.get("type") == "tool_result" or block.get("type") == "document":
        content = block.get("content")
        if isinstance(content, str):
            block = {**block, "content": _stripped(content, steps)}
        elif isinstance(content, list):
            block = {**block, "content": [_inner(b, steps) for b in content]}
    return block


def _inner(block: Any, steps: tuple[Strip, ...]) -> Any:
    """A block within a tool result (text, image); it does not contain further blocks."""
    block = _unmarked(block)
    if steps and isinstance(block, dict) and isinstance(text := block.get("text"), str):
        return {**block, "text": _stripped(text, steps)}
    return block


def _stripped(text: str, steps: tuple[Strip, ...]) -> str:
    for step in steps:
        text = step(text)
    return text


def _results_sorted(blocks: list[Any]) -> list[Any]:
    """Sort each run of tool results by id: they arrive in the order in which the tools ended."""
    out: list[Any] = []
    run: list[Any] = []
    for block in blocks:
        if isinstance(block, dict) and block.get("type") == "tool_result":
            run.append(block)
            continue
        out += sorted(run, key=_result_id)
        run = []
        out.append(block)
    return [*out, *sorted(run, key=_result_id)]


def _result_id(block: dict[str, Any]) -> str:
    found = block.get("tool_use_id")
    return found if isinstance(found, str) else ""
