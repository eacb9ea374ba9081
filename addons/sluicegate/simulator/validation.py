"""Request validation, with the order and messages of the real API if known."""

from __future__ import annotations

from typing import Any

import msgspec

from sluicegate.simulator.errors import NativeError, invalid
from sluicegate.simulator.models import known

_ROLES = ("user", "assistant", "system")


def decode(body: bytes) -> dict[str, Any]:
    """The request's object. Raises NativeError (400)."""
    try:
        decoded = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise invalid(f"The request body is not valid JSON: {error}") from None
    if not isinstance(decoded, dict):
        raise invalid("Input should be a valid dictionary")
    return decoded


def check(body: dict[str, Any], *, needs_max_tokens: bool = True, any_model: bool = False) -> None:
    """Raises NativeError: 400 for a malformed request, 404 for a model that does not exist."""
    for name in ("model", "messages", "max_tokens"):
        if body.get(name) is None and (name != "max_tokens" or needs_max_tokens):
            raise invalid(f"{name}: Field required")
    model = body["model"]
    if not isinstance(model, str) or not model:
        raise invalid("model: Input should be a valid string")
    max_tokens = body.get("max_tokens", 1)
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if max_tokens < 1:
        raise invalid("max_tokens: Input should be greater than or equal to 1")
    _check_messages(body["messages"])
    _check_system_and_tools(body)
    if not any_model and not known(model):
        raise NativeError(404, f"model: {model}")


def _check_messages(messages: Any) -> None:
    if not isinstance(messages, list):
        raise invalid("messages: Input should be a valid list")
    if not messages:
        raise invalid("messages: at least one message is required")
    called: set[str] = set()
    for index, message in enumerate(messages):
        where = f"messages.{index}"
        if not isinstance(message, dict):
            raise invalid(f"{where}: Input should be a valid dictionary")
        if message.get("role") not in _ROLES:
            raise invalid(f"{where}.role: Input should be 'user' or 'assistant'")
        content = message.get("content")
        if content is None:
            raise invalid(f"{where}.content: Field required")
        if not isinstance(content, str):
            _check_blocks(content, f"{where}.content")
            _check_tool_results(content, f"{where}.content", called)


def _check_blocks(blocks: Any, where: str) -> None:
    if not isinstance(blocks, list):
        raise invalid(f"{where}: Input should be a valid list")
    for index, block in enumerate(blocks):
        if not isinstance(block, dict) or not isinstance(block.get("type"), str):
            raise invalid(f"{where}.{index}.type: Field required")
        if block["type"] == "text" and not isinstance(block.get("text"), str):
            raise invalid(f"{where}.{index}.text.text: Input should be a valid string")


def _check_tool_results(blocks: list[dict[str, Any]], where: str, called: set[str]) -> None:
    for index, block in enumerate(blocks):
        if block["type"] == "tool_use":
            called.add(str(block.get("id")))
        elif block["type"] == "tool_result" and str(block.get("tool_use_id")) not in called:
            raise invalid(
                f"{where}.{index}: unexpected `tool_use_id` found in `tool_result` blocks: "
                f"{block.get('tool_use_id')}. Each `tool_result` block must have a corresponding "
                "`tool_use` block in the previous message."
            )


def _check_system_and_tools(body: dict[str, Any]) -> None:
    system = body.get("system")
    if system is not None and not isinstance(system, str):
        _check_blocks(system, "system")
    tools = body.get("tools")
    if tools is None:
        return
    if not isinstance(tools, list):
        raise invalid("tools: Input should be a valid list")
    for index, tool in enumerate(tools):
        if not isinstance(tool, dict) or not isinstance(tool.get("name"), str):
            raise invalid(f"tools.{index}.name: Field required")
