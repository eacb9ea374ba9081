"""Detection without hiding: scans any body or URL, in every way in which its text may be read."""

from __future__ import annotations

import re
from collections import Counter
from typing import Final
from urllib.parse import unquote_plus

from sluicegate.core.redact.hide.document_scan import DocumentScan, FirstFinding
from sluicegate.core.redact.scan.finding import Finder
from sluicegate.core.redact.walk.body_shapes import FREE, Shape
from sluicegate.core.redact.walk.json_document import JsonDocument, Unreadable

__all__ = ["detect_in_body", "detect_in_url"]

_ESCAPE: Final = re.compile(r"\\u00([0-7][0-9a-fA-F])")


def detect_in_body(body: bytes, shape: Shape, finder: Finder) -> tuple[Counter[str], FirstFinding | None]:
    """The findings in a body, JSON or not: values by rule, and the first finding."""
    try:
        return _findings(DocumentScan(JsonDocument.read(body).root, shape, finder, None))
    except Unreadable:
        text = body.decode("utf-8", "replace")
    texts = {text, text.replace("\0", ""), _ESCAPE.sub(_unescaped, text)}  # raw, UTF-16, lines of JSON
    return _findings(DocumentScan(sorted(texts, key=len, reverse=True), FREE, finder, None), bare=True)


def detect_in_url(path: str, finder: Finder) -> tuple[Counter[str], FirstFinding | None]:
    """The findings in the path and query of a request, raw and decoded."""
    return _findings(DocumentScan([path, unquote_plus(path)], FREE, finder, None), bare=True)


def _findings(scan: DocumentScan, *, bare: bool = False) -> tuple[Counter[str], FirstFinding | None]:
    first = scan.first
    return scan.found, FirstFinding(first.rule, "") if first and bare else first


def _unescaped(m: re.Match[str]) -> str:
    return chr(int(m[1], 16))
