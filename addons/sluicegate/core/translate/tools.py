"""Tools and tool choice, in both directions. A tool that runs at the provider never becomes a function."""

from __future__ import annotations

from typing import Any, Final

from sluicegate.core.translate.base import Losses, Malformed
from sluicegate.core.translate.reading import (
    Json,
    element,
    flag,
    items,
    mapping,
    text,
    word,
)
from sluicegate.core.translate.schemas import is_strict, parameters
from sluicegate.core.translate.tool_names import sent_name

__all__ = ["choice_to_chat", "choice_to_messages", "to_functions", "to_tools"]

_TOOL: Final = frozenset({"name", "description", "input_schema", "type", "strict"})
_NOTES: Final = frozenset({"cache_control", "defer_loading", "eager_input_streaming", "input_examples", "allowed_callers"})
"""Properties of loading and calling: a tool without them works the same."""
_FUNCTION: Final = frozenset({"name", "description", "parameters", "strict"})


def to_functions(body: Json, losses: Losses) -> list[Json]:
    """`tools` of a Messages request as functions."""
    found = ((element(t, f"tools[{i}]"), f"tools[{i}]") for i, t in enumerate(items(body, "tools", "")))
    return [function for tool, path in found if (function := _to_function(tool, path, losses))]


def _to_function(tool: Json, path: str, losses: Losses) -> Json | None:
    kind = tool.get("type")
    if kind is not None and kind != "custom":
        losses.unsupported(path, f"a tool of type {word(kind)} has no counterpart in Chat Completions")
        return None
    for key in tool.keys() - _TOOL:
        if key in _NOTES:
            losses.drop("cache_control" if key == "cache_control" else f"tools[].{key}")
        elif tool[key] is not None:
            losses.unsupported(f"{path}.{word(key)}", "a property of tools that Chat Completions does not have")
    function: Json = {"name": sent_name(text(tool, "name", path))}
    if described := text(tool, "description", path, ""):
        function["description"] = described
    function["parameters"] = parameters(mapping(tool, "input_schema", path))
    if flag(tool, "strict", path):
        if is_strict(function["parameters"]):
            function["strict"] = True
        else:
            losses.drop("tools[].strict")
    return {"type": "function", "function": function}


def choice_to_chat(body: Json, functions: list[Json], losses: Losses) -> Json:
    """`tool_choice` of a Messages request as members of a Chat Completions request."""
    choice = mapping(body, "tool_choice", "")
    out: Json = {}
    if not choice or not functions:
        if choice and choice.get("type") in ("any", "tool"):
            losses.unsupported("tool_choice", "it requires a tool, but no tool can be sent")
        return out
    match choice.get("type"):
        case "auto":
            out["tool_choice"] = "auto"
        case "any":
            out["tool_choice"] = "required"
        case "none":
            out["tool_choice"] = "none"
        case "tool":
            name = sent_name(text(choice, "name", "tool_choice"))
            if any(f["function"]["name"] == name for f in functions):
                out["tool_choice"] = {"type": "function", "function": {"name": name}}
            else:
                losses.unsupported("tool_choice.name", "it names a tool that is not sent")
        case _:
            raise Malformed("tool_choice.type", "must be auto, any, tool or none")
    if flag(choice, "disable_parallel_tool_use", "tool_choice"):
        out["parallel_tool_calls"] = False
    return out


def to_tools(body: Json, losses: Losses) -> list[Json]:
    """`tools` of a Chat Completions request as Messages tools."""
    found = ((element(t, f"tools[{i}]"), f"tools[{i}]") for i, t in enumerate(items(body, "tools", "")))
    return [made for tool, path in found if (made := _to_tool(tool, path, losses))]


def _to_tool(tool: Json, path: str, losses: Losses) -> Json | None:
    if tool.get("type", "function") != "function":
        losses.unsupported(path, f"a tool of type {word(tool.get('type'))} has no counterpart in the Messages API")
        return None
    path = f"{path}.function"
    function = mapping(tool, "function", path.removesuffix(".function"))
    for key in function.keys() - _FUNCTION:
        losses.unsupported(f"{path}.{word(key)}", "a property of functions that the Messages API does not have")
    made: Json = {"name": sent_name(text(function, "name", path))}
    if described := text(function, "description", path, ""):
        made["description"] = described
    made["input_schema"] = parameters(mapping(function, "parameters", path))
    if flag(function, "strict", path):
        made["strict"] = True
    return made


_WORDS: Final = {"auto": "auto", "required": "any", "none": "none"}


def choice_to_messages(body: Json, tools: list[Json], losses: Losses) -> Json | None:
    """`tool_choice` and `parallel_tool_calls` of a Chat Completions request as a Messages `tool_choice`."""
    choice: Any = body.get("tool_choice")
    serial = flag(body, "parallel_tool_calls") is False
    if not tools:
        if choice not in (None, "auto", "none"):
            losses.unsupported("tool_choice", "it requires a tool, but no tool can be sent")
        return None
    made: Json | None = None
    if isinstance(choice, str) and choice in _WORDS:
        made = {"type": _WORDS[choice]}
    elif isinstance(choice, dict) and choice.get("type") == "function":
        function = mapping(choice, "function", "tool_choice")
        made = {"type": "tool", "name": sent_name(text(function, "name", "tool_choice.function"))}
    elif isinstance(choice, dict):
        losses.unsupported("tool_choice", f"a choice of type {word(choice.get('type'))} has no counterpart")
    elif choice is not None:
        raise Malformed("tool_choice", "must be none, auto, required or a function")
    if serial and (made is None or made["type"] != "none"):
        made = {**(made or {"type": "auto"}), "disable_parallel_tool_use": True}
    return made
