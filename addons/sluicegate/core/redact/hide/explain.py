"""Explains what is hidden in a document and why, without showing a value: for people who tune rules."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sluicegate.core.redact.hide.document_scan import DocumentScan, shown_path
from sluicegate.core.redact.hide.placeholders import LITERAL
from sluicegate.core.redact.rules.gitleaks import bits_per_byte
from sluicegate.core.redact.rules.rule import Rule, Tier
from sluicegate.core.redact.scan.finder import RuleFinder
from sluicegate.core.redact.scan.finding import Finding
from sluicegate.core.redact.scan.keyword_windows import NEAR

__all__ = ["ExplainedSpan", "explain_scan", "mask"]

_SHOWN = 4
"""Characters of a value that are shown, and at most a quarter of it."""


@dataclass(frozen=True, slots=True)
class ExplainedSpan:
    """One hidden span."""

    where: str
    """The JSON path; in plain text line:column, both from 1."""
    rule: str
    type: str
    tier: Tier
    value: str
    """Masked: the first characters and the length."""
    why: str


def explain_scan(scan: DocumentScan, finder: RuleFinder) -> Iterator[ExplainedSpan]:
    """Each span that `scan` hides, and the reason. `finder`: the one that `scan` was made with."""
    for leaf, span in scan.places():
        text = leaf.text
        found = next((f for f in finder.find(text) if f.start < span.end and span.start < f.end), None)
        if found is not None:
            rule, why = found.rule, _why(finder.rules[found.rule], text, found)
        elif span.kind == LITERAL:
            rule, why = "-", "looks like a placeholder"
        else:
            rule, why = "-", "a value found elsewhere, or another spelling of it"
        if leaf.trail is None:
            before = text[: span.start]
            where = f"{before.count(chr(10)) + 1}:{span.start - before.rfind(chr(10))}"
        else:
            where = shown_path(leaf.path, leaf.is_key, finder)
        yield ExplainedSpan(where, rule, span.kind, span.tier, mask(text[span.start : span.end]), why)


def mask(value: str) -> str:
    """The first characters of a value and its length."""
    start = value[: min(_SHOWN, len(value) // 4)].encode("unicode_escape").decode()
    return f"{start}… ({len(value)})"


def _why(rule: Rule, text: str, found: Finding) -> str:
    around = text[max(0, found.start - NEAR) : found.end + NEAR].lower()
    keyword = next((k for k in rule.keywords if k in around), None)
    reasons = [f"keyword {keyword}" if keyword else "its pattern"]
    if rule.entropy:
        bits = bits_per_byte(text[found.start : found.end].encode("utf-8", "surrogatepass"))
        reasons.append(f"{bits:.1f} bits per byte (over {rule.entropy:g})")
    return ", ".join(reasons)
