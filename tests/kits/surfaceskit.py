"""One question in each client format, and what the answer says."""

from __future__ import annotations

import base64
import json
from typing import Any

from kits.gatekit import (
    Answer,
    Gate,
    request,
    wait_until,
)
from sluicegate.core.formats.bedrock import codec as bedrock
from sluicegate.core.formats.vertex import codec as vertex
from sluicegate.core.messages.grammar import check_stream
from sluicegate.core.wire.eventstream import MessagesFromFrames
from sluicegate.core.wire.sse import SSEParser


def ask(gate: Gate, client: str, model: str, text: str, *, stream: bool = False, counts: bool = False) -> Answer:
    """One line of prompt, in the client's own format."""
    body: dict[str, Any] = {"max_tokens": 4000, "messages": [{"role": "user", "content": text}]}
    match client:
        case "messages":
            path, body = "/v1/messages", {"model": model, "stream": stream, **body}
        case "chat":
            path, body = "/v1/chat/completions", {"model": model, "stream": stream, **body}
        case "bedrock":
            action: bedrock.Action = "invoke-with-response-stream" if stream else "invoke"
            path, body = bedrock.path_of(model, action), {"anthropic_version": bedrock.VERSION, **body}
        case _:
            path = vertex.path_of("p", "l", model, stream=stream)
            body = {"anthropic_version": vertex.VERSION, "stream": stream, **body}
    if counts:
        path, body = _counting(client, model, body)
    return request("POST", gate.url + path, body=body, headers={"x-api-key": "sk-ant-api03-client"})


def _counting(client: str, model: str, body: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    body.pop("stream", None)
    match client:
        case "messages":
            return "/v1/messages/count_tokens", body
        case "bedrock":
            inner = base64.b64encode(json.dumps(body).encode()).decode()
            return bedrock.path_of(model, "count-tokens"), {"input": {"invokeModel": {"body": inner}}}
    return vertex.path_of("p", "l", vertex.COUNT, stream=False), {"model": model, **body}


def text_of(client: str, answer: Answer, *, stream: bool) -> str:
    """What the model said, out of an answer that is well-formed in the client's format."""
    if client == "chat":
        if not stream:
            return str(answer.json()["choices"][0]["message"]["content"])
        assert answer.body.endswith(b"data: [DONE]\n\n")
        chunks = [json.loads(e.data) for e in SSEParser().feed(answer.body) if e.data != b"[DONE]"]
        return "".join(c["delta"].get("content") or "" for chunk in chunks for c in chunk["choices"])
    if not stream:
        return "".join(block.get("text", "") for block in answer.json()["content"])
    body = answer.body
    if client == "bedrock":
        assert answer.headers["content-type"] == "application/vnd.amazon.eventstream"
        frames = MessagesFromFrames(lambda name: name)
        body = frames.feed(body) + frames.end()
    events = SSEParser().feed(body)
    assert check_stream(events) == []
    return "".join(json.loads(e.data).get("delta", {}).get("text") or "" for e in events)


def record_of(gate: Gate, answer: Answer) -> dict[str, Any]:
    """The audit record of an answer."""
    name = answer.headers["x-sluicegate-id"]
    return wait_until(lambda: next((r for r in gate.audit_records() if r["exchange"] == name), None), "its record")
