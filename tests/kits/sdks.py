"""The vendors' own SDKs, fed with bytes in place of a server: they must read what a translation made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import anthropic
import httpx2
import openai
from anthropic.types import Message
from openai.types.chat import ChatCompletionChunk


def _client(body: bytes, content_type: str, status: int, piece: int) -> httpx2.Client:
    class Pieces(httpx2.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield from (body[i : i + piece] for i in range(0, len(body), piece))

    def serve(_: httpx2.Request) -> httpx2.Response:
        return httpx2.Response(status, headers={"content-type": content_type}, stream=Pieces())

    return httpx2.Client(transport=httpx2.MockTransport(serve))


def read_message_stream(body: bytes, piece: int = 4096) -> Message:
    """The message that anthropic-py makes of a Messages stream."""
    http = _client(body, "text/event-stream; charset=utf-8", 200, piece)
    client = anthropic.Anthropic(api_key="k", http_client=http, max_retries=0)
    with client.messages.stream(model="m", max_tokens=1, messages=[{"role": "user", "content": "a"}]) as stream:
        return stream.get_final_message()


def read_message(body: bytes, status: int = 200) -> Message:
    """The message that anthropic-py makes of a JSON answer; raises its exceptions."""
    client = anthropic.Anthropic(api_key="k", http_client=_client(body, "application/json", status, 4096), max_retries=0)
    return client.messages.create(model="m", max_tokens=1, messages=[{"role": "user", "content": "a"}])


def read_chunks(body: bytes, piece: int = 4096) -> list[ChatCompletionChunk]:
    """The chunks that openai-py reads in a Chat Completions stream."""
    http = _client(body, "text/event-stream; charset=utf-8", 200, piece)
    client = openai.OpenAI(api_key="k", http_client=http, max_retries=0)
    return list(client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a"}], stream=True))


def read_completion(body: bytes, status: int = 200) -> Any:
    """The completion that openai-py makes of a JSON answer; raises its exceptions."""
    client = openai.OpenAI(api_key="k", http_client=_client(body, "application/json", status, 4096), max_retries=0)
    return client.chat.completions.create(model="m", messages=[{"role": "user", "content": "a"}])
