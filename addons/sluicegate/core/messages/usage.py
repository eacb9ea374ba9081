"""Facts of a provider's response, read from its bytes as they pass: model, usage, stop reason, tools, errors."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import msgspec

from sluicegate.core.messages.usage_reports import SAMPLED, count, merged_usage
from sluicegate.core.wire.encoding import (
    DecodeError,
    Decoder,
    Truncated,
    UnknownEncoding,
    decoder,
)
from sluicegate.core.wire.sse import SSEEvent, SSEParser

__all__ = ["ResponseFacts", "ResponseReader", "Usage"]

_MAX_JSON: Final = 32 * 1024 * 1024
_MAX_TOOLS: Final = 100
_MAX_ITERATIONS: Final = 1000
_COUNTS: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_5m_tokens",
    "cache_write_1h_tokens",
)
_REPORTED: Final = (
    "input_tokens",
    "output_tokens",
    "cache_read_input_tokens",
    "cache_creation_input_tokens",
    "cache_creation",
    "iterations",
)
"""The members of a `usage` object that count tokens."""
_SILENT: Final = (b"event: content_block_delta\ndata:", b"event: ping\ndata:")
"""The start of events without usage."""


@dataclass(slots=True)
class Usage:
    """Tokens by kind; disjoint, as the Messages API counts them."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    web_search_requests: int = 0
    inference_geo: str | None = None
    service_tier: str | None = None
    speed: str | None = None
    known: bool = False
    iterations: list[tuple[str | None, Usage]] = field(default_factory=list)
    """Work billed beside the top level, with its model if that is another one.

    `usage.iterations[]` lists all work. The top level is the sum of those that sample the answer; the others
    (compaction, an advisor's messages) are not in it (docs.anthropic.com, "Compaction", "Advisor tool").
    """
    rounds: list[tuple[str | None, Usage]] = field(default_factory=list)
    """The inferences that the top level is the sum of, with their models if those are others (a fallback's)."""
    inferences: int = field(default=1, compare=False)
    """How many inferences the answer shows: one more after each group of results of the provider's own tools."""
    _prompt: Usage | None = field(default=None, repr=False, compare=False)
    """The first inference's input, from message_start."""
    _reported: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What the reports so far come to."""

    def parts(self) -> list[tuple[str | None, Usage]]:
        """All billed work, by inference. Usage that the rounds do not account for is a part of its own."""
        if not self.rounds:
            own: list[Usage] = self._shares() if self.is_sum else [self]
            return [*((None, u) for u in own), *self.iterations]
        left = self._less(*(u for _, u in self.rounds))
        return [*self.rounds, *([(None, left)] if left.total() else []), *self.iterations]

    @property
    def is_sum(self) -> bool:
        """Several inferences are reported as one (docs.anthropic.com, "Web search tool"), without their own counts."""
        if self.rounds or not (self.inferences > 1 or self.web_search_requests):
            return False
        return self._prompt is None or self.total_input() > self._prompt.total_input()

    def _shares(self) -> list[Usage]:
        """The inferences of a sum: the first as message_start reports it, the others as equal shares of the rest."""
        n = self.inferences if self.inferences > 1 else 1 + self.web_search_requests
        first = [self._prompt] if self._prompt else []
        rest = self._less(*first)
        shares = _split(replace(rest, output_tokens=0), n - len(first))
        output = _split(Usage(output_tokens=self.output_tokens), n)
        return [replace(u, output_tokens=o.output_tokens) for u, o in zip([*first, *shares], output, strict=True)]

    def _less(self, *parts: Usage) -> Usage:
        return Usage(*(max(0, getattr(self, name) - sum(getattr(u, name) for u in parts)) for name in _COUNTS))

    def note_prompt(self) -> None:
        """What is reported so far is the first inference's: a stream's message_start."""
        if self._prompt is None and self.total_input():
            self._prompt = replace(_counts_only(self), output_tokens=0)

    def total_input(self) -> int:
        """All input tokens, cached or not."""
        return self.total() - self.output_tokens

    def total(self) -> int:
        """All tokens of the top level."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_5m_tokens
            + self.cache_write_1h_tokens
        )

    def take(self, raw: object, *, first: bool = False) -> None:
        """Read a `usage` object on top of the earlier ones; `first`: it precedes them, though it arrived later.

        Invalid values are ignored.
        """
        if not isinstance(raw, dict):
            return
        report = {key: raw[key] for key in _REPORTED if key in raw}
        self._reported = merged_usage(report, self._reported) if first else merged_usage(self._reported, report)
        self.known = "input_tokens" in self._reported or "output_tokens" in self._reported
        _read_counts(self, self._reported)
        tools = raw.get("server_tool_use")
        if isinstance(tools, dict):
            self.web_search_requests = count(tools.get("web_search_requests")) or self.web_search_requests
        for name in ("inference_geo", "service_tier", "speed"):
            if v := _text(raw.get(name), 40):
                setattr(self, name, v)
        self._take_iterations(self._reported.pop("iterations", None))

    def _take_iterations(self, listed: object) -> None:
        if not isinstance(listed, list) or not listed:
            return
        self.iterations, self.rounds = [], []
        for one in listed[:_MAX_ITERATIONS]:
            if isinstance(one, dict) and (usage := _counts_of(one)).total():
                found = self.rounds if one.get("type") in SAMPLED else self.iterations
                found.append((_text(one.get("model")), usage))


def _counts_only(u: Usage) -> Usage:
    return Usage(*(getattr(u, name) for name in _COUNTS))


def _split(u: Usage, n: int) -> list[Usage]:
    """n shares as equal as whole numbers allow."""
    counts = [divmod(getattr(u, name), n) for name in _COUNTS]
    return [Usage(*(share + (i < more) for share, more in counts)) for i in range(n)]


def _counts_of(raw: Mapping[str, Any]) -> Usage:
    usage = Usage()
    _read_counts(usage, raw)
    return usage


def _read_counts(u: Usage, raw: Mapping[str, Any]) -> None:
    u.input_tokens = count(raw.get("input_tokens")) or 0
    u.output_tokens = count(raw.get("output_tokens")) or 0
    u.cache_read_tokens = count(raw.get("cache_read_input_tokens")) or 0
    split = raw.get("cache_creation")
    parts = split if isinstance(split, dict) else {}
    u.cache_write_5m_tokens = count(parts.get("ephemeral_5m_input_tokens")) or 0
    u.cache_write_1h_tokens = count(parts.get("ephemeral_1h_input_tokens")) or 0
    if (written := count(raw.get("cache_creation_input_tokens"))) is not None:
        # The sum of both. message_delta has it without the split, so the 1h part of message_start remains valid.
        u.cache_write_1h_tokens = min(u.cache_write_1h_tokens, written)
        u.cache_write_5m_tokens = written - u.cache_write_1h_tokens


@dataclass(slots=True)
class ResponseFacts:
    """The facts of a response so far."""

    model: str | None = None
    message_id: str | None = None
    stop_reason: str | None = None
    tools: list[str] = field(default_factory=list)
    usage: Usage = field(default_factory=Usage)
    error_type: str | None = None
    error_message: str | None = None
    complete: bool = False
    """A stream: message_stop has arrived. JSON: the document is complete."""
    ended: bool = False
    """A stream: its last event has arrived, and nothing can follow it."""
    events: int = 0
    stream: bool = False
    size: int = 0
    """Bytes of a JSON document."""
    counted: int | None = None
    """The result of count_tokens."""
    note: str | None = None
    """Why facts are missing: the body could not be decoded or parsed."""


class ResponseReader:
    """Reads a response as it passes. Never raises: on unreadable data it sets `note` and stops reading."""

    __slots__ = ("_after_result", "_body", "_decoder", "_delta_seen", "_ended", "_plain", "_size", "_sse", "facts")

    def __init__(self, content_type: str, content_encoding: str = "", status: int = 200) -> None:
        kind = content_type.partition(";")[0].strip().lower()
        self.facts = ResponseFacts(stream=kind == "text/event-stream")
        self._sse = SSEParser() if self.facts.stream else None
        self._body: list[bytes] | None = [] if kind == "application/json" or kind.endswith("+json") else None
        self._size = 0
        self._ended = self._delta_seen = self._after_result = False
        self._decoder: Decoder | None = None
        try:
            if content_encoding and content_encoding.strip().lower() != "identity":
                self._decoder = decoder(content_encoding)
        except UnknownEncoding as e:
            self._give_up(str(e))
        self._plain = self._decoder is None

    def feed(self, data: bytes) -> None:
        if self._ended:
            return
        sse = self._sse
        if sse is not None and self._plain and sse.idle and data.startswith(_SILENT) and _is_one_event(data):
            self.facts.events += 1  # most events of a stream
            return
        try:
            if self._decoder is not None:
                data = self._decoder.feed(data)
            self._take(data)
        except DecodeError as e:
            self._give_up(str(e))
        except Exception as e:  # noqa: BLE001 - a hostile body must not stop the stream
            self._give_up(f"{type(e).__name__} while reading the response")

    def end(self) -> None:
        """End of the body. Later calls do nothing."""
        if self._ended:
            return
        self._ended = True
        try:
            if self._decoder is not None:
                self._take(self._decoder.end())
            if self._body is not None:
                self._read_json(b"".join(self._body))
        except Truncated as e:
            if self._body is not None:  # an incomplete stream shows in its events
                self.facts.note = str(e)
        except Exception as e:  # noqa: BLE001
            self.facts.note = f"{type(e).__name__} while reading the response"
        self._body = None

    def _give_up(self, why: str) -> None:
        self.facts.note = why
        self._sse = self._body = self._decoder = None

    def _take(self, data: bytes) -> None:
        if self._sse is not None:
            for event in self._sse.feed(data):
                self._event(event)
        elif self._body is not None:
            self._size += len(data)
            if self._size > _MAX_JSON:
                self._give_up("the answer is too large to be read")
            else:
                self._body.append(data)

    # -- streams
    def _event(self, event: SSEEvent) -> None:
        facts = self.facts
        facts.events += 1
        if event.event in (b"content_block_delta", b"ping", b"content_block_stop"):
            return
        if event.event == b"message" and event.data.startswith(b'{"type":"content_block_delta"'):
            return
        value = _loads(event.data)
        if not isinstance(value, dict):
            return
        match value.get("type"):
            case "message_start":
                self._message(value.get("message"), late=self._delta_seen)
                if not self._delta_seen:
                    facts.usage.note_prompt()
            case "content_block_start":
                self._block(value.get("content_block"))
            case "message_delta":
                delta = value.get("delta")
                if isinstance(delta, dict):
                    facts.stop_reason = _text(delta.get("stop_reason")) or facts.stop_reason
                facts.usage.take(value.get("usage"))
                self._delta_seen = True
            case "message_stop":
                facts.usage.take(value.get("usage"))
                facts.complete = facts.ended = True
            case "error":
                self._error(value.get("error"))
            case _:
                pass

    # -- documents
    def _read_json(self, body: bytes) -> None:
        if not body:
            return
        value = _loads(body)
        if not isinstance(value, dict):
            self.facts.note = "the response is not a JSON object"
            return
        self.facts.complete, self.facts.size = True, len(body)
        if value.get("type") == "error":
            self._error(value.get("error"))
        elif value.get("type") == "message":
            self._message(value)
        elif (n := count(value.get("input_tokens"))) is not None:
            self.facts.counted = n

    def _message(self, message: object, *, late: bool = False) -> None:
        if not isinstance(message, dict):
            return
        facts = self.facts
        facts.model = _text(message.get("model")) or facts.model
        facts.message_id = _text(message.get("id")) or facts.message_id
        facts.stop_reason = _text(message.get("stop_reason")) or facts.stop_reason
        facts.usage.take(message.get("usage"), first=late)
        if isinstance(content := message.get("content"), list):
            for block in content:
                self._block(block)

    def _block(self, block: object) -> None:
        if not isinstance(block, dict):
            return
        result = isinstance(kind := block.get("type"), str) and kind.endswith("_tool_result")
        if self._after_result and not result:
            self.facts.usage.inferences += 1
        self._after_result = result
        if len(self.facts.tools) >= _MAX_TOOLS:
            return
        if block.get("type") in ("tool_use", "server_tool_use") and (name := _text(block.get("name"))):
            self.facts.tools.append(name)

    def _error(self, error: object) -> None:
        if isinstance(error, dict):
            self.facts.error_type = _text(error.get("type")) or "api_error"
            self.facts.error_message = _text(error.get("message"), 300)
        else:
            self.facts.error_type = "api_error"


def _is_one_event(data: bytes) -> bool:
    """An event of two lines and an empty one, with LF line ends."""
    return data[-2:] == b"\n\n" and data.count(b"\n") == 3 and b"\r" not in data


def _text(v: object, limit: int = 200) -> str | None:
    """Text that can be encoded: lone surrogates become question marks."""
    return v[:limit].encode("utf-8", "replace").decode() if isinstance(v, str) else None


def _loads(data: bytes) -> Any:
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        pass
    try:  # a lone surrogate, NaN, a stray byte: the standard library is more lenient
        return json.loads(data.decode("utf-8", "replace"), strict=False)
    except (ValueError, RecursionError):
        return None
