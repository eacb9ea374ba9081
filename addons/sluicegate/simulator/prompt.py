"""A request as the flat list of blocks that prompt caching counts: tools, then system, then messages."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

import msgspec

from sluicegate.simulator.errors import invalid

type Ttl = Literal["5m", "1h"]

MAX_BREAKPOINTS = 4


@dataclass(frozen=True, slots=True)
class PromptBlock:
    """`content` identifies the block: its role and the block without cache_control."""

    where: str
    content: bytes
    tokens: int
    cacheable: bool = True
    breakpoint: Ttl | None = None


def estimate(text: bytes) -> int:
    """The simulator's tokens of a UTF-8 text: a quarter of its bytes, rounded up."""
    return -(-len(text) // 4)


def prompt_blocks(body: dict[str, Any]) -> list[PromptBlock]:
    """The blocks with their breakpoints. Raises NativeError (400) for wrong or too many cache_controls."""
    blocks = list(_blocks(body))
    automatic = body.get("cache_control")
    if automatic is not None:
        _place_automatic(blocks, _ttl(automatic, "cache_control"))
    _check_breakpoints(blocks)
    return blocks


def _blocks(body: dict[str, Any]) -> Iterator[PromptBlock]:
    for index, tool in enumerate(body.get("tools") or ()):
        yield _block(tool, "tools", f"tools.{index}")
    system = body.get("system")
    if system:
        yield from _content(system, "system", "system")
    for index, message in enumerate(body["messages"]):
        yield from _content(message["content"], message["role"], f"messages.{index}.content")


def _content(content: str | list[dict[str, Any]], role: str, where: str) -> Iterator[PromptBlock]:
    if isinstance(content, str):
        content = [{"type": "text", "text": content}]
    for index, block in enumerate(content):
        yield _block(block, role, f"{where}.{index}")


def _block(block: dict[str, Any], role: str, where: str) -> PromptBlock:
    control = block.get("cache_control")
    kind = block.get("type")
    if control is not None or "cache_control" in block:
        block = {name: value for name, value in block.items() if name != "cache_control"}
    encoded = msgspec.json.encode(block)
    text = block.get("text") if kind == "text" else None
    tokens = estimate(text.encode("utf-8", "replace")) if isinstance(text, str) else estimate(encoded)
    cacheable = kind not in ("thinking", "redacted_thinking") and text != ""
    if control is None:
        return PromptBlock(where, role.encode() + b"\0" + encoded, tokens, cacheable)
    if not cacheable:
        what = "empty text" if text == "" else str(kind)
        raise invalid(f"{where}.cache_control: cache_control cannot be set for {what} blocks")
    return PromptBlock(where, role.encode() + b"\0" + encoded, tokens, True, _ttl(control, f"{where}.cache_control"))


def _ttl(control: Any, where: str) -> Ttl:
    if not isinstance(control, dict) or control.get("type") != "ephemeral":
        raise invalid(f"{where}.type: Input should be 'ephemeral'")
    ttl = control.get("ttl", "5m")
    if ttl == "5m":
        return "5m"
    if ttl == "1h":
        return "1h"
    raise invalid(f"{where}.ttl: Input should be '5m' or '1h'")


def _place_automatic(blocks: list[PromptBlock], ttl: Ttl) -> None:
    """Top-level cache_control: a breakpoint on the last block that can have one."""
    for index in range(len(blocks) - 1, -1, -1):
        block = blocks[index]
        if not block.cacheable:
            continue
        if block.breakpoint not in (None, ttl):
            raise invalid(f"cache_control.ttl: conflicts with {block.where}.cache_control.ttl")
        blocks[index] = replace(block, breakpoint=ttl)
        return


def _check_breakpoints(blocks: list[PromptBlock]) -> None:
    marked = [block for block in blocks if block.breakpoint]
    if len(marked) > MAX_BREAKPOINTS:
        raise invalid(f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marked)}.")
    short = False
    for block in marked:
        if block.breakpoint == "5m":
            short = True
        elif short:
            raise invalid(
                f"{block.where}.cache_control.ttl: a ttl='1h' cache_control block must not come after a "
                "ttl='5m' cache_control block. Note that blocks are processed in the following order: "
                "`tools`, `system`, `messages`."
            )
