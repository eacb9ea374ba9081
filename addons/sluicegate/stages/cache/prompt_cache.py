"""The provider's prompt cache: markers for clients that set none, and a word when a cached prefix is lost."""

from __future__ import annotations

import hashlib
import time
from collections import OrderedDict
from typing import Any, Final

from sluicegate.core.messages.usage import Usage
from sluicegate.core.prompt_cache.drift import (
    Finding,
    Turn,
    finding_of,
    fingerprint,
    same_line,
)
from sluicegate.core.prompt_cache.inject import injected
from sluicegate.exchange.exchange import Exchange
from sluicegate.stages.cache.plan import CachePlan

__all__ = ["Sessions", "inject", "told", "turn_of"]

_MAX_SESSIONS: Final = 300
_MAX_LINES: Final = 6
_MAX_BYTES: Final = 64 * 1024 * 1024


def inject(x: Exchange, plan: CachePlan) -> bool:
    """Put cache_control into the request's body where the client set none; True where that was done."""
    if plan.inject == "off" or not x.format.takes_cache_markers or x.answer is not None:
        return False
    if plan.markers == {"none"} or _is_claude_code(x):
        return False
    automatic = "blocks" not in plan.markers
    always = plan.inject == "always"
    changed = injected(x.request.data.content or b"", plan.inject_ttl, always=always, automatic=automatic)
    if changed is None:
        return False
    x.request.data.content = changed
    x.request.headers["content-length"] = str(len(changed))
    return True


def _is_claude_code(x: Exchange) -> bool:
    headers = x.request.headers
    return headers.get("user-agent", "").startswith("claude-cli/") or "x-claude-code-session-id" in headers


def turn_of(x: Exchange, usage: Usage, model: str) -> Turn | None:
    """What is remembered of a request that was answered; None where nothing can be said of it."""
    body = x.request.data.content or b""
    if not usage.known or (printed := fingerprint(body)) is None:
        return None
    written = usage.cache_write_5m_tokens + usage.cache_write_1h_tokens
    return Turn(
        body,
        printed,
        model,
        f"{x.routing.target.provider}@{x.routing.target}" if x.routing.target else "",
        usage.cache_read_tokens,
        written,
        x.first_byte or time.monotonic(),
        "1h" if usage.cache_write_1h_tokens else "5m",
    )


class Sessions:
    """The last request of each line of conversation, in memory only; bounded by sessions and by bytes."""

    def __init__(self, max_bytes: int = _MAX_BYTES) -> None:
        self._max = max_bytes
        self._bytes = 0
        self._lines: OrderedDict[bytes, list[Turn]] = OrderedDict()

    def next(self, session: str | None, agent: str | None, tenant: bytes, turn: Turn) -> Finding | None:
        """Compare a turn with the one before it on its line, and remember it in its place.

        Without a session a conversation is told by its first message.
        """
        own = session.encode("utf-8", "replace") if session else tenant + turn.print.opening
        key = hashlib.blake2b(b"\0".join((own, (agent or "").encode("utf-8", "replace"))), digest_size=16).digest()
        lines = self._lines.setdefault(key, [])
        self._lines.move_to_end(key)
        before = self._before(lines, turn)
        if before:
            lines.remove(before)
            self._bytes -= len(before.body)
        lines.append(turn)
        self._bytes += len(turn.body)
        self._trim(lines)
        return finding_of(before, turn) if before else None

    def _before(self, lines: list[Turn], turn: Turn) -> Turn | None:
        alike = [t for t in lines if t.print == turn.print or (t.model == turn.model and same_line(t.print, turn.print))]
        return max(alike, key=lambda t: (t.model == turn.model, t.print.opening == turn.print.opening), default=None)

    def _trim(self, lines: list[Turn]) -> None:
        if len(lines) > _MAX_LINES:
            self._bytes -= len(lines.pop(0).body)
        while self._lines and (self._bytes > self._max or len(self._lines) > _MAX_SESSIONS):
            _, gone = self._lines.popitem(last=False)
            self._bytes -= sum(len(t.body) for t in gone)


def told(finding: Finding, lost_usd: float | None, *, quote: bool) -> dict[str, Any]:
    """A finding for records. What it quotes of prompts is told where the operator wants snippets."""
    quotes = {"before": finding.before, "now": finding.now} if quote and finding.before is not None else {}
    return {
        "reason": finding.reason,
        "what": finding.told(),
        "where": finding.where,
        "byte": finding.byte,
        "lost_tokens": finding.lost_tokens,
        "lost_usd": None if lost_usd is None else round(lost_usd, 8),
        **quotes,
    }
