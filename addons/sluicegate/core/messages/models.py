"""The names of one model at different providers."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["same_model", "serves"]

_DATE: Final = re.compile(r"-(20\d{6}|20\d\d-\d\d-\d\d|latest)$")
_VERSION: Final = re.compile(r"-v\d+(:\d+)?$")
_CONTEXT: Final = re.compile(r"\[\w+\]$")
_VENDOR: Final = "anthropic."


def serves(asked: str, served: str | None) -> bool:
    """Whether a response names the requested model, in any provider's spelling.

    Providers spell one model in several ways: `us.anthropic.claude-opus-4-1-20250805-v1:0` (Bedrock),
    `claude-opus-4-1@20250805` (Vertex), `anthropic/claude-opus-4.1` (OpenRouter). A name without a date
    matches every date; two dates are two models.
    """
    if not served:
        return False
    (a, a_date), (b, b_date) = _parts(asked), _parts(served)
    return a == b and (a_date == b_date or not a_date)


def _parts(model: str) -> tuple[str, str]:
    """A name without its vendor and date, and its date; none for `latest`."""
    name = _CONTEXT.sub("", model.lower().rpartition("/")[2])
    name = name[name.find(_VENDOR) + len(_VENDOR) :] if _VENDOR in name else name
    name = _VERSION.sub("", name).replace("@", "-").replace(".", "-")
    found = _DATE.search(name)
    if not found:
        return name, ""
    date = found[1].replace("-", "")
    return name[: found.start()], "" if date == "latest" else date


def same_model(one: str, other: str) -> bool:
    """Whether two names can mean one model; either may have a date."""
    return serves(one, other) or serves(other, one)
