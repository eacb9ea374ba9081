"""Names and ids of tools that both sides accept: others are replaced by a hash, always the same one.

Chat Completions takes function names of up to 64 characters out of `a-zA-Z0-9_-`; names of MCP tools are often longer.
Ids of tool calls: OpenAI takes up to 40 characters, Mistral exactly nine letters and digits, Anthropic `a-zA-Z0-9_-`.
"""

from __future__ import annotations

import base64
import hashlib
import re
from typing import Final

__all__ = ["call_id", "nine_letters", "sent_name"]

_NAME: Final = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID: Final = re.compile(r"[a-zA-Z0-9_-]{1,40}")
_NOT_WORD: Final = re.compile(r"[^a-zA-Z0-9_-]")
_HASH: Final = 12


def sent_name(name: str) -> str:
    """A tool's name for the other side: unchanged if that side accepts it, else truncated with a hash of the full name."""
    if _NAME.fullmatch(name):
        return name
    return f"{_NOT_WORD.sub('_', name[: 63 - _HASH])}_{_digest(name)[:_HASH]}"


def call_id(given: str) -> str:
    """The id of a tool call: unchanged if both sides accept it, else a hash, so call and result still match."""
    return given if _ID.fullmatch(given) else f"call_{_digest(given)[:24]}"


def nine_letters(given: str) -> str:
    """The id of a tool call for servers that require nine letters and digits."""
    digest = hashlib.sha256(given.encode("utf-8", "replace")).digest()
    return base64.b32encode(digest).decode()[:9]


def _digest(value: str) -> str:
    return hashlib.sha256(value.encode("utf-8", "replace")).hexdigest()
