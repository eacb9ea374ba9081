"""Which beta flags a provider accepts, as dated lists, and what the configuration says instead."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from sluicegate.core.routing.routes import matches_any
from sluicegate.core.wire.header_fields import HeaderFields
from sluicegate.settings.providers import Betas

__all__ = ["BEDROCK_BETAS", "VERTEX_BETAS", "BetaList", "flags_of", "without_flags"]

_HEADER: Final = b"anthropic-beta"


@dataclass(frozen=True, slots=True)
class BetaList:
    """The flags of one provider; `*` and `?` stand for any part of a flag."""

    as_of: str
    source: str
    accepts: tuple[str, ...] = ("*",)
    rejects: tuple[str, ...] = ()
    renamed: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """A flag → what it is called there."""

    def of(self, flags: Iterable[str], configured: Betas | None = None) -> tuple[str, ...]:
        """The client's flags that the provider accepts, under its own names. `configured` goes before the list."""
        allow, deny = (configured.allow, configured.deny) if configured else ((), ())
        renamed = dict(self.renamed)
        named = [name for flag in flags if not matches_any(deny, flag) for name in self._names(flag, allow, renamed)]
        return tuple(dict.fromkeys(name for name in named if not matches_any(deny, name)))

    def _names(self, flag: str, allow: Sequence[str], renamed: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
        if matches_any(allow, flag):
            return (flag,)
        names = renamed.get(flag, (flag,))
        return tuple(
            name
            for name in names
            if matches_any(allow, name) or (matches_any(self.accepts, name) and not matches_any(self.rejects, name))
        )


_TOOL_SEARCH: Final = (("advanced-tool-use-2025-11-20", ("tool-search-tool-2025-10-19",)),)


def _dated(*names: str) -> tuple[str, ...]:
    """Patterns for every date of these flags."""
    return tuple(f"{name}-????-??-??" for name in names)


BEDROCK_BETAS: Final = BetaList(
    as_of="2026-11-29",
    source='docs.aws.amazon.com, Bedrock user guide, "Anthropic Claude Messages API", beta headers; users\' reports',
    accepts=(
        "claude-code-20250219",
        *_dated(
            "computer-use",
            "token-efficient-tools",
            "fine-grained-tool-streaming",
            "interleaved-thinking",
            "output-128k",
            "dev-full-thinking",
            "context-1m",
            "context-management",
            "effort",
            "compact",
            "tool-search-tool",
            "tool-examples",
            "structured-outputs",
            "thinking-binding-controls",
        ),
    ),
    renamed=_TOOL_SEARCH,
)
VERTEX_BETAS: Final = BetaList(
    as_of="2026-11-29",
    source='cloud.google.com, Vertex AI, "Claude", features; users\' reports',
    rejects=(
        "oauth-*",
        "prompt-caching-scope-*",
        "advanced-tool-use-*",
        "files-api-*",
        "mcp-client-*",
        "skills-*",
        "fast-mode-*",
        "code-execution-*",
        "context-management-*",
    ),
    renamed=_TOOL_SEARCH,
)


def flags_of(fields: HeaderFields) -> tuple[str, ...]:
    """The flags of all anthropic-beta fields, in their order."""
    named = [value.decode("latin-1") for name, value in fields if name.lower() == _HEADER]
    return tuple(dict.fromkeys(flag.strip() for value in named for flag in value.split(",") if flag.strip()))


def without_flags(fields: HeaderFields, deny: Sequence[str]) -> tuple[HeaderFields, tuple[str, ...]]:
    """Header fields without the beta flags that a pattern covers, and those flags; the same object if there are none."""
    if not deny or not any(name.lower() == _HEADER for name, _ in fields):
        return fields, ()
    kept: list[tuple[bytes, bytes]] = []
    lost: list[str] = []
    for name, value in fields:
        if name.lower() != _HEADER:
            kept.append((name, value))
            continue
        flags = [flag.strip() for flag in value.decode("latin-1").split(",") if flag.strip()]
        denied = [flag for flag in flags if matches_any(deny, flag)]
        lost += denied
        if not denied:
            kept.append((name, value))
        elif rest := [flag for flag in flags if flag not in denied]:
            kept.append((name, ",".join(rest).encode("latin-1")))
    return (tuple(kept), tuple(dict.fromkeys(lost))) if lost else (fields, ())
