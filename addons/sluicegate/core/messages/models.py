"""The names of one model at different providers."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["base_name", "same_model", "serves"]

_DATE: Final = re.compile(r"-(20\d{6}|20\d\d-\d\d-\d\d|\d{4}|latest)$")
"""`claude-haiku-4-5-20251001`, `gpt-4o-2024-08-06`, `gpt-3.5-turbo-0125` (a month and a day), `mistral-large-2411`."""
_FIRST: Final = re.compile(r"^(claude-[a-z]+-\d+)-0$")
"""`claude-sonnet-4-0` is served as `claude-sonnet-4-20250514` (docs.anthropic.com, "Models overview", aliases)."""
_ALIASES: Final = {"gpt-4-turbo-preview": "gpt-4-0125-preview"}
"""Names that providers serve under another one, which no rule derives (platform.openai.com, "Models")."""
_VERSION: Final = re.compile(r"-v\d+(:\d+)?$")
_CONTEXT: Final = re.compile(r"\[\w+\]$")
_VENDOR: Final = "anthropic."


def serves(asked: str, served: str | None) -> bool:
    """Whether a response names the requested model, in any provider's spelling.

    Providers spell one model in several ways: `us.anthropic.claude-opus-4-1-20250805-v1:0` (Bedrock),
    `claude-opus-4-1@20250805` (Vertex), `anthropic/claude-opus-4.1` (OpenRouter). A name without a date
    matches every date, as an alias is served as a model with one; two dates are two models.
    """
    if not served:
        return False
    (a, a_date), (b, b_date) = _parts(asked), _parts(served)
    return a == b and (a_date == b_date or not a_date)


def base_name(model: str) -> str:
    """A name without its vendor, version and date: what the spellings of one model have in common."""
    return _parts(model)[0]


def _parts(model: str) -> tuple[str, str]:
    """A name without its vendor and date, and its date; none for `latest`."""
    name = _CONTEXT.sub("", model.lower().rpartition("/")[2])
    name = name[name.find(_VENDOR) + len(_VENDOR) :] if _VENDOR in name else name
    name = _VERSION.sub("", name).replace("@", "-").replace(".", "-")
    found = _DATE.search(name)
    if not found:
        return _FIRST.sub(r"\1", _ALIASES.get(name, name)), ""
    date = found[1].replace("-", "")
    return _FIRST.sub(r"\1", name[: found.start()]), "" if date == "latest" else date


def same_model(one: str, other: str) -> bool:
    """Whether two names can mean one model; either may have a date."""
    return serves(one, other) or serves(other, one)
