"""Chat Completions: OpenAI, Groq, Cerebras, Mistral, and every base URL that speaks it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused, error_type
from sluicegate.core.formats.chat.facts import wants_usage
from sluicegate.core.formats.chat.usage import WithoutUsageChunk
from sluicegate.core.messages.facts import rename_model
from sluicegate.core.messages.tokens import estimate_input_tokens
from sluicegate.core.translate.pairs import (
    FLAVOURS,
    Malformed,
    MessagesToChat,
    RequestState,
    TranslatedRequest,
    Translator,
    chat_fault,
    fault_to_messages,
    flavour_of,
    messages_status,
)
from sluicegate.core.wire.json_object import edited, loads, top
from sluicegate.providers.auth.held_keys import bearer
from sluicegate.providers.base import (
    Credential,
    Estimated,
    Origin,
    ProviderRequest,
    ProviderSurface,
    ResponsePlan,
    ResponsePlanner,
    UpstreamRequest,
    Verdict,
    bearer_token,
    origin_of,
)
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.plain import plain_fields

__all__ = ["OpenAI", "classify_chat", "lost", "read_chat"]

_PATH: Final = "/chat/completions"
_ANTHROPICS: Final = b"sk-ant-"
_OPENAI_FIELDS: Final = frozenset({b"openai-organization", b"openai-project", b"idempotency-key"})
_SPENT: Final = frozenset({"insufficient_quota", "billing_not_active", "billing_hard_limit_reached"})


class OpenAI:
    """Requests of the Messages API are translated; those of Chat Completions go as they are."""

    kind = "openai"
    pings = False
    takes_untranslated: frozenset[ProviderSurface] = frozenset({"chat_completions"})
    warning: str | None = None

    def __init__(self, context: ProviderContext) -> None:
        self.name = context.name
        self._origin = origin_of(context.settings.resolved_base_url)
        self.hosts = frozenset({canonical_host(self._origin.host)})
        configured = context.keys()
        self.models_path: str | None = f"{self._origin.path}/models"
        self.sources = tuple(bearer(key) for key in configured)
        flavour = FLAVOURS.get(context.settings.provider or "") or flavour_of(self._origin.host)
        self._translation = MessagesToChat(flavour, context.unsupported)
        self._drops = flavour.drops

    def origin(self, region: str | None = None) -> Origin:
        return self._origin

    def prepare(
        self, request: ProviderRequest, *, model: str | None = None, region: str | None = None
    ) -> UpstreamRequest | Estimated:
        model = model or (request.facts.model if request.facts else None) or ""
        if request.surface == "count_tokens":
            return Estimated(estimate_input_tokens(request.body))
        if request.surface == "chat_completions":
            return self._own(request, model)
        try:
            translated = self._translation.request(request.body, model=model)
        except Malformed as e:
            raise Refused(400, str(e), should_retry=False) from None
        fields = plain_fields(request.fields, "text/event-stream" if request.stream else "application/json")
        plan_response = read_chat(self._translation, translated.state)
        return UpstreamRequest(self._origin.path + _PATH, fields, translated.body, plan_response, lost(translated, request))

    def _own(self, request: ProviderRequest, model: str) -> UpstreamRequest:
        """A request of Chat Completions: renamed if the route names another model, else the same bytes.

        A stream reports its usage only on request: the gate asks for it, and removes the chunk from the client's answer.
        """
        body, plan_response = request.body, _own_answer
        if model and request.facts and request.facts.model != model:
            body = rename_model(body, model)
        if request.stream and "stream_options" not in self._drops and not wants_usage(body):
            body, plan_response = _asking_for_usage(body), _without_usage
        accept = "text/event-stream" if request.stream else "application/json"
        fields = plain_fields(request.fields, accept, also=_OPENAI_FIELDS)
        return UpstreamRequest(self._origin.path + _PATH, fields, body, plan_response)

    def forwarded(self, presented: Credential, host: str) -> Credential:
        """A client's token, from any header; never one of Anthropic's, and no cookie."""
        key = next((value for name, value in presented if name.lower() in (b"x-api-key", b"api-key")), None)
        token = key or bearer_token(presented)
        if not token or _ANTHROPICS in token:
            return ()
        return ((b"authorization", b"Bearer " + token),)

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict | None:
        return classify_chat(status, body)


def lost(translated: TranslatedRequest, request: ProviderRequest) -> tuple[str, ...]:
    """The fields that a request lost on its way to Chat Completions, and the flags of its header."""
    return tuple(dict.fromkeys((*translated.dropped, *(["betas"] if request.betas else []))))


def read_chat(translation: Translator, state: RequestState) -> ResponsePlanner:
    """How the answer to a translated request is read."""

    def answered(status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
        answer = translation.answer(status, headers.get("content-type", ""), state, id=id, now_s=now_s)
        fields = {"request-id": found} if (found := headers.get("x-request-id")) else {}
        return ResponsePlan(answer.status, answer.content_type, answer.transform, "chat", fields, answer.whole)

    return answered


def classify_chat(status: int, body: bytes) -> Verdict | None:
    """An error of Chat Completions as one of the Messages API."""
    if status < 400:
        return None
    fault = chat_fault(loads(body)) if body else None
    shown = messages_status(status)
    if fault is None:
        return Verdict(shown, error_type(shown), f"the provider answered {status} without an error message")
    error = fault_to_messages(fault, shown)["error"]
    return Verdict(shown, error["type"], error["message"], fault.code in _SPENT)


def _asking_for_usage(body: bytes) -> bytes:
    given = loads((top(body) or {}).get("stream_options", b"null"))
    return edited(body, put={"stream_options": {**(given if isinstance(given, dict) else {}), "include_usage": True}})


def _own_answer(status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
    return ResponsePlan(status, usage="chat")


def _without_usage(status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
    streamed = headers.get("content-type", "").startswith("text/event-stream")
    return ResponsePlan(status, transform=WithoutUsageChunk() if streamed else None, usage="chat")
