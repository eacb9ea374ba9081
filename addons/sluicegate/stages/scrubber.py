"""Scrubber: hides secrets in requests, and puts them back into answers.

    detect         counts what it finds
    pseudonymize   sends placeholders in its place; the answer gets the values back on its way to the client
    block          refuses the request, naming the rule and the place

What can not be read can not be scanned, so it does not pass (400, 413). Paths that are no inference calls are never
rewritten: a finding there, or in a URL, is refused in pseudonymize as well as in block.

Values come back in a tap, outside the one that keeps bytes for saved flows, caches and logs: these see placeholders. A
request that is refused leaves no body on its flow.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Awaitable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Final, NoReturn

from sluicegate.core.encoding import DecodeError, Decoder, UnknownEncoding, decoder
from sluicegate.core.messages import read_request, session_of
from sluicegate.core.redact.answer import DocumentRestorer
from sluicegate.core.redact.blocks import Report
from sluicegate.core.redact.conversation import conversation_of
from sluicegate.core.redact.document import Document, Unreadable
from sluicegate.core.redact.finder import RulesError, build_finder
from sluicegate.core.redact.hide import First, Naming, Survey, Sweeper
from sluicegate.core.redact.placeholders import GRAMMARS
from sluicegate.core.redact.restore import Names
from sluicegate.core.redact.stream import StreamRestorer
from sluicegate.core.redact.tools import ToolPolicy
from sluicegate.core.redact.walk import Collision, WalkSurface
from sluicegate.core.redact.whole import look_at_body, look_at_url
from sluicegate.errors import Refused, StoreError
from sluicegate.exchange import Exchange
from sluicegate.services import Services, state_folder
from sluicegate.settings import ConfigError, SecretError, Settings
from sluicegate.stages.base import Stage
from sluicegate.stores.ranks import Ranks, TooManyValues
from sluicegate.stores.scrub_key import own_key, read_key
from sluicegate.stores.sqlite_ranks import shared_ranks
from sluicegate.taps import Fate, Transform

__all__ = ["ScrubFields", "Scrubber"]

_SLICE: Final = 8192
"""Bytes of an encoded body that are decoded at once: a bomb is noticed before it is held."""
_DIGESTS: Final = ("content-md5", "content-digest", "repr-digest", "digest")
_SURFACES: Final[tuple[tuple[str, WalkSurface], ...]] = (
    ("/messages/batches", "batches"),
    ("/chat/completions", "chat_completions"),
)


@dataclass(slots=True)
class ScrubFields:
    """What the scrubber keeps of one exchange."""

    found: Counter[str] = field(default_factory=Counter)
    """Rule → values."""
    names: Names | None = None
    """What was sent in the values' place."""
    report: Report = field(default_factory=Report)

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
        scrub = settings.scrub
        self.mode = scrub.mode
        self.enforces = scrub.mode in ("pseudonymize", "block")
        self.reads_websockets = self.enforces
        if self.mode == "off":
            return
        try:
            self.finder = build_finder(
                rules=scrub.rules,
                salt=os.urandom(32),
                pii=scrub.pii,
                patterns=scrub.patterns,
                read=lambda path: Path(path).expanduser().read_bytes(),
            )
        except (RulesError, OSError) as e:
            raise ConfigError("scrub.rules", "", None, str(e)) from e
        self.grammar = GRAMMARS[scrub.style]
        self.tools = ToolPolicy(scrub.restore.tools)
        self.sweeper = Sweeper(self.grammar) if self.mode == "pseudonymize" else None
        self.key = self._key()
        self.ranks: Ranks | None = None
        if self.mode == "pseudonymize" and scrub.numbering == "ranked":
            self.ranks = shared_ranks(state_folder(settings) / "conversations.sqlite")

    def _key(self) -> bytes:
        """The configured key; without one, our own, which only this machine's processes share."""
        given = self.settings.scrub.key
        try:
            if given is not None:
                return read_key(given.resolve(self.services.environ))
            if self.mode != "pseudonymize":
                return b""
            if self.settings.store.startswith("redis"):
                raise ValueError("several machines share the store, so they must be given one key; set it")
            return own_key(state_folder(self.settings))
        except SecretError as e:
            raise ConfigError("scrub.key", "", None, str(e)) from e
        except ValueError as e:
            raise ConfigError("scrub.key", "", None, str(e)) from e

    # -- the request
    def request(self, x: Exchange) -> Awaitable[None] | None:
        if self.mode == "off" or not self._concerns(x):
            return None
        fields = x.fields[self.name] = ScrubFields()
        try:
            if not self.enforces:
                self._detect(x, fields)
                return None
            self._look_at_url(x, fields)
            if x.inference:
                return self._inference(x, fields)
            self._other(x, fields)
            return None
        except BaseException:
            _withhold(x)
            raise

    def _concerns(self, x: Exchange) -> bool:
        """A plain-HTTP request through the regular door to a host that is no provider's is none of our business."""
        return x.inference or x.door == "reverse" or x.origin[1].lower() in x.policy.decrypts

    def _detect(self, x: Exchange, fields: ScrubFields) -> None:
        try:
            body = self._body(x)
            found, _ = look_at_body(body, _surface(x), self.finder) if body else (Counter[str](), None)
            fields.found = found + look_at_url(x.request.path, self.finder)[0]
        except Refused:
            pass  # what can not be read is not counted
        except Exception as e:  # noqa: BLE001 - this mode never stands in the way
            self.services.alarm("scrub.detect", exchange=x.id, error=type(e).__name__)

    def _look_at_url(self, x: Exchange, fields: ScrubFields) -> None:
        fields.found, first = look_at_url(x.request.path, self.finder)
        if first:
            bare = x.request.path.partition("?")[0]
            in_path = look_at_url(bare, self.finder)[1] is not None
            x.request.data.path = b"/(withheld)" if in_path else bare.encode("utf-8", "surrogateescape")
            _refuse(First(first.rule, "the URL"))

    def _inference(self, x: Exchange, fields: ScrubFields) -> Awaitable[None] | None:
        body = self._body(x)
        if not body:
            return None
        try:
            document = Document.read(body)
        except Unreadable as e:
            message = f"the request body can not be scanned for secrets: {e}; send UTF-8 JSON without duplicate keys"
            raise Refused(400, message, should_retry=False) from None
        survey = Survey(document.root, _surface(x), self.finder, self.sweeper)
        fields.found = survey.found
        if self.mode == "block":
            if survey.first:
                _refuse(survey.first)
            return None
        if survey.empty:
            return None
        session = x.session_id or session_of(x.request.headers, read_request(body))
        naming = Naming(self.key, conversation_of(session, document.root), self.grammar, self.ranks is not None)
        asked = survey.asked(naming)
        ranks = self.ranks.known(naming.conversation, asked) if self.ranks and asked else {}
        if ranks is None:
            x.request.data.content = None  # while we wait nobody else shall see it
            return self._hide_later(x, fields, document, survey, naming)
        self._hide(x, fields, document, survey, naming, ranks)
        return None

    async def _hide_later(
        self, x: Exchange, fields: ScrubFields, document: Document, survey: Survey, naming: Naming
    ) -> None:
        assert self.ranks
        try:
            ranks = await self.ranks.ranks(naming.conversation, survey.asked(naming))
        except TooManyValues as e:
            raise Refused(400, str(e), should_retry=False) from None
        except StoreError as e:
            self.services.alarm("scrub.store", exchange=x.id, error=str(e))
            raise Refused(503, "the names of hidden values can not be stored; nothing was sent", kind="api_error") from e
        self._hide(x, fields, document, survey, naming, ranks)

    def _hide(
        self,
        x: Exchange,
        fields: ScrubFields,
        document: Document,
        survey: Survey,
        naming: Naming,
        ranks: Any,
    ) -> None:
        try:
            fields.names = survey.hide(naming, ranks)
        except Collision as e:
            raise Refused(400, f"the request can not be rewritten: {e}", should_retry=False) from None
        document.root = survey.root
        _replace_body(x, document.render())
        if x.surface == "messages":
            x.request.headers["accept-encoding"] = "identity"

    def _other(self, x: Exchange, fields: ScrubFields) -> None:
        if body := self._body(x):
            fields.found, first = look_at_body(body, _surface(x), self.finder)
            if first:
                _refuse(first)

    def _body(self, x: Exchange) -> bytes:
        """The body, decoded. Refused where it is larger than may be, or its encoding is not known or wrong."""
        raw = x.request.data.content or b""
        limit = int(self.settings.scrub.max_body)
        encoding = x.request.headers.get("content-encoding", "")
        if encoding.strip().lower() in ("", "identity"):
            out = [raw]
        else:
            out = []
            try:
                unpack = decoder(encoding)
                size = 0
                for at in range(0, len(raw), _SLICE):
                    out.append(unpack.feed(raw[at : at + _SLICE]))
                    size += len(out[-1])
                    if size > limit:
                        break
                else:
                    out.append(unpack.end())
            except (UnknownEncoding, DecodeError) as e:
                raise Refused(400, f"the request body can not be scanned for secrets: {e}", should_retry=False) from None
        body = b"".join(out) if len(out) != 1 else out[0]
        if len(body) > limit:
            message = f"the request body is larger than the {limit:,} bytes that are scanned (config key scrub.max_body)"
            raise Refused(413, message, should_retry=False)
        return body

    # -- the answer
    def answer(self, x: Exchange) -> None:
        fields: ScrubFields | None = x.fields.get(self.name)
        response = x.flow.response
        if self.mode != "pseudonymize" or fields is None or response is None or x.surface != "messages":
            return
        if not 200 <= response.status_code < 300 or (x.answer is not None and x.source is None):
            return
        names = fields.names or Names(self.grammar, {})
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        restorer: Transform
        if kind == "text/event-stream":
            restorer = StreamRestorer(names, self.tools, fields.report)
        elif kind == "application/json" or kind.endswith("+json"):
            restorer = DocumentRestorer(names, self.tools, fields.report)
        else:
            return
        encoding = response.headers.get("content-encoding", "")
        if encoding.strip().lower() not in ("", "identity"):
            restorer = _Unpacked(decoder(encoding), restorer)
        if names:
            x.taps.change(restorer, name=self.name)
        else:  # nothing can come back: only count the names that are not known
            x.taps.observe(restorer.feed, name=self.name, done=restorer.end, fate="aside")


class _Unpacked:
    """An encoded answer, though none was asked for: decoded, then restored."""

    def __init__(self, unpack: Decoder, inner: Transform) -> None:
        self._unpack, self._inner = unpack, inner

    def feed(self, data: bytes) -> bytes:
        plain = self._unpack.feed(data)
        return self._inner.feed(plain) if plain else b""

    def end(self) -> bytes:
        rest = self._unpack.end()
        return (self._inner.feed(rest) if rest else b"") + self._inner.end()


def _surface(x: Exchange) -> WalkSurface:
    if x.surface == "messages" or x.surface == "count_tokens":
        return x.surface
    path = x.request.path.partition("?")[0].rstrip("/")
    return next((surface for end, surface in _SURFACES if path.endswith(end)), "other")


def _refuse(first: First) -> NoReturn:
    where = f" at {first.path}" if first.path else ""
    message = f"the request holds what must not leave (rule {first.rule}{where}); nothing was sent: remove it and try again"
    raise Refused(400, message, should_retry=False)


def _withhold(x: Exchange) -> None:
    """The request goes nowhere, and what is in it stays out of saved flows."""
    if x.facts and x.model is None:
        x.model = x.facts.model
    x.request.data.content = None


def _replace_body(x: Exchange, body: bytes) -> None:
    headers = x.request.headers
    x.request.data.content = body
    for name in ("content-encoding", "transfer-encoding", *_DIGESTS):
        headers.pop(name, None)
    headers["content-length"] = str(len(body))
