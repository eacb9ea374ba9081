"""Bridges: a client's request as a provider takes it, and the provider's answer as the client takes it.

    request   client's format → Messages → provider's format
    answer    provider's bytes → [decode] → Messages → (the stages' taps) → client's format

Chat Completions go straight to a provider that takes them, unless a stage has to read the answers.

Usage is read once: before the first step where the provider speaks Chat Completions, else behind it.

One bridge per attempt: it knows what the request was, and makes the transforms of its answer.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mitmproxy import http
from mitmproxy.net.http import status_codes

from sluicegate.core.errors import Refused
from sluicegate.core.formats.surfaces import INFERENCE
from sluicegate.core.messages.facts import RequestFacts, read_request
from sluicegate.core.messages.usage import ResponseReader
from sluicegate.core.wire.encoding import DecodeError, UnknownEncoding, decoder
from sluicegate.core.wire.eventstream import CONTENT_TYPE
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.release import Fields
from sluicegate.providers.base import (
    Answered,
    Asked,
    Credential,
    Estimated,
    Prepared,
    Provider,
    Sent,
    Source,
    Verdict,
    as_it_is,
)
from sluicegate.providers.plain import plain_fields

if TYPE_CHECKING:  # loaded when first needed: translation takes a tenth of a second
    from sluicegate.core.formats.chat.usage import ChatReader
    from sluicegate.core.formats.decode import Entered
    from sluicegate.core.translate.base import Policy, Transform

__all__ = ["AS_IT_IS", "MOST_WHOLE", "Bridge", "Whole", "bridge", "credential_for", "leave"]

_VERSION: Final = b"2023-06-01"
"""Of the Messages API, for requests that come in another format and name none."""
_STREAMS: Final = ("text/event-stream", CONTENT_TYPE)
_SPEAK_MESSAGES: Final = frozenset({"messages", "count_tokens"})
MOST_WHOLE: Final = 32 * 1024 * 1024
"""Bytes of an answer that is looked at as a whole."""
_FRAMING: Final = frozenset({b"content-length", b"transfer-encoding"})


@dataclass(frozen=True, slots=True)
class Bridge:
    """What one target is asked, and how its answer is read."""

    provider: Provider
    prepared: Prepared
    entered: Entered | None = None
    """None: the client's format is the provider's."""
    facts: RequestFacts | None = None
    """What the client's own request says of itself: the flow's is another one now."""

    @property
    def as_asked(self) -> bool:
        """Whether the request is in the client's own format still, so that an edit of it can be read."""
        return self.entered is None and self.prepared.answering is as_it_is

    @property
    def dropped(self) -> tuple[str, ...]:
        """What the request lost on its way."""
        return (*(self.entered.dropped if self.entered else ()), *self.prepared.dropped)

    # -- before anything of an answer is passed on
    def native_status(self, response: http.Response) -> int:
        """The answer's status in the words of the Messages API: what is tried again is told by it."""
        if response.status_code < 400:
            return response.status_code
        verdict = self.verdict(response)
        return verdict.status if verdict else response.status_code

    def verdict(self, response: http.Response, body: bytes = b"") -> Verdict | None:
        """An error in the words of the Messages API; `body` as far as it is there, without a content encoding."""
        return self.provider.classify(response.status_code, _lower(response.headers), body)

    def first_events(self, response: http.Response) -> Transform | None:
        """For a look at a stream's first event, as server-sent events of the Messages API; None where it is no such stream.

        What it is fed has no content encoding. It is not what the client's bytes go through.
        """
        answered = self._answered(response, "", 0)
        content_type = answered.content_type or response.headers.get("content-type", "")
        if answered.whole or not content_type.lower().startswith(_STREAMS):
            return None
        if answered.transform is None and answered.usage == "messages":
            return AS_IT_IS
        return answered.transform

    def content_type(self, response: http.Response) -> str:
        """Of the answer in the words of the Messages API."""
        return self._answered(response, "", 0).content_type or response.headers.get("content-type", "")

    def whole(self, response: http.Response) -> Whole | None:
        """For an answer of which nothing can go out before all of it is there: who can tell then whether it makes sense."""
        answered = self._answered(response, "", 0)
        if answered.status >= 400 or not (answered.whole or answered.transform is None):
            return None
        steps = [answered.transform] if answered.transform else []
        if self.entered:
            content_type = answered.content_type or response.headers.get("content-type", "")
            left = self.entered.leave(answered.status, content_type, id="", now_s=0)
            steps += [left.transform] if left.transform and (steps or left.whole) else []
        return Whole(steps, response.headers.get("content-encoding", "")) if steps else None

    # -- the answer
    def answer(self, x: Exchange, response: http.Response) -> ResponseReader | ChatReader:
        """Make it an answer of the Messages API: taps, innermost first, and a head that fits.

        The reader sees the provider's own account of usage. The step to the client's format comes later: `leave`.
        """
        answered = self._answered(response, x.id, int(time.time()))
        native_type = answered.content_type or response.headers.get("content-type", "")
        changes = answered.changes or self.entered is not None or answered.usage == "chat"
        encoding = response.headers.get("content-encoding", "")
        if changes:
            self._decode(x, encoding)
            response.headers.pop("content-encoding", None)
        reader: ResponseReader | ChatReader
        if answered.usage == "chat":
            from sluicegate.core.formats.chat.usage import ChatReader

            reader = ChatReader(_chat_type(answered, response.headers.get("content-type", "")), response.status_code)
            x.taps.observe(reader.feed, name="usage", done=reader.end, fate="aside")
        if answered.transform:
            x.taps.change(answered.transform, name=f"from {self.provider.kind}")
        if answered.usage == "messages":
            reader = ResponseReader(native_type, "" if changes else encoding, answered.status)
            x.taps.observe(reader.feed, name="usage", done=reader.end, fate="aside")
        elif answered.transform:
            self._watch(x, reader, native_type, answered.status)
        _fix_head(x, response, answered.status, answered.content_type, answered.fields)
        return reader

    def _watch(self, x: Exchange, reader: ResponseReader | ChatReader, native_type: str, status: int) -> None:
        """An error that the translation itself told the client is one of the answer, too."""
        seen = ResponseReader(native_type, "", status)

        def done() -> None:
            seen.end()
            if reader.facts.error_type is None:
                reader.facts.error_type, reader.facts.error_message = seen.facts.error_type, seen.facts.error_message

        x.taps.observe(seen.feed, name="translated", done=done, fate="aside")

    def _answered(self, response: http.Response, id: str, now_s: int) -> Answered:
        answering = self.prepared.answering
        headers = {} if answering is as_it_is else _lower(response.headers)  # most answers need no look at theirs
        return answering(response.status_code, headers, id=id, now_s=now_s)

    @staticmethod
    def _decode(x: Exchange, encoding: str) -> None:
        """The provider was asked not to encode its answer; where it did, it is decoded."""
        if not encoding or encoding.strip().lower() == "identity":
            return
        try:
            x.taps.change(decoder(encoding), name="content-encoding")
        except UnknownEncoding:
            x.outcome, x.abort = "failed", "the provider's answer has a content encoding that was not asked for"


def _chat_type(answered: Answered, named: str) -> str:
    """What a Chat Completions answer is read as, for its usage: as it is translated, whatever the server calls it."""
    if answered.transform is None or named.startswith("text/event-stream"):
        return named
    return "application/json" if answered.whole else answered.content_type or named


@dataclass(frozen=True, slots=True)
class Whole:
    """The steps that a whole answer takes to the client, as far as they may fail."""

    steps: Sequence[Transform]
    encoding: str

    def fault(self, body: bytes) -> str | None:
        """Why the answer makes no sense, in words fit for a client; None where it does."""
        from sluicegate.core.translate.base import Malformed

        try:
            body = decoder(self.encoding, MOST_WHOLE).feed(body)
            for step in self.steps:
                body = step.feed(body) + step.end()
        except (UnknownEncoding, DecodeError):
            return "the provider's answer can not be decoded"
        except (Malformed, ValueError) as e:
            return str(e)
        return None


def leave(x: Exchange) -> None:
    """Put the answer, which passed the stages in the words of the Messages API, into the client's own format.

    Answers that stages gave in the provider's place are put so as well; the gate's own errors are in it already.
    """
    response = x.flow.response
    if response is None or x.own_error or x.surface in _SPEAK_MESSAGES or x.surface not in INFERENCE:
        return
    if x.answer is None:
        entered = x.bridge.entered if x.bridge else None
    else:
        entered = _enter(x, (x.facts.model if x.facts else None) or "", x.policy.settings.translate.unsupported)
    if entered is None:
        return
    content_type = response.headers.get("content-type", "")
    left = entered.leave(response.status_code, content_type, id=x.id, now_s=int(time.time()))
    if left.transform is not None:
        if x.answer is None or x.source is not None:
            x.taps.change(left.transform, name=f"to {x.surface}")
        else:
            response.content = left.transform.feed(response.content or b"") + left.transform.end()
    _fix_head(x, response, left.status, left.content_type, left.fields)


def _fix_head(
    x: Exchange, response: http.Response, status: int, content_type: str | None, fields: Mapping[str, str]
) -> None:
    if content_type:
        response.headers["content-type"] = content_type
    for name, value in fields.items():
        response.headers[name] = value
    if status != response.status_code:
        response.status_code = status
        response.reason = status_codes.RESPONSES.get(status, "")
    x.status = status


class _AsItIs:
    def feed(self, data: bytes) -> bytes:
        return data

    def end(self) -> bytes:
        return b""


AS_IT_IS: Final[Transform] = _AsItIs()
"""For streams that are server-sent events of the Messages API already. Keeps nothing."""


def _lower(headers: http.Headers) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for name, value in headers.fields:  # its own mapping looks each name up again
        key, text = name.lower().decode("latin-1"), value.decode("utf-8", "surrogateescape")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


# -- the request


def bridge(
    x: Exchange,
    provider: Provider,
    *,
    model: str | None = None,
    region: str | None = None,
    unsupported: Policy = "refuse",
) -> Bridge | Estimated:
    """Make the exchange's request one for this provider: path, header fields, body and destination.

    The request is as the stages left it, on an inference surface, and without a bridge. Refused where it can not be;
    Estimated where the provider can not count tokens, and the request is untouched.
    """
    request = x.request
    d = request.data
    body = d.content or b""
    facts = x.facts  # of the request as it is now: no bridge of an earlier attempt may stand on it
    entered = _entered(x, provider, model or (facts.model if facts else None) or "", unsupported)
    asked = _asked(x, entered, facts, body)
    prepared = provider.prepare(asked, model=model, region=region)
    if isinstance(prepared, Estimated):
        return prepared
    if model and facts and facts.model != model:
        x.model = facts.model
    origin = provider.origin(region)
    d.host, d.port, d.scheme = origin.host, origin.port, b"https" if origin.tls else b"http"
    request.path = prepared.path
    if prepared.body is not body or prepared.fields is not d.headers.fields:
        length = (b"content-length", b"%d" % len(prepared.body))
        d.headers.fields = (*(f for f in prepared.fields if f[0].lower() not in _FRAMING), length)
        d.content = prepared.body
    return Bridge(provider, prepared, entered, facts)


def _entered(x: Exchange, provider: Provider, model: str, unsupported: Policy) -> Entered | None:
    if x.surface in _SPEAK_MESSAGES:
        return None
    if x.surface == "chat_completions" and provider.takes_chat and not x.policy.reads_answers:
        return None
    return _enter(x, model, unsupported)


def _enter(x: Exchange, model: str, unsupported: Policy) -> Entered:
    from sluicegate.core.formats.decode import enter
    from sluicegate.core.translate.base import Malformed

    try:
        return enter(x.surface, x.request.path, x.request.data.content or b"", model=model, unsupported=unsupported)
    except Malformed as e:
        raise Refused(400, str(e), should_retry=False) from None


def _asked(x: Exchange, entered: Entered | None, facts: RequestFacts | None, body: bytes) -> Asked:
    fields = x.request.data.headers.fields
    if entered is None:
        surface = x.surface
        assert surface in ("messages", "count_tokens", "chat_completions")
        return Asked(surface, x.request.path, fields, body, facts)
    _, mark, query = x.request.path.partition("?")
    facts = read_request(entered.body)
    return Asked(entered.surface, mark + query, _messages_fields(fields, entered, facts), entered.body, facts)


def _messages_fields(fields: Fields, entered: Entered, facts: RequestFacts | None) -> Fields:
    """The header fields of a request that came in another format."""
    plain = plain_fields(fields, "text/event-stream" if facts and facts.stream else "application/json")
    betas = ((b"anthropic-beta", ",".join(entered.betas).encode("latin-1", "replace")),) if entered.betas else ()
    return (*plain, (b"anthropic-version", _VERSION), *betas)


def credential_for(source: Source, region: str | None = None) -> _OfSource:
    """For `Target.credential`: the source's fields for the request at the moment of sending."""
    return _OfSource(source, region)


@dataclass(frozen=True, slots=True)
class _OfSource:
    source: Source
    region: str | None

    def __call__(self, request: http.Request) -> Credential:
        d = request.data
        tls = d.scheme == b"https"
        host = f"[{d.host}]" if ":" in d.host else d.host
        authority = host if d.port == (443 if tls else 80) else f"{host}:{d.port}"
        sent = Sent(
            method=request.method,
            tls=tls,
            host=d.host,
            authority=authority,
            path=request.path,
            fields=d.headers.fields,
            body=d.content or b"",
            now_s=time.time(),
            region=self.region,
        )
        return self.source.fields(sent)
