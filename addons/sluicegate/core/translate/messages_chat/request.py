"""A client of the Messages API on a Chat Completions provider."""

from __future__ import annotations

import hashlib
import re
from functools import partial
from typing import Any, Final

import msgspec

from sluicegate.core.translate.base import (
    Losses,
    Malformed,
    Policy,
    RequestState,
    TranslatedRequest,
    TranslatedResponse,
)
from sluicegate.core.translate.collect import Collect
from sluicegate.core.translate.effort import clamp, effort_of
from sluicegate.core.translate.errors import messages_error
from sluicegate.core.translate.messages_chat.flavours import GENERIC, Flavour
from sluicegate.core.translate.messages_chat.response import completion_to_message, completion_to_stream
from sluicegate.core.translate.messages_chat.stream import ChatStreamToMessages
from sluicegate.core.translate.messages_chat.turns import chat_messages
from sluicegate.core.translate.reading import (
    Json,
    decode,
    encode,
    flag,
    integer,
    items,
    mapping,
    number,
    text,
    word,
)
from sluicegate.core.translate.schemas import closed, is_strict
from sluicegate.core.translate.stream_to_message import chat_stream_to_message
from sluicegate.core.translate.tool_names import sent_name
from sluicegate.core.translate.tools import choice_to_chat, to_functions

__all__ = ["MessagesToChat"]

_MOST_STOPS: Final = 4
_SSE: Final = "text/event-stream; charset=utf-8"

_CARRIED: Final = frozenset(
    {
        "model", "messages", "system", "max_tokens", "stop_sequences", "stream", "temperature", "top_p", "tools",
        "tool_choice", "thinking", "output_config", "output_format", "metadata", "service_tier", "context_management",
    }
)  # fmt: skip
_DECLARED: Final[dict[str, str]] = {
    "cache_control": "cache_control",
    "diagnostics": "cache_control",
    "betas": "betas",
    "anthropic_beta": "betas",
    "anthropic_version": "betas",
    "top_k": "top_k",
}
"""Fields that are always dropped, and the name reported to the client."""
_NEUTRAL: Final[dict[str, Any]] = {"speed": "standard"}
"""Values without effect."""


class MessagesToChat:
    """Translates requests to Chat Completions, and responses back."""

    __slots__ = ("_flavour", "_policy")

    def __init__(self, flavour: Flavour = GENERIC, unsupported: Policy = "refuse") -> None:
        self._flavour, self._policy = flavour, unsupported

    def request(self, body: bytes, *, model: str) -> TranslatedRequest:
        """See `Translator`."""
        asked, losses = decode(body), Losses(self._policy)
        _unknown(asked, losses)
        streamed = flag(asked, "stream") is True
        out: Json = {"model": model, "messages": chat_messages(asked, self._flavour, losses)}
        if not any(turn["role"] != "system" for turn in out["messages"]):
            raise Malformed("messages", "at least one message is required")
        if (most := integer(asked, "max_tokens")) is not None:
            out[self._flavour.max_tokens_key] = most
        if streamed:
            out |= {"stream": True, "stream_options": {"include_usage": True}}
        out |= self._sampling(asked, model, losses)
        if functions := to_functions(asked, losses):
            out["tools"] = functions
        out |= choice_to_chat(asked, functions, losses)
        out |= (
            self._reasoning(asked, model, losses, tools=bool(functions))
            | _format(asked, losses)
            | self._account(asked, losses)
        )
        for name in self._flavour.drops & out.keys():
            del out[name]
        thinks = mapping(asked, "thinking", "").get("type") not in (None, "disabled")
        state = RequestState(model=model, stream=streamed, thinking=thinks, tool_names=_renamed(asked, functions))
        return TranslatedRequest(encode(out), losses.dropped, state)

    def answer(self, status: int, content_type: str, state: RequestState, *, id: str, now_s: int) -> TranslatedResponse:
        """See `Translator`."""
        if status >= 400:
            return messages_error(status)
        kind = content_type.partition(";")[0].strip().lower()
        if state.stream and kind != "application/json":
            return TranslatedResponse(status, _SSE, ChatStreamToMessages(state, id=id))
        if state.stream:
            return TranslatedResponse(status, _SSE, Collect(partial(completion_to_stream, state=state, id=id)), whole=True)
        read = chat_stream_to_message if kind == "text/event-stream" else completion_to_message
        return TranslatedResponse(status, "application/json", Collect(partial(read, state=state, id=id)), whole=True)

    def _sampling(self, asked: Json, model: str, losses: Losses) -> Json:
        out: Json = {}
        for name in ("temperature", "top_p"):
            if (value := number(asked, name)) is None:
                continue
            if self._flavour.samples(model):
                out[name] = value
            else:
                losses.drop(name)
        given = items(asked, "stop_sequences", "")
        if not all(isinstance(stop, str) for stop in given):
            raise Malformed("stop_sequences", "must be a list of strings")
        stops = [stop for stop in given if stop.strip()]
        if len(stops) < len(given):
            losses.drop("stop_sequences[] of whitespace")
        if len(stops) > _MOST_STOPS:
            losses.unsupported(
                f"stop_sequences[{_MOST_STOPS}]", f"Chat Completions takes {_MOST_STOPS} stop sequences", "Send fewer."
            )
        if stops:
            out["stop"] = stops[:_MOST_STOPS]
        return out

    def _reasoning(self, asked: Json, model: str, losses: Losses, *, tools: bool) -> Json:
        config = mapping(asked, "output_config", "")
        for key in config.keys() - {"effort", "format"}:
            if config[key] is not None:
                losses.unsupported(f"output_config.{word(key)}", "Chat Completions has no equivalent")
        thinking = mapping(asked, "thinking", "")
        allowed = self._flavour.efforts_of(model, tools=tools)
        wanted = text(config, "effort", "output_config", "")
        if not wanted and thinking.get("type") == "enabled":
            wanted = effort_of(integer(thinking, "budget_tokens", "thinking") or 0)
        off = thinking.get("type") == "disabled"
        if off or allowed == ("none",):
            if not off and (wanted or thinking):
                losses.drop("thinking")
            return {"reasoning_effort": "none"} if "none" in allowed else {}
        effort = clamp(wanted, allowed)
        if effort is None and (wanted or thinking):
            losses.drop("thinking")
        return {"reasoning_effort": effort} if effort else {}

    def _account(self, asked: Json, losses: Losses) -> Json:
        out: Json = {}
        if metadata := mapping(asked, "metadata", ""):
            losses.drop("metadata")
            if user := text(metadata, "user_id", "metadata", ""):
                out["safety_identifier"] = hashlib.sha256(_person(user).encode()).hexdigest()
        tier = text(asked, "service_tier", "", "")
        if tier in self._flavour.service_tiers:
            out["service_tier"] = self._flavour.service_tiers[tier]
        elif tier:
            losses.drop("service_tier")
        return out


def _unknown(asked: Json, losses: Losses) -> None:
    for key, value in asked.items():
        nothing = value is None or value is False or value in ([], {})
        if key in _CARRIED or nothing or (key in _NEUTRAL and value == _NEUTRAL[key]):
            continue
        if key in _DECLARED:
            losses.drop(_DECLARED[key])
        else:
            losses.unsupported(word(key), "Chat Completions has no equivalent")
    management = mapping(asked, "context_management", "")
    if management:
        edits = items(management, "edits", "context_management")
        kinds = [e.get("type") if isinstance(e, dict) else None for e in edits]
        if all(isinstance(kind, str) and kind.startswith("clear_thinking") for kind in kinds):
            losses.drop("context_management")  # thinking is not sent anyway
        else:
            losses.unsupported("context_management", "Chat Completions does not edit a conversation")


def _format(asked: Json, losses: Losses) -> Json:
    config = mapping(asked, "output_config", "")
    path = "output_config.format" if config.get("format") is not None else "output_format"
    wanted = mapping(config, "format", "output_config") or mapping(asked, "output_format", "")
    if not wanted:
        return {}
    if wanted.get("type") != "json_schema":
        losses.unsupported(path, f"a format of type {word(wanted.get('type'))} has no counterpart")
        return {}
    schema = closed(mapping(wanted, "schema", path), f"{path}.schema")
    named = {"name": "output", "strict": is_strict(schema), "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": named}}


def _renamed(asked: Json, functions: list[Json]) -> dict[str, str]:
    """The tools whose names had to change: name as sent → the client's name."""
    sent = {function["function"]["name"] for function in functions}
    names = (tool["name"] for tool in items(asked, "tools", "") if isinstance(tool.get("name"), str))
    return {new: old for old in names if (new := sent_name(old)) != old and new in sent}


_OLD_SESSION: Final = re.compile(r"_session_[0-9a-fA-F-]{8,64}$")


def _person(user_id: str) -> str:
    """A `user_id` without the session that Claude Code names in it: the hash must be the same in each session."""
    if user_id.startswith("{"):
        try:
            value = msgspec.json.decode(user_id)
        except (msgspec.DecodeError, RecursionError):
            return user_id
        if isinstance(value, dict):
            return msgspec.json.encode({k: v for k, v in value.items() if k != "session_id"}).decode()
    return _OLD_SESSION.sub("", user_id)
