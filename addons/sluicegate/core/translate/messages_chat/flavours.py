"""Differences between Chat Completions servers, as data: the fields that each rejects or names differently."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from sluicegate.core.addresses import canonical_host

__all__ = ["FLAVOURS", "GENERIC", "Flavour", "flavour_of"]

_ALL: Final = ("minimal", "low", "medium", "high", "xhigh", "max")
_THREE: Final = ("low", "medium", "high")

Efforts = tuple[tuple[re.Pattern[str], tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class Flavour:
    """How one kind of Chat Completions server differs from the others."""

    max_tokens_key: str = "max_tokens"
    drops: frozenset[str] = frozenset()
    """Request fields that this server answers with an error."""
    reasoning_key: str | None = None
    """The field of an assistant's message in which this server expects its earlier reasoning; None: it expects none."""
    efforts: Efforts = ((re.compile(""), _ALL),)
    """A pattern of model names → the values of reasoning_effort that these accept. The first match counts."""
    no_sampling: re.Pattern[str] | None = None
    """Models that reject temperature and top_p."""
    no_effort_with_tools: re.Pattern[str] | None = None
    """Models that accept tools only with reasoning_effort `none` (otherwise they require the Responses API)."""
    short_ids: bool = False
    """Ids of tool calls must be nine letters and digits."""
    files: bool = True
    """Accepts `file` parts (PDF)."""
    service_tiers: dict[str, str] = field(default_factory=dict)
    """The Messages API's service tier → this server's."""

    def efforts_of(self, model: str, *, tools: bool) -> tuple[str, ...]:
        """The values of reasoning_effort that a model accepts; empty if it rejects the field."""
        name = model.rpartition("/")[2]
        if tools and self.no_effort_with_tools and self.no_effort_with_tools.match(name):
            return ("none",)
        return next((values for pattern, values in self.efforts if pattern.match(name)), ())

    def samples(self, model: str) -> bool:
        """Whether a model accepts temperature and top_p."""
        return self.no_sampling is None or not self.no_sampling.match(model.rpartition("/")[2])


def _efforts(**by_pattern: tuple[str, ...]) -> Efforts:
    return tuple((_MODELS[name], values) for name, values in by_pattern.items())


_MODELS: Final = {
    "o": re.compile(r"o\d"),
    "gpt_5": re.compile(r"gpt-5(?!\.)(?!.*chat)"),
    "newer": re.compile(r"gpt-(?:5\.|[6-9]|\d\d)(?!.*chat)"),
    "no_tools": re.compile(r"gpt-(?:5\.[4-9]|[6-9]|\d\d)"),
    "gpt_oss": re.compile(r"gpt-oss"),
    "grok_mini": re.compile(r"grok-3-mini"),
    "reasoning": re.compile(r"o\d|gpt-(?:[5-9]|\d\d)(?!.*chat)"),
}

GENERIC: Final = Flavour()
"""An unknown server: the format as OpenAI documents it, with the older name of max_tokens."""

FLAVOURS: Final[dict[str, Flavour]] = {
    "openai": Flavour(
        max_tokens_key="max_completion_tokens",
        efforts=_efforts(
            o=_THREE,
            gpt_5=("minimal", *_THREE),
            newer=("none", *_THREE, "xhigh"),
            gpt_oss=_THREE,
        ),
        no_sampling=_MODELS["reasoning"],
        no_effort_with_tools=_MODELS["no_tools"],
        service_tiers={"auto": "auto", "standard_only": "default"},
    ),
    "groq": Flavour(
        max_tokens_key="max_completion_tokens",
        drops=frozenset({"safety_identifier", "logprobs", "logit_bias"}),
        efforts=_efforts(gpt_oss=_THREE),
        files=False,
    ),
    "cerebras": Flavour(
        max_tokens_key="max_completion_tokens",
        drops=frozenset({"safety_identifier"}),
        efforts=_efforts(gpt_oss=_THREE),
        files=False,
    ),
    "mistral": Flavour(drops=frozenset({"safety_identifier", "stream_options"}), efforts=(), short_ids=True, files=False),
    "deepseek": Flavour(reasoning_key="reasoning_content", efforts=(), files=False),
    "xai": Flavour(efforts=_efforts(grok_mini=("low", "high")), drops=frozenset({"safety_identifier"})),
    "together": Flavour(efforts=_efforts(gpt_oss=_THREE), drops=frozenset({"safety_identifier"}), files=False),
    "fireworks": Flavour(efforts=_efforts(gpt_oss=_THREE), drops=frozenset({"safety_identifier"}), files=False),
}
"""By the name of the preset."""

_HOSTS: Final = {
    "api.openai.com": "openai",
    "api.groq.com": "groq",
    "api.cerebras.ai": "cerebras",
    "api.mistral.ai": "mistral",
    "api.deepseek.com": "deepseek",
    "api.x.ai": "xai",
    "api.together.xyz": "together",
    "api.fireworks.ai": "fireworks",
}


def flavour_of(host: str) -> Flavour:
    """The flavour of the server at a host; OpenAI's regional hosts count as OpenAI's."""
    host = canonical_host(host)
    if host.endswith((".openai.com", ".openai.azure.com")):
        return FLAVOURS["openai"]
    return FLAVOURS.get(_HOSTS.get(host, ""), GENERIC)
