"""GitHub Copilot: unofficial, off unless the configuration consents, for one user's own account.

The login (`token`, or the one that `sluicegate copilot login` stored) is exchanged for a token that is valid for half an
hour and is sent to GitHub's own hosts only. Claude models get requests of the Messages API, others Chat Completions.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sluicegate.core.addresses import canonical_host
from sluicegate.core.errors import Refused
from sluicegate.core.formats.messages.attribution import without_attribution
from sluicegate.core.messages.facts import rename_model
from sluicegate.core.messages.thinking import without_unsigned_thinking
from sluicegate.core.messages.tokens import estimate_input_tokens
from sluicegate.core.translate.pairs import FLAVOURS, Malformed, MessagesToChat
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.core.wire.json_object import loads, top
from sluicegate.providers.auth.held_keys import (
    CredentialError,
    Fetched,
    Fresh,
    no_credential,
)
from sluicegate.providers.base import (
    Credential,
    Estimated,
    Origin,
    ProviderRequest,
    ProviderSurface,
    ResponsePlan,
    ResponsePlanner,
    SigningInput,
    UpstreamRequest,
    Verdict,
    origin_of,
    pass_through,
)
from sluicegate.providers.context import ProviderContext
from sluicegate.providers.fetch import Fetch, fetch_json
from sluicegate.providers.openai import classify_chat, lost, read_chat
from sluicegate.providers.plain import plain_fields

__all__ = ["LOGIN_FILE", "WARNING", "Copilot", "is_githubs"]

WARNING: Final = (
    "provider {name} uses unofficial, undocumented endpoints of GitHub Copilot: not supported by GitHub, it may breach its "
    "terms and get the account suspended. One user's own account only"
)
LOGIN_FILE: Final = "copilot.token"
EXCHANGE: Final = "https://api.github.com/copilot_internal/v2/token"
BASE: Final = "https://api.githubcopilot.com"
EDITOR: Final[dict[str, str]] = {
    "copilot-integration-id": "vscode-chat",
    "editor-version": "vscode/1.105.0",
    "editor-plugin-version": "copilot-chat/0.32.0",
    "user-agent": "GitHubCopilotChat/0.32.0",
    "x-github-api-version": "2025-10-01",
}
_CLAUDE: Final = re.compile(r"claude-", re.IGNORECASE)
_DASHED: Final = re.compile(r"(claude-(?:[a-z]+-)?\d)-(\d{1,2})(?=-|$)")
_DATED: Final = re.compile(r"-\d{8}$")
_EARLY_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class _Session:
    token: str
    base: Origin


def is_githubs(host: str) -> bool:
    """Whether a host is GitHub's own, so that its tokens may go there."""
    host = canonical_host(host)
    return host == "api.github.com" or host == "githubcopilot.com" or host.endswith(".githubcopilot.com")


class Copilot:
    kind = "copilot"
    pings = False
    takes_untranslated: frozenset[ProviderSurface] = frozenset({"chat_completions"})

    def __init__(self, context: ProviderContext, fetch: Fetch = fetch_json) -> None:
        if not context.settings.consent:
            raise ValueError(f"providers.{context.name}.consent: kind copilot needs it to be true")
        self.name = context.name
        self.warning: str | None = WARNING.format(name=context.name)
        self.hosts = frozenset({"api.githubcopilot.com"})
        self.models_path: str | None = "/models"
        self._fetched = Fetched("Copilot token", _exchange(context, fetch), context.clock)
        self.sources = (_Login(context.name, self._fetched),)
        self._translation = MessagesToChat(FLAVOURS["openai"], context.unsupported)

    def origin(self, region: str | None = None) -> Origin:
        """As the token exchange answered: business and enterprise accounts have hosts of their own."""
        try:
            return self._fetched.value.base
        except CredentialError:
            return origin_of(BASE)

    def prepare(
        self, request: ProviderRequest, *, model: str | None = None, region: str | None = None
    ) -> UpstreamRequest | Estimated:
        model = dotted(model or (request.facts.model if request.facts else None) or "")
        base = self.origin().path
        fields = self._fields(request)
        if request.surface == "count_tokens":
            return Estimated(estimate_input_tokens(request.body))
        if request.surface == "messages" and _CLAUDE.match(model):
            body = rename_model(without_attribution(without_unsigned_thinking(request.body)), model)
            own = tuple(f for f in request.fields if f[0].lower() in (b"anthropic-beta", b"anthropic-version"))
            return UpstreamRequest(
                f"{base}/v1/messages", (*fields, *own, (b"openai-intent", b"messages-proxy")), body, pass_through
            )
        fields = (*fields, (b"openai-intent", b"conversation-panel"))
        if request.surface == "chat_completions":
            return UpstreamRequest(f"{base}/chat/completions", fields, rename_model(request.body, model), _chat)
        try:
            translated = self._translation.request(request.body, model=model)
        except Malformed as e:
            raise Refused(400, str(e), should_retry=False) from None
        plan_response: ResponsePlanner = read_chat(self._translation, translated.state)
        return UpstreamRequest(
            f"{base}/chat/completions", fields, translated.body, plan_response, lost(translated, request)
        )

    def _fields(self, request: ProviderRequest) -> HeaderFields:
        accept = "text/event-stream" if request.stream else "application/json"
        plain = tuple(f for f in plain_fields(request.fields, accept) if f[0].lower() != b"user-agent")
        more = {**EDITOR, "x-request-id": str(uuid.uuid4()), "x-initiator": initiator(request.body)}
        return (*plain, *((k.encode(), v.encode()) for k, v in more.items()))

    def forwarded(self, presented: Credential, host: str) -> Credential:
        raise no_credential(self.name, "sign in with `sluicegate copilot login`, or set providers.<name>.token")

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> Verdict | None:
        value = loads(body) if body else None
        if isinstance(value, dict) and value.get("type") == "error":
            return None
        return classify_chat(status, body)


def _chat(status: int, headers: Mapping[str, str], *, id: str, now_s: int) -> ResponsePlan:
    return ResponsePlan(status, usage="chat")


def dotted(model: str) -> str:
    """Anthropic's name of a model as Copilot has it: `claude-haiku-4-5-20251001` → `claude-haiku-4.5`."""
    return _DASHED.sub(r"\1.\2", _DATED.sub("", model)) if _CLAUDE.match(model) else model


def initiator(body: bytes) -> str:
    """agent: the last message holds tool results only; user: it holds something else."""
    messages = loads((top(body) or {}).get("messages", b"null"))
    last: Any = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict):
        return "user"
    content = last.get("content")
    results = (
        isinstance(content, list)
        and content
        and all(isinstance(b, dict) and b.get("type") == "tool_result" for b in content)
    )
    return "agent" if last.get("role") == "tool" or results else "user"


class _Login:
    """The exchanged token; it is sent to GitHub's hosts only."""

    waits = True

    def __init__(self, name: str, fetched: Fetched[_Session]) -> None:
        self.name = name
        self._fetched = fetched

    async def ready(self) -> None:
        await self._fetched.ready()

    def fields(self, request: SigningInput) -> Credential:
        if not request.tls or not is_githubs(request.host):
            raise CredentialError(f"a Copilot token is never sent to {request.host}")
        return ((b"authorization", b"Bearer " + self._fetched.value.token.encode()),)

    def refused(self) -> bool:
        self._fetched.forget()
        return True


def _exchange(context: ProviderContext, fetch: Fetch) -> Callable[[], Fresh[_Session]]:
    def exchange() -> Fresh[_Session]:
        headers = {**EDITOR, "authorization": f"token {_login(context)}"}
        return _session(fetch(EXCHANGE, headers=headers), context.clock())

    return exchange


def _login(context: ProviderContext) -> str:
    if context.settings.token is not None:
        return context.settings.token.resolve(context.environ)
    if keys := context.keys():
        return keys[0].value
    path = context.state_dir / LOGIN_FILE if context.state_dir else Path(LOGIN_FILE)
    try:
        return path.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        raise CredentialError("no Copilot login was found; run `sluicegate copilot login`") from None


def _session(answer: Mapping[str, Any], now: float) -> Fresh[_Session]:
    token, expires, refresh = answer.get("token"), answer.get("expires_at"), answer.get("refresh_in")
    if not isinstance(token, str) or not token or type(expires) is not int:
        raise CredentialError("GitHub's answer has no token with an expires_at")
    endpoints = answer.get("endpoints")
    base = endpoints.get("api") if isinstance(endpoints, dict) else None
    origin = origin_of(base if isinstance(base, str) else BASE)
    if not origin.tls or not is_githubs(origin.host):
        raise CredentialError("GitHub's answer names a host that is not GitHub's")
    after_s = refresh - _EARLY_S if type(refresh) is int and refresh > 2 * _EARLY_S else (expires - now) / 2
    return Fresh(_Session(token, origin), now + after_s, float(expires))
