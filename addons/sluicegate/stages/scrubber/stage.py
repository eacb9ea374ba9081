"""Scrubber: hides secrets in requests, and restores them in answers.

    detect         counts findings
    pseudonymize   sends placeholders instead of findings, and restores the values in the answer to the client
    block          rejects the request, naming the rule and the location

A body that cannot be parsed cannot be scanned, so it is rejected (400, 413). Only inference requests are rewritten: a
finding in any other request, in a URL or in the model name is rejected in pseudonymize as well as in block. In a header, it
is replaced by a keyed hash.

Values are restored in a tap outside the one that feeds saved flows, caches and logs: these see placeholders. A rejected
request, by this stage or an earlier one, leaves no body on its flow.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, NoReturn

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused, StoreError, describe
from sluicegate.core.identity.caller import Caller
from sluicegate.core.messages.facts import conversation_of, read_request
from sluicegate.core.redact.hide.conversation_id import conversation_id
from sluicegate.core.redact.hide.detect import detect_in_body, detect_in_url
from sluicegate.core.redact.hide.document_scan import DocumentScan, FirstFinding
from sluicegate.core.redact.hide.placeholder_factory import PlaceholderFactory, ValueKey
from sluicegate.core.redact.hide.placeholder_map import PlaceholderMap
from sluicegate.core.redact.restore.answer_restorer import answer_restorer
from sluicegate.core.redact.restore.content_blocks import RestoreReport
from sluicegate.core.redact.walk.body_shapes import Shape, shape_at
from sluicegate.core.redact.walk.decode_body import BodyTooLarge, decode_body
from sluicegate.core.redact.walk.json_document import JsonDocument, Unreadable
from sluicegate.core.redact.walk.json_walk import KeyCollision
from sluicegate.exchange.exchange import Exchange
from sluicegate.exchange.slots import Slot
from sluicegate.exchange.taps import OnError
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


@dataclass(slots=True)
class ScrubFields:
    """The scrubber's state of one exchange."""

    found: Counter[str] = field(default_factory=Counter)
    """Rule → number of values."""
    placeholders: PlaceholderMap | None = None
    """The placeholders that were sent; None if nothing was hidden."""
    report: RestoreReport = field(default_factory=RestoreReport)

    def record(self) -> dict[str, Any]:
        """For the audit record: counts only, no values."""
        report = self.report
        return {
            "found": dict(self.found),
            "restored": report.restored,
            "withheld": dict(report.withheld),
            "unknown": report.unknown,
        }


_STATE: Final = Slot[ScrubFields]("scrubber")


class Scrubber(Stage):
    name: ClassVar[str] = "scrubber"
    on_error: ClassVar[OnError] = "fail_closed"
    reads_websockets = True

    def __init__(self, settings: Settings, services: Services) -> None:
        super().__init__(settings, services)
        self.mode = settings.scrub.mode
        self.enforces = self.mode in ("pseudonymize", "block")
        self.reads_websockets = self.enforces
        self.reads_answers = self.mode == "pseudonymize"
        if self.mode != "off":
            self.toolkit = build_toolkit(settings, services)

    @classmethod
    def idle(cls, settings: Settings) -> bool:
        return settings.scrub.mode == "off"

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        if self.mode == "off" or not self._concerns(x):
            return None
        fields = _STATE.set(x, ScrubFields())
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
        """False for a plain-HTTP request through the regular door to a host that is not a provider's: passed unchanged."""
        return x.inference or x.door not in ("regular", "upstream") or canonical_host(x.origin[1]) in x.policy.decrypts

    def _detect(self, x: Exchange, fields: ScrubFields) -> None:
        finder = self.toolkit.finder
        try:
            body = self._body(x)
            found, _ = detect_in_body(body, _shape(x), finder) if body else (Counter[str](), None)
            fields.found = found + detect_in_url(x.request.path, finder)[0]
            fields.found.update(count_headers(x, finder))
        except Refused:
            pass  # an unreadable body is not counted
        except Exception as e:  # noqa: BLE001 - this mode never fails a request
            self.services.alarm("scrub.detect", exchange=x.id, error=describe(e))

    def _outside(self, x: Exchange, fields: ScrubFields) -> None:
        """Scrub URL, headers and names; reject a finding where a placeholder is not possible."""
        finder, blocks = self.toolkit.finder, self.mode == "block"
        fields.found, first = clear_url(x, finder)
        if first:
            _refuse(FirstFinding(first.rule, "the URL"))
        found, first = hide_headers(x, finder, None if blocks else self.toolkit.placeholder_factory(b""))
        fields.found.update(found)
        if first and blocks:
            _refuse(first)
        if first := withhold_names(x, finder):
            _refuse(first)

    def _other(self, x: Exchange, fields: ScrubFields) -> None:
        if body := self._body(x):
            found, first = detect_in_body(body, _shape(x), self.toolkit.finder)
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
        scan = DocumentScan(document.root, _shape(x), self.toolkit.finder, self.toolkit.known_values)
        fields.found.update(scan.found)
        if self.mode == "block":
            if scan.first:
                _refuse(scan.first)
            return None
        if scan.empty:
            return None
        session = conversation_of(x.request.headers, x.facts or read_request(body))
        factory = self.toolkit.placeholder_factory(conversation_id(session, document.root), _owner(x.caller))
        keys, numbers = scan.keys_to_number(factory), self.toolkit.numbers
        known: Mapping[ValueKey, int] | None = numbers.cached(factory.conversation, keys) if numbers and keys else {}
        if known is None:
            x.request.data.content = None  # not visible on the flow while we wait
            return self._hide_later(x, document, scan, factory, keys)
        _hide(x, fields, document, scan, factory, known)
        return None

    async def _hide_later(
        self, x: Exchange, document: JsonDocument, scan: DocumentScan, factory: PlaceholderFactory, keys: list[ValueKey]
    ) -> None:
        assert self.toolkit.numbers
        try:
            numbers = await self.toolkit.numbers.assign(factory.conversation, keys)
        except TooManyValues as e:
            raise Refused(400, str(e), should_retry=False) from None
        except StoreError as e:
            self.services.alarm("scrub.store", exchange=x.id, error=str(e))
            raise Refused(503, "placeholder numbers cannot be stored; the request was not sent", kind="api_error") from e
        _hide(x, _STATE[x], document, scan, factory, numbers)

    def _body(self, x: Exchange) -> bytes:
        """The decoded body. Raises Refused if it is too large, or cannot be decoded."""
        limit = int(self.settings.scrub.max_body)
        try:
            body = decode_body(x.request.data.content or b"", x.request.headers.get("content-encoding", ""), limit)
            return x.format.readable_body(body)
        except Unreadable as e:
            raise _unreadable(e) from None
        except BodyTooLarge:
            message = (
                f"the request body is larger than the limit of {limit:,} bytes for scanning (config key scrub.max_body)"
            )
            raise Refused(413, message, should_retry=False) from None

    def skipped(self, x: Exchange) -> None:
        """This request was not scanned, and its flow may be saved: remove its body and every finding outside it."""
        if self.enforces and self._concerns(x):
            clear(x, self.toolkit.finder)
            x.request.data.content = None

    def report(self, x: Exchange) -> Mapping[str, object]:
        fields = _STATE.find(x)
        return {"scrub": fields.record()} if fields else {}

    # -- the answer
    def answer(self, x: Exchange) -> None:
        """An inner stage's answer (the cache's) is restored here only if it is streamed (`x.source`)."""
        fields = _STATE.find(x)
        response = x.flow.response
        if self.mode != "pseudonymize" or fields is None or response is None or not x.in_messages:
            return
        if not 200 <= response.status_code < 300 or (x.answer is not None and x.source is None):
            return
        placeholders = fields.placeholders or PlaceholderMap(self.toolkit.grammar, {})
        kind, encoding = (response.headers.get(name, "") for name in ("content-type", "content-encoding"))
        restorer = answer_restorer(kind, encoding, placeholders, self.toolkit.tools, fields.report)
        if restorer is None:
            return
        if placeholders:
            x.taps.change(restorer, name=self.name)
        else:  # nothing to restore: only count unknown placeholders
            x.taps.observe(restorer.feed, name=self.name, done=restorer.end, on_error="skip")


def _owner(caller: Caller | None) -> str:
    """The owner of a conversation: team, user or virtual key, which outlive the credential that a client may renew."""
    if caller is None:
        return ""
    if caller.team or caller.user:
        return f"{'team' if caller.team else 'user'}:{caller.team or caller.user}"
    return f"key:{caller.key_id}" if caller.mode == "keys" else ""


def _shape(x: Exchange) -> Shape:
    return x.format.body_shape or shape_at(x.request.path)


def _unreadable(e: Unreadable) -> Refused:
    message = f"the request body cannot be scanned for secrets: {e}; send UTF-8 JSON without duplicate keys"
    return Refused(400, message, should_retry=False)


def _refuse(first: FirstFinding) -> NoReturn:
    where = f" at {first.path}" if first.path else ""
    message = f"sensitive data found (rule {first.rule}{where}); the request was not sent: remove the data and try again"
    raise Refused(400, message, should_retry=False)


def _withhold(x: Exchange) -> None:
    """The request is not sent: keep its content out of saved flows."""
    if x.facts and x.model is None:
        x.model = x.facts.model
    x.request.data.content = None


def _hide(
    x: Exchange,
    fields: ScrubFields,
    document: JsonDocument,
    scan: DocumentScan,
    factory: PlaceholderFactory,
    numbers: Mapping[ValueKey, int],
) -> None:
    """Rewrite the request with placeholders, and keep the map that restores them."""
    try:
        fields.placeholders = scan.hide(factory, numbers)
    except KeyCollision as e:
        raise Refused(400, f"the request cannot be rewritten with placeholders: {e}", should_retry=False) from None
    document.root = scan.root
    body, headers = x.format.sendable_body(document.render()), x.request.headers
    x.request.data.content = body
    for name in ("content-encoding", "transfer-encoding", *_DIGESTS):
        headers.pop(name, None)
    headers["content-length"] = str(len(body))
    if x.format.answers:
        headers["accept-encoding"] = "identity"
