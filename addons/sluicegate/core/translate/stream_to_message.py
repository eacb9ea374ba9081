"""A stream as one message: for a client that did not ask for a stream, if the server sends one."""

from __future__ import annotations

from typing import Any, Final

from sluicegate.core.messages.usage_reports import merged_usage
from sluicegate.core.translate.base import Malformed, RequestState
from sluicegate.core.translate.chat_chunk import tool_input
from sluicegate.core.translate.messages_chat.stream import ChatStreamToMessages
from sluicegate.core.translate.reading import Json, decode, encode
from sluicegate.core.wire.sse import SSEParser

__all__ = ["chat_stream_to_message", "message_of_stream"]

_PIECES: Final = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}
"""The type of a delta → its member that continues the block's."""


def chat_stream_to_message(body: bytes, state: RequestState, *, id: str) -> bytes:
    """A Chat Completions stream as a message of the Messages API. Raises Malformed if it is incomplete."""
    stream = ChatStreamToMessages(state, id=id)
    return message_of_stream(stream.feed(body) + stream.end())


def message_of_stream(stream: bytes) -> bytes:
    """A Messages stream as one message. Raises Malformed if it is incomplete or ends in an error."""
    made = _Message()
    parser = SSEParser()
    for event in parser.feed(stream):
        try:
            made.take(decode(event.data))
        except (AttributeError, KeyError, TypeError, ValueError):
            raise Malformed("", "the provider's stream is malformed") from None
        if made.over:
            return encode(made.message)
    raise Malformed("", "the provider ended the stream before its answer was complete")


class _Message:
    def __init__(self) -> None:
        self.message: Json = {}
        self.over = False
        self._block: Json = {}
        self._pieces: dict[str, list[str]] = {}

    def take(self, event: Json) -> None:
        match event.get("type"):
            case "message_start":
                earlier = self.message.get("usage")
                self.message = {**event["message"], "content": []}
                if earlier:
                    self.message["usage"] = merged_usage(self.message.get("usage") or {}, earlier)
            case "content_block_start":
                self._block, self._pieces = dict(event["content_block"]), {}
            case "content_block_delta":
                self._delta(event["delta"])
            case "content_block_stop":
                self.message["content"].append(self._whole_block())
            case "message_delta":
                self.message |= event["delta"]
                self.message["usage"] = merged_usage(self.message.get("usage") or {}, event.get("usage") or {})
            case "message_stop":
                self.over = "content" in self.message
            case "error":
                raise Malformed("", f"the provider reported an error: {event['error']['message']}")

    def _delta(self, delta: Json) -> None:
        if key := _PIECES.get(delta["type"]):
            self._pieces.setdefault(key, []).append(delta[key])

    def _whole_block(self) -> Json:
        block: dict[str, Any] = self._block
        for key, pieces in self._pieces.items():
            if key == "partial_json":
                block["input"] = tool_input("".join(pieces))
            else:
                block[key] = block.get(key, "") + "".join(pieces)
        return block
