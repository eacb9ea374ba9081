"""Reading what is no Messages request: any body, in each way that its text may be meant."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final
from urllib.parse import unquote_plus

from sluicegate.core.redact.hide.hide import First, Survey
from sluicegate.core.redact.scan.finding import Finder
from sluicegate.core.redact.walk.document import Document, Unreadable
from sluicegate.core.redact.walk.walk import WalkSurface

__all__ = ["look_at_body", "look_at_url"]

_ESCAPE: Final = re.compile(r"\\u00([0-7][0-9a-fA-F])")


def look_at_body(body: bytes, surface: WalkSurface, finder: Finder) -> tuple[Counter[str], First | None]:
    """What is found in a body, JSON or not: values by rule, and the first."""
    try:
        return _seen(Survey(Document.read(body).root, surface, finder, None))
    except Unreadable:
        text = body.decode("utf-8", "replace")
    texts = {text, text.replace("\0", ""), _ESCAPE.sub(_unescaped, text)}  # as it is, UTF-16, lines of JSON
    return _seen(Survey(sorted(texts, key=len, reverse=True), "other", finder, None), bare=True)


def look_at_url(path: str, finder: Finder) -> tuple[Counter[str], First | None]:
    """What is found in a request's path and query, as they are and decoded."""
    return _seen(Survey([path, unquote_plus(path)], "other", finder, None), bare=True)


def _seen(survey: Survey, *, bare: bool = False) -> tuple[Counter[str], First | None]:
    first = survey.first
    return survey.found, First(first.rule, "") if first and bare else first


def _unescaped(m: re.Match[str]) -> str:
    return chr(int(m[1], 16))
