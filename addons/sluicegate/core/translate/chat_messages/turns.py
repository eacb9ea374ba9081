"""A Chat Completions conversation as a Messages one: consecutive turns of one side become one turn.

The results of tools are blocks of the user's turn, all results of a run in one, before what the user says next.
"""

from __future__ import annotations

import re
from typing import Final

from sluicegate.core.translate.base import Losses, Malformed
from sluicegate.core.translate.chat_chunk import tool_input
from sluicegate.core.translate.reading import (
    Json,
    element,
    items,
    mapping,
    text,
    word,
)
from sluicegate.core.translate.tool_names import call_id, sent_name

__all__ = ["conversation"]

_DATA_URL: Final = re.compile(r"data:([\w.+-]+/[\w.+-]+)(?:;[\w=.-]+)*;base64,")
_ERROR: Final = "Error: "
"""How a tool's failure is reported, as Chat Completions has no flag for it."""


def conversation(body: Json, losses: Losses) -> tuple[list[Json], list[Json]]:
    """`system` and `messages` of a Messages request: text blocks, and turns."""
    system: list[Json] = []
    turns: list[Json] = []
    for i, m in enumerate(items(body, "messages", "")):
        path = f"messages[{i}]"
        message = element(m, path)
        role = message.get("role")
        if message.get("name") is not None and role != "tool":
            losses.unsupported(f"{path}.name", "the Messages API has no participant names")
        match role:
            case "system" | "developer":
                system += _content(message, path, losses)
            case "user":
                _append(turns, "user", _content(message, path, losses))
            case "assistant":
                _append(turns, "assistant", _answered(message, path, losses))
            case "tool":
                _append(turns, "user", [_result(message, path, losses)])
            case _:
                raise Malformed(f"{path}.role", f"{word(role)} is not a role that can be translated")
    return [block for block in system if block["type"] == "text"], turns


def _append(turns: list[Json], role: str, blocks: list[Json]) -> None:
    if not blocks:
        return  # the Messages API rejects empty turns
    if not turns or turns[-1]["role"] != role:
        turns.append({"role": role, "content": blocks})
        return
    content = turns[-1]["content"]
    if blocks[0]["type"] == "tool_result":  # results come before the user's text
        at = next((i for i, b in enumerate(content) if b["type"] != "tool_result"), len(content))
        content[at:at] = blocks
    else:
        content += blocks


def _text(value: str) -> list[Json]:
    return [{"type": "text", "text": value}] if value.strip() else []  # blank text blocks are rejected


def _content(message: Json, path: str, losses: Losses) -> list[Json]:
    if isinstance(content := message.get("content"), str):
        return _text(content)
    found: list[Json] = []
    for i, p in enumerate(items(message, "content", path)):
        at = f"{path}.content[{i}]"
        part = element(p, at)
        if "prompt_cache_breakpoint" in part:
            losses.drop("cache_control")
        match part.get("type"):
            case "text":
                found += _text(text(part, "text", at))
            case "refusal":
                found += _text(text(part, "refusal", at))
            case "image_url":
                found.append(_image(mapping(part, "image_url", at), f"{at}.image_url", losses))
            case "file":
                found += _file(mapping(part, "file", at), f"{at}.file", losses)
            case kind:
                losses.unsupported(at, f"a part of type {word(kind)} has no counterpart in the Messages API")
    return found


def _image(image: Json, path: str, losses: Losses) -> Json:
    if image.get("detail") not in (None, "auto"):
        losses.drop("image_url.detail")
    url = text(image, "url", path)
    if not url.startswith("data:"):
        return {"type": "image", "source": {"type": "url", "url": url}}
    media, data = _data(url, f"{path}.url")
    return {"type": "image", "source": {"type": "base64", "media_type": media, "data": data}}


def _data(url: str, path: str) -> tuple[str, str]:
    found = _DATA_URL.match(url)
    if not found:
        raise Malformed(path, "must be a base64 data URL")
    return found[1], url[found.end() :]


def _file(file: Json, path: str, losses: Losses) -> list[Json]:
    if file.get("file_data") is None:
        losses.unsupported(path, "a file uploaded to another provider cannot be read here")
        return []
    media, data = _data(text(file, "file_data", path), f"{path}.file_data")
    if media != "application/pdf":
        losses.unsupported(
            f"{path}.file_data", f"the Messages API does not accept files of type {word(media.replace('/', '.'))}"
        )
        return []
    block: Json = {"type": "document", "source": {"type": "base64", "media_type": media, "data": data}}
    if name := text(file, "filename", path, ""):
        block["title"] = name
    return [block]


def _result(message: Json, path: str, losses: Losses) -> Json:
    block: Json = {"type": "tool_result", "tool_use_id": call_id(text(message, "tool_call_id", path))}
    content = _content(message, path, losses)
    if content and content[0]["type"] == "text" and content[0]["text"].startswith(_ERROR):
        block["is_error"] = True
        content = _text(content[0]["text"][len(_ERROR) :]) + content[1:]
    if len(content) == 1 and content[0]["type"] == "text":
        block["content"] = content[0]["text"]
    elif content:
        block["content"] = content
    return block


def _answered(message: Json, path: str, losses: Losses) -> list[Json]:
    blocks = _content(message, path, losses)
    blocks += _text(text(message, "refusal", path, ""))
    for key in ("reasoning_content", "reasoning"):
        if message.get(key):
            losses.drop("thinking")  # without a signature it would be rejected
    for key in ("function_call", "audio"):
        if message.get(key) is not None:
            losses.unsupported(f"{path}.{key}", "it has no counterpart in the Messages API", "Use tools and text.")
    for i, c in enumerate(items(message, "tool_calls", path)):
        at = f"{path}.tool_calls[{i}]"
        call = element(c, at)
        if call.get("type", "function") != "function":
            losses.unsupported(at, f"a call of type {word(call.get('type'))} has no counterpart in the Messages API")
            continue
        function = mapping(call, "function", at)
        blocks.append(
            {
                "type": "tool_use",
                "id": call_id(text(call, "id", at)),
                "name": sent_name(text(function, "name", f"{at}.function")),
                "input": tool_input(text(function, "arguments", f"{at}.function", "")),
            }
        )
    return blocks
