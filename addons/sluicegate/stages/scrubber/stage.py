"""Scrubber: hides secrets in requests, and puts them back into answers.

    detect         counts what it finds
    pseudonymize   sends placeholders in its place; the answer gets the values back on its way to the client
    block          refuses the request, naming the rule and the place

What can not be read can not be scanned, so it does not pass (400, 413). Paths that are no inference calls are never
rewritten: a finding there, in a URL or in the model's name is refused in pseudonymize as well as in block. In headers it is
exchanged for a keyed hash.

Values come back in a tap, outside the one that keeps bytes for saved flows, caches and logs: these see placeholders. A
request that is refused, here or before, leaves no body on its flow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NoReturn

from sluicegate.core.errors import Refused, StoreError
from sluicegate.core.formats.facts import readable_body, sendable_body
from sluicegate.core.formats.surfaces import ANSWERS, Surface
from sluicegate.core.identity.caller import Caller
from sluicegate.core.messages.facts import read_request, session_of
from sluicegate.core.redact.hide.conversation_id import conversation_id
from sluicegate.core.redact.hide.detect import detect_in_body, detect_in_url
from sluicegate.core.redact.hide.document_scan import (
    DocumentScan,
    FirstFinding,
    PlaceholderFactory,
    ValueKey,
)
from sluicegate.core.redact.restore.answer_restorer import BodyTooLarge, answer_restorer, decode_body
from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.restore.text_restorer import PlaceholderMap
from sluicegate.core.redact.walk.json_document import JsonDocument, Unreadable
from sluicegate.core.redact.walk.json_walk import KeyCollision, WalkSurface
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.taps import Fate
from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.stages.base import Stage
from sluicegate.stages.scrubber.outside import (
    clear,
    clear_url,
    count_headers,
    hide_headers,
    withhold_names,
)
from sluicegate.stages.scrubber.toolkit import build_toolkit
from sluicegate.stores.placeholder_numbers.base import TooManyValues

__all__ = ["ScrubFields", "Scrubber"]

_DIGESTS: Final = ("content-md5", "content-digest", "repr-digest", "digest")
_WALKS: Final[Mapping[Surface, WalkSurface]] = {
    "messages": "messages",
    "count_tokens": "count_tokens",
    "bedrock": "messages",
    "bedrock_count": "count_tokens",
    "vertex": "messages",
    "vertex_count": "count_tokens",
}
_SURFACES: Final[tuple[tuple[str, WalkSurface], ...]] = (
    ("/messages/batches", "batches"),
    ("/chat/completions", "chat_completions"),
)


@dataclass(slots=True)
class ScrubFields:
    """What the scrubber keeps of one exchange."""

    found: Counter[str] = field(default_factory=Counter)
    """Rule → values."""
    names: PlaceholderMap | None = None
    """What was sent in the values' place."""
    report: RestoreReport = field(default_factory=RestoreReport)

    def record(self) -> dict[str, Any]:
        """For the audit record: counts, no values."""
        report = self.report
        return {
            "found": dict(self.found),
            "restored": report.restored,
            "withheld": dict(report.withheld),
            "unknown": report.unknown,
        }


class Scrubber(Stage):
    name: ClassVar[str] = "scrubber"
    fate: ClassVar[Fate] = "closed"
    reads_websockets = True

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.mode = settings.scrub.mode
        self.enforces = self.mode in ("pseudonymize", "block")
        self.reads_websockets = self.enforces
        self.reads_answers = self.mode == "pseudonymize"
        if self.mode != "off":
            self.kit = build_toolkit(settings, services)

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        return settings.scrub.mode == "off"

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        if self.mode == "off" or not self._concerns(x):
            return None
        fields = x.fields[self.name] = ScrubFields()
        try:
            if not self.enforces:
                self._detect(x, fields)
                return None
            self._outside(x, fields)
            if x.inference:
                return self._inference(x, fields)
            self._other(x, fields)
            return None
        except BaseException:
            _withhold(x)
            raise

    def _concerns(self, x: Exchange) -> bool:
        """A plain-HTTP request through the regular door to a host that is no provider's is none of our business."""
        return x.inference or x.door not in ("regular", "upstream") or x.origin[1].lower() in x.policy.decrypts

    def _detect(self, x: Exchange, fields: ScrubFields) -> None:
        finder = self.kit.finder
        try:
            body = self._body(x)
            found, _ = detect_in_body(body, _surface(x), finder) if body else (Counter[str](), None)
            fields.found = found + detect_in_url(x.request.path, finder)[0]
            fields.found.update(count_headers(x, finder))
        except Refused:
            pass  # what can not be read is not counted
        except Exception as e:  # noqa: BLE001 - this mode never stands in the way
            self.services.alarm("scrub.detect", exchange=x.id, error=type(e).__name__)

    def _outside(self, x: Exchange, fields: ScrubFields) -> None:
        """URL and headers; what can not be a name's place is refused."""
        finder, blocks = self.kit.finder, self.mode == "block"
        fields.found, first = clear_url(x, finder)
        if first:
            _refuse(FirstFinding(first.rule, "the URL"))
        found, first = hide_headers(x, finder, None if blocks else self.kit.naming(b""))
        fields.found.update(found)
        if first and blocks:
            _refuse(first)
        if first := withhold_names(x, finder):
            _refuse(first)

    def _other(self, x: Exchange, fields: ScrubFields) -> None:
        if body := self._body(x):
            found, first = detect_in_body(body, _surface(x), self.kit.finder)
            fields.found.update(found)
            if first:
                _refuse(first)

    def _inference(self, x: Exchange, fields: ScrubFields) -> Awaitable[None] | None:
        body = self._body(x)
        if not body:
            return None
        try:
            document = JsonDocument.read(body)
        except Unreadable as e:
            raise _unreadable(e) from None
        survey = DocumentScan(document.root, _surface(x), self.kit.finder, self.kit.sweeper)
        fields.found.update(survey.found)
        if self.mode == "block":
            if survey.first:
                _refuse(survey.first)
            return None
        if survey.empty:
            return None
        session = x.session_id or session_of(x.request.headers, read_request(body))
        naming = self.kit.naming(conversation_id(session, document.root), _whose(x.caller))
        asked, ranks = survey.asked(naming), self.kit.ranks
        known: Mapping[ValueKey, int] | None = ranks.known(naming.conversation, asked) if ranks and asked else {}
        if known is None:
            x.request.data.content = None  # while we wait nobody else shall see it
            return self._hide_later(x, document, survey, naming, asked)
        _hide(x, fields, document, survey, naming, known)
        return None

    async def _hide_later(
        self, x: Exchange, document: JsonDocument, survey: DocumentScan, naming: PlaceholderFactory, asked: list[ValueKey]
    ) -> None:
        assert self.kit.ranks
        try:
            given = await self.kit.ranks.ranks(naming.conversation, asked)
        except TooManyValues as e:
            raise Refused(400, str(e), should_retry=False) from None
        except StoreError as e:
            self.services.alarm("scrub.store", exchange=x.id, error=str(e))
            raise Refused(503, "the names of hidden values can not be stored; nothing was sent", kind="api_error") from e
        _hide(x, x.fields[self.name], document, survey, naming, given)

    def _body(self, x: Exchange) -> bytes:
        """The body, decoded. Refused where it is larger than may be, or its encoding is not known or wrong."""
        limit = int(self.settings.scrub.max_body)
        try:
            body = decode_body(x.request.data.content or b"", x.request.headers.get("content-encoding", ""), limit)
            return readable_body(x.surface, body)
        except Unreadable as e:
            raise _unreadable(e) from None
        except BodyTooLarge:
            message = f"the request body is larger than the {limit:,} bytes that are scanned (config key scrub.max_body)"
            raise Refused(413, message, should_retry=False) from None

    def skipped(self, x: Exchange) -> None:
        """Nobody has looked at this request, and its flow will be kept: it is kept without what may be in it."""
        if self.enforces and self._concerns(x):
            clear(x, self.kit.finder)
            x.request.data.content = None

    def report(self, x: Exchange) -> Mapping[str, object]:
        fields: ScrubFields | None = x.fields.get(self.name)
        return {"scrub": fields.record()} if fields else {}

    # -- the answer
    def answer(self, x: Exchange) -> None:
        """An answer of a stage further in (a cache's) comes through here only if it arrives over time (`x.source`)."""
        fields: ScrubFields | None = x.fields.get(self.name)
        response = x.flow.response
        if self.mode != "pseudonymize" or fields is None or response is None or not x.in_messages:
            return
        if not 200 <= response.status_code < 300 or (x.answer is not None and x.source is None):
            return
        names = fields.names or PlaceholderMap(self.kit.grammar, {})
        kind, encoding = (response.headers.get(name, "") for name in ("content-type", "content-encoding"))
        restorer = answer_restorer(kind, encoding, names, self.kit.tools, fields.report)
        if restorer is None:
            return
        if names:
            x.taps.change(restorer, name=self.name)
        else:  # nothing can come back: only count the names that are not known
            x.taps.observe(restorer.feed, name=self.name, done=restorer.end, fate="aside")


def _whose(caller: Caller | None) -> str:
    """Whose conversation it is, as far as callers are told apart by what outlives a credential, which clients renew."""
    if caller is None:
        return ""
    if caller.team or caller.user:
        return f"{'team' if caller.team else 'user'}:{caller.team or caller.user}"
    return f"key:{caller.key_id}" if caller.mode == "keys" else ""


def _surface(x: Exchange) -> WalkSurface:
    if known := _WALKS.get(x.surface):
        return known
    path = x.request.path.partition("?")[0].rstrip("/")
    return next((surface for end, surface in _SURFACES if path.endswith(end)), "other")


def _unreadable(e: Unreadable) -> Refused:
    message = f"the request body can not be scanned for secrets: {e}; send UTF-8 JSON in which no object has a key twice"
    return Refused(400, message, should_retry=False)


def _refuse(first: FirstFinding) -> NoReturn:
    where = f" at {first.path}" if first.path else ""
    message = f"the request holds what must not leave (rule {first.rule}{where}); nothing was sent: remove it and try again"
    raise Refused(400, message, should_retry=False)


def _withhold(x: Exchange) -> None:
    """The request goes nowhere, and what is in it stays out of saved flows."""
    if x.facts and x.model is None:
        x.model = x.facts.model
    x.request.data.content = None


def _hide(
    x: Exchange,
    fields: ScrubFields,
    document: JsonDocument,
    survey: DocumentScan,
    naming: PlaceholderFactory,
    ranks: Mapping[ValueKey, int],
) -> None:
    """Put placeholders into the request, and what restores them on the exchange."""
    try:
        fields.names = survey.hide(naming, ranks)
    except KeyCollision as e:
        raise Refused(400, f"the request can not be rewritten: {e}", should_retry=False) from None
    document.root = survey.root
    body, headers = sendable_body(x.surface, document.render()), x.request.headers
    x.request.data.content = body
    for name in ("content-encoding", "transfer-encoding", *_DIGESTS):
        headers.pop(name, None)
    headers["content-length"] = str(len(body))
    if x.surface in ANSWERS:
        headers["accept-encoding"] = "identity"
