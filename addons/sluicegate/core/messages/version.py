"""The version of the Messages API that a request is written for: a header at Anthropic, a member of the body at the clouds.

Bedrock and Vertex had names of their own for the first one (`bedrock-2023-05-31`, `vertex-2023-10-16`); Anthropic's Python
SDK sends them the API's own date since 2.14.
"""

from __future__ import annotations

import re
from typing import Final

from sluicegate.core.wire.json_object import loads, top

__all__ = ["FIRST", "later_version", "version_in_body"]

FIRST: Final = "2023-06-01"

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")


def version_in_body(body: bytes) -> str | None:
    """The version that a cloud's request names; None if it names none, or one of the cloud's own."""
    named = loads((top(body) or {}).get("anthropic_version", b"null"))
    return named if isinstance(named, str) and _DATE.fullmatch(named) else None


def later_version(header: str) -> str | None:
    """A header's version if it is later than the first: the clouds know the first by names of their own."""
    return header if _DATE.fullmatch(header) and header > FIRST else None
