"""A client of Chat Completions on an Anthropic provider."""

from __future__ import annotations

import hashlib
from functools import partial
from typing import Any, Final

from sluicegate.core.translate.base import (
    Losses,
    Malformed,
    Policy,
    RequestState,
    TranslatedRequest,
    TranslatedResponse,
)
from sluicegate.core.translate.chat_messages.claude_models import claude
from sluicegate.core.translate.chat_messages.response import message_to_completion
from sluicegate.core.translate.chat_messages.stream import MessagesStreamToChat
from sluicegate.core.translate.chat_messages.turns import conversation
from sluicegate.core.translate.collect import Collect
from sluicegate.core.translate.effort import EFFORTS, budget_of, clamp
from sluicegate.core.translate.errors import chat_error
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
from sluicegate.core.translate.schemas import closed
from sluicegate.core.translate.stream_to_message import message_of_stream
from sluicegate.core.translate.tool_names import sent_name
from sluicegate.core.translate.tools import choice_to_messages, to_tools

__all__ = ["ChatToMessages"]

_LEAST_BUDGET: Final = 1024

_CARRIED: Final = frozenset(
    {
        "model", "messages", "max_tokens", "max_completion_tokens", "stop", "stream", "stream_options", "temperature",
        "top_p", "tools", "tool_choice", "parallel_tool_calls", "reasoning_effort", "response_format", "safety_identifier",
        "user", "service_tier",
    }
)  # fmt: skip
_DECLARED: Final[dict[str, str]] = {
    "metadata": "metadata",
    "prompt_cache_key": "cache_control",
    "prompt_cache_retention": "cache_control",
    "prompt_cache_options": "cache_control",
    "prediction": "prediction",
}
"""Fields that are always dropped, and the name reported to the client."""
_NEUTRAL: Final[dict[str, tuple[Any, ...]]] = {
    "n": (1,),
    "modalities": (["text"],),
    "verbosity": ("medium",),
    "frequency_penalty": (0,),
    "presence_penalty": (0,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "metadata": ({},),
    "prompt_cache_options": ({},),
}
"""Values without effect, besides null, false and empty lists."""
_TIERS: Final = {"auto": "auto", "default": "standard_only"}


class ChatToMessages:
    """Translates requests to the Messages API, and responses back."""

    __slots__ = ("_policy",)

    def __init__(self, unsupported: Policy = "refuse") -> None:
        self._policy = unsupported

    def request(self, body: bytes, *, model: str) -> TranslatedRequest:
        """See `Translator`."""
        asked, losses = decode(body), Losses(self._policy)
        _unknown(asked, losses)
        streamed = flag(asked, "stream") is True
        options = mapping(asked, "stream_options", "")
        system, turns = conversation(asked, losses)
        if not turns:
            raise Malformed("messages", "at least one message that is not empty is required")
        out: Json = {"model": model, "max_tokens": _max_tokens(asked, model)}
        if system:
            out["system"] = system[0]["text"] if len(system) == 1 else system
        out["messages"] = turns
        if streamed:
            out["stream"] = True
        if tools := to_tools(asked, losses):
            out["tools"] = tools
        if choice := choice_to_messages(asked, tools, losses):
            out["tool_choice"] = choice
        out |= _stops(asked, losses) | _account(asked, losses)
        _output(asked, model, out, losses)
        _sampling(asked, model, out, losses)
        names = (mapping(t, "function", "").get("name") for t in items(asked, "tools", "") if isinstance(t, dict))
        renamed = {new: old for old in names if isinstance(old, str) and (new := sent_name(old)) != old}
        usage = streamed and flag(options, "include_usage", "stream_options") is True
        return TranslatedRequest(encode(out), losses.dropped, RequestState(model, streamed, usage, tool_names=renamed))

    def answer(self, status: int, content_type: str, state: RequestState, *, id: str, now_s: int) -> TranslatedResponse:
        """See `Translator`."""
        if status >= 400:
            return chat_error(status)
        streamed = content_type.partition(";")[0].strip().lower() == "text/event-stream"
        if streamed and state.stream:
            return TranslatedResponse(
                status, "text/event-stream; charset=utf-8", MessagesStreamToChat(state, id=id, now_s=now_s)
            )
        translate = partial(message_to_completion, state=state, id=id, now_s=now_s)
        if streamed:
            return TranslatedResponse(
                status, "application/json", Collect(lambda b: translate(message_of_stream(b))), whole=True
            )
        return TranslatedResponse(status, "application/json", Collect(translate), whole=True)


def _unknown(asked: Json, losses: Losses) -> None:
    for key, value in asked.items():
        if key in _CARRIED or value is None or value is False or value == [] or value in _NEUTRAL.get(key, ()):
            continue
        if key in _DECLARED:
            losses.drop(_DECLARED[key])
        else:
            losses.unsupported(word(key), "the Messages API has no equivalent")


def _max_tokens(asked: Json, model: str) -> int:
    for key in ("max_completion_tokens", "max_tokens"):
        if (given := integer(asked, key)) is not None:
            return given
    return claude(model).max_tokens


def _stops(asked: Json, losses: Losses) -> Json:
    given = asked.get("stop")
    listed = [given] if isinstance(given, str) else items(asked, "stop", "")
    if not all(isinstance(stop, str) for stop in listed):
        raise Malformed("stop", "must be a string or a list of strings")
    stops = [stop for stop in listed if stop.strip()]
    if len(stops) < len(listed):
        losses.drop("stop[] of whitespace")
    return {"stop_sequences": stops} if stops else {}


def _account(asked: Json, losses: Losses) -> Json:
    out: Json = {}
    if person := text(asked, "safety_identifier", "", "") or text(asked, "user", "", ""):
        out["metadata"] = {"user_id": hashlib.sha256(person.encode()).hexdigest()}
    if tier := text(asked, "service_tier", "", ""):
        if tier in _TIERS:
            out["service_tier"] = _TIERS[tier]
        else:
            losses.unsupported("service_tier", f"the tier {word(tier)} has no counterpart in the Messages API")
    return out


def _output(asked: Json, model: str, out: Json, losses: Losses) -> None:
    """Thinking and the output's format."""
    effort = text(asked, "reasoning_effort", "", "")
    if effort and effort not in EFFORTS:
        raise Malformed("reasoning_effort", f"must be one of {', '.join(EFFORTS)}")
    config: Json = {}
    if effort and effort != "none":
        config = _thinking(effort, model, out, losses)
    wanted = mapping(asked, "response_format", "")
    match wanted.get("type", "text"):
        case "text":
            pass
        case "json_schema":
            path = "response_format.json_schema"
            schema = mapping(mapping(wanted, "json_schema", "response_format"), "schema", path)
            config["format"] = {"type": "json_schema", "schema": closed(schema, f"{path}.schema")}
        case kind:
            losses.unsupported(
                "response_format", f"the format {word(kind)} has no counterpart in the Messages API", "Use json_schema."
            )
    if config:
        out["output_config"] = config


def _thinking(effort: str, model: str, out: Json, losses: Losses) -> Json:
    """Ask for thinking if the rest of the request allows it. Returns the members of `output_config`."""
    knows = claude(model)
    forced = out.get("tool_choice", {}).get("type") in ("any", "tool")
    if knows.thinking == "none" or (forced and knows.thinking == "budget"):
        losses.drop("thinking")
    elif knows.thinking == "adaptive":
        if not forced:  # thinking is not allowed with a forced tool: only the effort applies
            out["thinking"] = {"type": "adaptive"}
        return {"effort": clamp(effort, knows.efforts)}
    else:
        budget = min(budget_of(effort), out["max_tokens"] - 1)
        # Within a tool loop the previous turn would have to start with its thinking, which is lost.
        if budget < _LEAST_BUDGET or out["messages"][-1]["content"][0]["type"] == "tool_result":
            losses.drop("thinking")
        else:
            out["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return {}


def _sampling(asked: Json, model: str, out: Json, losses: Losses) -> None:
    takes = claude(model).sampling
    for key in ("temperature", "top_p"):
        value = number(asked, key)
        if value is None:
            continue
        if takes == "none" or "thinking" in out or (takes == "one" and "temperature" in out):
            losses.drop(key)
        else:
            out[key] = min(1, max(0, value))
            if out[key] != value:
                losses.drop(f"{key} over 1" if value > 1 else f"{key} under 0")
