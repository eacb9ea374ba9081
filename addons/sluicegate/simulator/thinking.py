"""Thinking blocks: the text, its signature, and the check when a block comes back in a later turn."""

from __future__ import annotations

import base64
import hashlib
import hmac
from typing import Any

import msgspec

from sluicegate.simulator.errors import invalid

THOUGHT = "The simulator considers the request, finds nothing hard in it, and decides to answer it directly."


class Signer:
    """HMAC signatures over a block's text; with `bind_prefix` also over all previous turns."""

    def __init__(self, key: bytes, *, bind_prefix: bool = False) -> None:
        self._key = key
        self._bind_prefix = bind_prefix

    def sign(self, text: str, body: dict[str, Any], turns: int) -> str:
        """The signature of a thinking block that follows the first `turns` messages of `body`."""
        signed = text.encode("utf-8", "replace")
        if self._bind_prefix:
            prefix = [body.get("tools"), body.get("system"), body["messages"][:turns]]
            signed = hashlib.sha256(msgspec.json.encode(_without_cache_control(prefix))).digest() + signed
        return base64.b64encode(hmac.digest(self._key, signed, "sha256")).decode()

    def check(self, body: dict[str, Any]) -> None:
        """Raises NativeError (400) for a thinking block whose signature is not ours."""
        for turn, message in enumerate(body["messages"]):
            if message["role"] != "assistant" or isinstance(message["content"], str):
                continue
            for index, block in enumerate(message["content"]):
                if block["type"] == "thinking" and not self._genuine(block, body, turn):
                    raise invalid(f"messages.{turn}.content.{index}: Invalid `signature` in `thinking` block")

    def _genuine(self, block: dict[str, Any], body: dict[str, Any], turn: int) -> bool:
        expected = self.sign(str(block.get("thinking", "")), body, turn)
        return hmac.compare_digest(expected.encode(), str(block.get("signature", "")).encode("utf-8", "replace"))


def _without_cache_control(value: Any) -> Any:
    """Breakpoints move from turn to turn, so they are not part of a prefix."""
    if isinstance(value, dict):
        return {name: _without_cache_control(item) for name, item in value.items() if name != "cache_control"}
    if isinstance(value, list):
        return [_without_cache_control(item) for item in value]
    return value
