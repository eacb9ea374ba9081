"""Translation: what one target was asked, and how its answer is read.

One per attempt. The router makes it (stages/router/prepare.py); the proxy reads from it whether an answer begins
with a failure; `exchange/answering.py` puts the answer's transforms between the stages' taps.

    request   client's format → Messages → provider's format
    answer    provider's bytes → [decode] → Messages → (the stages' taps) → client's format
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mitmproxy import http

from sluicegate.core.messages.facts import RequestFacts
from sluicegate.core.wire.encoding import DecodeError, UnknownEncoding, decoder
from sluicegate.providers.base import Provider, ResponsePlan, UpstreamRequest, Verdict, pass_through

if TYPE_CHECKING:  # loaded when first needed: translation takes a tenth of a second
    from sluicegate.core.formats.client_format import ClientRequest
    from sluicegate.core.translate.base import Transform

__all__ = ["MAX_BUFFERED", "BufferedResponse", "Translation"]

MAX_BUFFERED: Final = 32 * 1024 * 1024
"""Bytes of an answer that is translated as a whole."""


@dataclass(frozen=True, slots=True)
class Translation:
    """What one target was asked, and how its answer is read."""

    provider: Provider
    prepared: UpstreamRequest
    client_request: ClientRequest | None = None
    """As one of the Messages API. None: the client's format is the provider's."""
    facts: RequestFacts | None = None
    """The facts of the client's own request; the flow holds the provider's request now."""

    refused_betas: tuple[str, ...] = ()
    """Flags that the request lost, as this target has refused them before."""

    @property
    def as_asked(self) -> bool:
        """Whether the request is in the client's own format still, so that an edit of it can be read."""
        return self.client_request is None and self.prepared.plan_response is pass_through

    @property
    def dropped(self) -> tuple[str, ...]:
        """The request's fields that the provider's format cannot express."""
        named = (f"beta {flag}" for flag in self.refused_betas)
        return (*(self.client_request.dropped if self.client_request else ()), *self.prepared.dropped, *named)

    def native_status(self, response: http.Response) -> int:
        """The status that the Messages API would use for this answer; the retry rules read it."""
        if response.status_code < 400:
            return response.status_code
        verdict = self.verdict(response)
        return verdict.status if verdict else response.status_code

    def verdict(self, response: http.Response, body: bytes = b"") -> Verdict | None:
        """The provider's error as one of the Messages API. `body`: what has arrived of it, without a content encoding."""
        return self.provider.classify(response.status_code, lower_headers(response.headers), body)

    def content_type(self, response: http.Response) -> str:
        """The answer's content type, once it is an answer of the Messages API."""
        return self.plan_response(response, "", 0).content_type or response.headers.get("content-type", "")

    def buffered(self, response: http.Response) -> BufferedResponse | None:
        """For an answer of which nothing can be sent before all of it has arrived: a trial run of
        the translation."""
        plan = self.plan_response(response, "", 0)
        if plan.status >= 400 or not (plan.whole or plan.transform is None):
            return None
        steps = [plan.transform] if plan.transform else []
        if self.client_request:
            content_type = plan.content_type or response.headers.get("content-type", "")
            encoded = self.client_request.encode_response(plan.status, content_type, id="", now_s=0)
            steps += [encoded.transform] if encoded.transform and (steps or encoded.whole) else []
        return BufferedResponse(steps, response.headers.get("content-encoding", "")) if steps else None

    def plan_response(self, response: http.Response, id: str, now_s: int) -> ResponsePlan:
        """How the provider reads this answer, with a transform of its own for each call."""
        plan_response = self.prepared.plan_response
        headers = (
            {} if plan_response is pass_through else lower_headers(response.headers)
        )  # most answers need no look at theirs
        return plan_response(response.status_code, headers, id=id, now_s=now_s)


@dataclass(frozen=True, slots=True)
class BufferedResponse:
    """The steps that a whole answer takes to the client, if one of them may fail."""

    steps: Sequence[Transform]
    encoding: str

    def fault(self, body: bytes) -> str | None:
        """Why the answer cannot be translated, for the client to read; None if it can."""
        from sluicegate.core.translate.base import Malformed

        try:
            body = decoder(self.encoding, MAX_BUFFERED).feed(body)
            for step in self.steps:
                body = step.feed(body) + step.end()
        except (UnknownEncoding, DecodeError):
            return "the provider's answer cannot be decoded"
        except (Malformed, ValueError) as e:
            return str(e)
        return None


def lower_headers(headers: http.Headers) -> Mapping[str, str]:
    """Header fields by lower-case name, repeated ones joined by a comma."""
    found: dict[str, str] = {}
    for name, value in headers.fields:  # its own mapping looks each name up again
        key, text = name.lower().decode("latin-1"), value.decode("utf-8", "surrogateescape")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found
