"""A Chat Completions request as a body of the Messages API; strict, so that fields of another API are rejected."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from sluicegate.simulator.errors import NativeError, invalid

MAX_STOPS: Final = 4
_KNOWN: Final = frozenset(
    {
        *("model", "messages", "max_tokens", "max_completion_tokens", "temperature", "top_p", "n", "stop"),
        *("stream", "stream_options", "tools", "tool_choice", "parallel_tool_calls", "response_format"),
        *("reasoning_effort", "verbosity", "user", "safety_identifier", "metadata", "seed", "store", "service_tier"),
        *("prompt_cache_key", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs", "top_logprobs"),
    }
)
_PARTS: Final = frozenset({"text", "image_url", "input_audio", "file", "refusal"})
_NAME: Final = re.compile(r"[A-Za-z0-9_-]{1,64}")
_CHOICES: Final = {"auto": {"type": "auto"}, "none": {"type": "none"}, "required": {"type": "any"}}


def as_messages(asked: dict[str, Any]) -> dict[str, Any]:
    """Raises NativeError (400) for fields that Chat Completions does not define, or with wrong values."""
    if unknown := sorted(set(asked) - _KNOWN):
        raise invalid(f"Unrecognized request argument supplied: {unknown[0]}")
    _no_cache_control(asked)
    messages = asked.get("messages")
    if not isinstance(messages, list) or not messages:
        raise invalid("messages: an array with at least one message is required")
    system, turns = _turns(messages)
    body: dict[str, Any] = {
        "model": asked.get("model"),
        "max_tokens": asked.get("max_completion_tokens") or asked.get("max_tokens") or 4096,
        "messages": turns or [{"role": "user", "content": ""}],
        "cache_control": {"type": "ephemeral"},  # automatic, as with OpenAI
    }
    if system:
        body["system"] = system
    if tools := asked.get("tools"):
        body["tools"] = [_tool(tool, index) for index, tool in enumerate(tools)]
    if (choice := asked.get("tool_choice")) is not None:
        body["tool_choice"] = _choice(choice)
    if (stop := asked.get("stop")) is not None:
        stops = [stop] if isinstance(stop, str) else stop
        if not isinstance(stops, list) or len(stops) > MAX_STOPS:
            raise invalid("stop: a string or an array of at most 4 is expected")
        body["stop_sequences"] = stops
    if asked.get("reasoning_effort") not in (None, "none"):
        body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
    return body


def _no_cache_control(value: Any) -> None:
    if isinstance(value, dict):
        if "cache_control" in value:
            raise invalid("Unrecognized request argument supplied: cache_control")
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            _no_cache_control(item)


def _turns(messages: list[Any]) -> tuple[str, list[dict[str, Any]]]:
    """The system prompt, and turns that alternate between user and assistant."""
    system: list[str] = []
    turns: list[dict[str, Any]] = []
    waiting: list[str] = []  # calls without a result yet
    for index, message in enumerate(messages):
        where = f"messages[{index}]"
        if not isinstance(message, dict):
            raise invalid(f"{where}: an object is expected")
        role = message.get("role")
        if role == "tool":
            if (call := message.get("tool_call_id")) not in waiting:
                raise invalid(f"{where}: messages with role 'tool' must answer a preceding message with 'tool_calls'")
            waiting.remove(str(call))
            result = {"type": "tool_result", "tool_use_id": call, "content": list(_parts(message.get("content"), where))}
            _append(turns, "user", [result])
            continue
        if waiting:
            raise invalid(
                f"{where}: an assistant message with 'tool_calls' must be followed by tool messages: {waiting[0]}"
            )
        match role:
            case "system" | "developer":
                system += [part["text"] for part in _parts(message.get("content"), where)]
            case "user":
                _append(turns, "user", list(_parts(message.get("content"), where)))
            case "assistant":
                calls = [_tool_use(call, where) for call in message.get("tool_calls") or ()]
                waiting = [call["id"] for call in calls]
                if message.get("content") is None and not calls:
                    raise invalid(f"{where}.content: expected a string, got null")
                _append(turns, "assistant", [*_parts(message.get("content"), where), *calls])
            case _:
                raise invalid(f"{where}.role: {role!r} is not one of system, developer, user, assistant, tool")
    return "\n".join(system), turns


def _append(turns: list[dict[str, Any]], role: str, blocks: list[dict[str, Any]]) -> None:
    if turns and turns[-1]["role"] == role:
        turns[-1]["content"] += blocks
    else:
        turns.append({"role": role, "content": blocks})


def _parts(content: Any, where: str) -> Iterator[dict[str, Any]]:
    """Text; other parts are encoded as JSON and count as tokens."""
    if content is None:
        return
    if isinstance(content, str):
        yield {"type": "text", "text": content}
        return
    if not isinstance(content, list) or not content:
        raise invalid(f"{where}.content: a string or an array of parts is expected")
    for part in content:
        kind = part.get("type") if isinstance(part, dict) else None
        if kind not in _PARTS or kind not in part:
            raise invalid(f"{where}.content: {kind!r} is not a part of a message")
        yield {"type": "text", "text": part["text"]} if kind == "text" else {"type": "image", "source": part[kind]}


def _tool_use(call: Any, where: str) -> dict[str, Any]:
    function = call.get("function") if isinstance(call, dict) else None
    if not isinstance(function, dict) or call.get("type") != "function" or not call.get("id"):
        raise invalid(f"{where}.tool_calls: id, type and function are required")
    try:
        arguments = json.loads(str(function.get("arguments")))
    except ValueError:
        raise invalid(f"{where}.tool_calls: arguments are not JSON") from None
    return {"type": "tool_use", "id": call["id"], "name": _name(function, where), "input": arguments}


def _tool(tool: Any, index: int) -> dict[str, Any]:
    where = f"tools[{index}]"
    if not isinstance(tool, dict) or set(tool) != {"type", "function"} or tool["type"] != "function":
        raise invalid(f"{where}: an object of type and function, with type 'function', is expected")
    function = tool["function"]
    if unknown := set(function) - {"name", "description", "parameters", "strict"}:
        raise invalid(f"Unknown parameter: {where}.function.{min(unknown)}")
    return {"name": _name(function, where), "input_schema": function.get("parameters") or {"type": "object"}}


def _name(function: dict[str, Any], where: str) -> str:
    name = function.get("name")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise invalid(f"{where}: a function's name matches ^[a-zA-Z0-9_-]{{1,64}}$")
    return name


def _choice(choice: Any) -> dict[str, Any]:
    if isinstance(choice, str) and choice in _CHOICES:
        return dict(_CHOICES[choice])
    if isinstance(choice, dict) and choice.get("type") == "function":
        return {"type": "tool", "name": _name(choice.get("function") or {}, "tool_choice")}
    raise NativeError(400, "tool_choice: auto, none, required or a function is expected")
