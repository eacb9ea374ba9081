"""Content blocks of the Messages API as content parts of Chat Completions."""

from __future__ import annotations

import re
from typing import Final

from sluicegate.core.translate.base import Losses, Malformed
from sluicegate.core.translate.messages_chat.flavours import Flavour
from sluicegate.core.translate.reading import (
    Json,
    element,
    flag,
    items,
    mapping,
    text,
    word,
)

__all__ = ["joined", "parts_of"]

_MEDIA: Final = re.compile(r"[\w.+-]{1,64}/[\w.+-]{1,64}")


def joined(parts: list[Json]) -> str | list[Json]:
    """The content of a message: one string if it is only text, which every server accepts; else its parts."""
    if all(part["type"] == "text" for part in parts):
        return "\n\n".join(part["text"] for part in parts)
    return parts


def parts_of(block: Json, path: str, flavour: Flavour, losses: Losses) -> list[Json]:
    """The parts that a block of a user's turn or of a tool's result becomes; empty if it was dropped."""
    if "cache_control" in block:
        losses.drop("cache_control")
    match block.get("type"):
        case "text":
            return _text(text(block, "text", path))
        case "image":
            return _image(mapping(block, "source", path), f"{path}.source", losses)
        case "document":
            return _document(block, path, flavour, losses)
        case "search_result":
            found = [
                part for i, b in enumerate(items(block, "content", path)) for part in _inner(b, f"{path}.content[{i}]")
            ]
            about = f"{text(block, 'title', path, '')}\n{text(block, 'source', path, '')}".strip()
            return [*_text(about), *found]
        case "tool_reference":
            return _text(f"The tool {text(block, 'tool_name', path)} is available.")
        case kind:
            losses.unsupported(path, f"a block of type {word(kind)} has no counterpart in Chat Completions")
            return []


def _text(value: str) -> list[Json]:
    return [{"type": "text", "text": value}] if value else []


def _inner(block: object, path: str) -> list[Json]:
    return _text(text(element(block, path), "text", path))


def _image(source: Json, path: str, losses: Losses) -> list[Json]:
    match source.get("type"):
        case "base64":
            url = _data_url(source, path)
        case "url":
            url = text(source, "url", path)
        case kind:
            losses.unsupported(path, f"an image source of type {word(kind)} is valid only at its own provider")
            return []
    return [{"type": "image_url", "image_url": {"url": url}}]


def _data_url(source: Json, path: str) -> str:
    media = text(source, "media_type", path)
    if not _MEDIA.fullmatch(media):
        raise Malformed(f"{path}.media_type", "must be a media type such as image/png")
    return f"data:{media};base64,{text(source, 'data', path)}"


def _document(block: Json, path: str, flavour: Flavour, losses: Losses) -> list[Json]:
    if flag(mapping(block, "citations", path), "enabled", f"{path}.citations"):
        losses.unsupported(f"{path}.citations", "Chat Completions has no citations")
    source, at = mapping(block, "source", path), f"{path}.source"
    title = text(block, "title", path, "")
    about = [title, text(block, "context", path, "")]
    match source.get("type"):
        case "text":
            return _text("\n\n".join(filter(None, [*about, text(source, "data", at)])))
        case "content":
            return [*_text("\n\n".join(filter(None, about))), *_content(source, at, flavour, losses)]
        case "base64" if flavour.files:
            name = title if title.lower().endswith(".pdf") else f"{title or 'document'}.pdf"
            file = {"type": "file", "file": {"filename": name, "file_data": _data_url(source, at)}}
            return [*_text(about[1]), file]
        case "base64":
            losses.unsupported(at, "this provider does not accept files")
        case kind:
            losses.unsupported(at, f"a document source of type {word(kind)} is valid only at its own provider")
    return []


def _content(source: Json, path: str, flavour: Flavour, losses: Losses) -> list[Json]:
    content = source.get("content")
    if isinstance(content, str):
        return _text(content)
    out: list[Json] = []
    for i, b in enumerate(items(source, "content", path)):
        block, at = element(b, f"{path}.content[{i}]"), f"{path}.content[{i}]"
        if block.get("type") not in ("text", "image"):
            raise Malformed(f"{at}.type", "must be text or image")
        out += parts_of(block, at, flavour, losses)
    return out
