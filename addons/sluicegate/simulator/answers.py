"""The simulator's answers: content blocks made from the request and the knobs alone."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace
from typing import Any

import msgspec

from sluicegate.simulator.behaviour import Behaviour
from sluicegate.simulator.prompt import estimate
from sluicegate.simulator.prompt_cache import InputTokens
from sluicegate.simulator.thinking import THOUGHT, Signer

GREETING = "Hello from the simulator: "
TOOL_MARKER = "run the tool"
BASH_INPUT = {"command": "echo sluicegate-tool-ran", "description": "say so"}
QUOTE_CHARS = 200

_REMINDER = re.compile(r"<system-reminder>.*?</system-reminder>", re.DOTALL)
_TOOL_WORD = re.compile(r"\btools?\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Answer:
    """A complete message, before it is encoded as JSON or as events."""

    id: str
    model: str
    blocks: list[dict[str, Any]]
    stop_reason: str
    stop_sequence: str | None
    tokens: InputTokens
    output_tokens: int

    def usage(self, output_tokens: int) -> dict[str, Any]:
        tokens = self.tokens
        return {
            "input_tokens": tokens.fresh,
            "cache_creation_input_tokens": tokens.write_5m + tokens.write_1h,
            "cache_read_input_tokens": tokens.read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": tokens.write_5m,
                "ephemeral_1h_input_tokens": tokens.write_1h,
            },
            "output_tokens": output_tokens,
            "service_tier": "standard",
        }

    def message(self) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": self.blocks,
            "stop_reason": self.stop_reason,
            "stop_sequence": self.stop_sequence,
            "usage": self.usage(self.output_tokens),
        }


def answer(body: dict[str, Any], digest: str, tokens: InputTokens, knobs: Behaviour, signer: Signer) -> Answer:
    """The answer to a valid request; `digest` (hex) stands for its bytes in the ids."""
    blocks: list[dict[str, Any]] = []
    thinks = knobs.thinking
    if thinks is None:
        thinks = (body.get("thinking") or {}).get("type") in ("enabled", "adaptive")
    if thinks:
        signature = signer.sign(THOUGHT, body, len(body["messages"]))
        blocks.append({"type": "thinking", "thinking": THOUGHT, "signature": signature})
    turn = _last_turn(body["messages"])
    tool = _wanted_tool(body, turn, knobs)
    stop_sequence = None
    if tool is not None:
        stop_reason = "tool_use"
        blocks += _tool_uses(body, tool, digest, knobs, turn)
    else:
        text, stop_reason, stop_sequence = _limit(_reply(turn, knobs), body, knobs)
        blocks.append({"type": "text", "text": text})
    output_tokens = knobs.usage.get("output_tokens", sum(_block_tokens(block) for block in blocks))
    return Answer(
        id=f"msg_{digest[:24]}",
        model=knobs.answer_model or body["model"],
        blocks=blocks,
        stop_reason=knobs.stop_reason or stop_reason,
        stop_sequence=stop_sequence,
        tokens=_overridden(tokens, knobs.usage),
        output_tokens=output_tokens,
    )


@dataclass(frozen=True, slots=True)
class _Turn:
    """The last user message: its text, and its first tool result, if any."""

    text: str
    result: str | None


def _last_turn(messages: list[dict[str, Any]]) -> _Turn:
    for message in reversed(messages):
        if message["role"] != "user":
            continue
        content = message["content"]
        if isinstance(content, str):
            return _Turn(_REMINDER.sub("", content).strip(), None)
        texts = (_REMINDER.sub("", block["text"]).strip() for block in content if block["type"] == "text")
        words = [text for text in texts if text]
        results = [_result_text(block.get("content")) for block in content if block["type"] == "tool_result"]
        return _Turn(words[-1] if words else "", results[0] if results else None)
    return _Turn("", None)


def _result_text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(str(part["text"]) for part in content if isinstance(part, dict) and "text" in part)
    return "" if content is None else str(content)


def _wanted_tool(body: dict[str, Any], turn: _Turn, knobs: Behaviour) -> str | None:
    """The name of the tool to call, or None for a text reply."""
    names: list[str] = [tool["name"] for tool in body.get("tools") or ()]
    choice = body.get("tool_choice") or {}
    if choice.get("type") == "none":
        return None
    if choice.get("type") == "tool":
        return str(choice.get("name"))
    if choice.get("type") == "any" and names:
        return names[0]
    if turn.result is not None and knobs.find is None:
        return None
    if knobs.tool:
        return knobs.tool
    if names and TOOL_MARKER in turn.text.lower():
        return "Bash" if "Bash" in names else names[0]
    return "Bash" if "Bash" in names and _TOOL_WORD.search(turn.text) else None


def _tool_uses(body: dict[str, Any], name: str, digest: str, knobs: Behaviour, turn: _Turn) -> list[dict[str, Any]]:
    arguments: Any = knobs.tool_input
    if arguments is not None and knobs.find is not None:
        arguments = _filled(arguments, _found(knobs.find, turn))
    if arguments is None:
        schemas = {tool["name"]: tool.get("input_schema") for tool in body.get("tools") or ()}
        arguments = BASH_INPUT if name == "Bash" else _sample(schemas.get(name) or {})
    uses = []
    for number in range(knobs.parallel):
        tail = hashlib.sha256(f"{digest}{number}".encode()).hexdigest()[:24]
        uses.append({"type": "tool_use", "id": f"toolu_{tail}", "name": name, "input": arguments})
    return uses


def _found(pattern: str, turn: _Turn) -> str:
    """The match in the tool's result, else in the user's text; the pattern itself without a match."""
    match = re.search(pattern, turn.result or "") or re.search(pattern, turn.text)
    return match[0] if match else pattern


def _filled(value: Any, found: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, found) for key, item in value.items()}
    if isinstance(value, list):
        return [_filled(item, found) for item in value]
    return value.replace("{found}", found) if isinstance(value, str) else value


def _sample(schema: dict[str, Any]) -> Any:
    """A value that a JSON schema accepts, in the simple cases: the required properties alone."""
    if "enum" in schema:
        return schema["enum"][0]
    match schema.get("type", "object"):
        case "object":
            properties = schema.get("properties", {})
            return {name: _sample(properties.get(name, {"type": "string"})) for name in schema.get("required", ())}
        case "array":
            return [_sample(schema.get("items") or {"type": "string"}) for _ in range(schema.get("minItems", 0))]
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return True
        case _:
            return "simulated"


def _reply(turn: _Turn, knobs: Behaviour) -> str:
    if knobs.text is not None:
        text = knobs.text
    elif turn.result is not None:
        text = f"{GREETING}the tool said {turn.result[:QUOTE_CHARS]!r}."
    elif knobs.echo:
        text = turn.text
    else:
        text = f"{GREETING}you said {turn.text[:QUOTE_CHARS]!r}."
    length = knobs.huge_mb << 20 or knobs.length
    if length is None and knobs.events is not None and len(text) < knobs.events:
        length = knobs.events * 8
    if length is None:
        return text
    base = f"{text} "
    return (base * (length // len(base) + 1))[:length]


def _limit(text: str, body: dict[str, Any], knobs: Behaviour) -> tuple[str, str, str | None]:
    """Text, stop reason and stop sequence; size knobs take precedence over max_tokens."""
    found = [(text.find(stop), stop) for stop in body.get("stop_sequences") or () if stop and stop in text]
    if found:
        end, stop = min(found)
        return text[:end], "stop_sequence", stop
    asked_for_size = knobs.length is not None or knobs.events is not None or knobs.huge_mb
    encoded = text.encode("utf-8", "replace")
    if asked_for_size or estimate(encoded) <= body["max_tokens"]:
        return text, "end_turn", None
    return encoded[: body["max_tokens"] * 4].decode("utf-8", "ignore"), "max_tokens", None


def _block_tokens(block: dict[str, Any]) -> int:
    match block["type"]:
        case "text":
            return estimate(block["text"].encode("utf-8", "replace"))
        case "thinking":
            return estimate(block["thinking"].encode())
        case _:
            return estimate(msgspec.json.encode(block["input"])) + estimate(block["name"].encode())


def _overridden(tokens: InputTokens, usage: dict[str, int]) -> InputTokens:
    if not usage:
        return tokens
    return replace(
        tokens,
        fresh=usage.get("input_tokens", tokens.fresh),
        read=usage.get("cache_read_input_tokens", tokens.read),
        write_5m=usage.get("ephemeral_5m_input_tokens", tokens.write_5m),
        write_1h=usage.get("ephemeral_1h_input_tokens", tokens.write_1h),
    )
