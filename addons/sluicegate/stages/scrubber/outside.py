"""Scrubs the parts of a request outside its body: the URL, the headers, and the names that records show."""

from __future__ import annotations

from collections import Counter

from sluicegate.core.redact.hide.detect import detect_in_url
from sluicegate.core.redact.hide.document_scan import FirstFinding
from sluicegate.core.redact.hide.headers import HeaderFindings, replace_in_headers, scan_headers
from sluicegate.core.redact.hide.placeholder_factory import PlaceholderFactory
from sluicegate.core.redact.scan.finding import Finder, Finding
from sluicegate.exchange.exchange import Exchange

__all__ = ["WITHHELD", "clear", "clear_url", "count_headers", "hide_headers", "withhold_names"]

WITHHELD = "(withheld)"


def clear(x: Exchange, finder: Finder) -> None:
    """Remove every finding from a flow that is not sent but may be saved."""
    clear_url(x, finder)
    withhold_names(x, finder)
    headers = x.request.data.headers
    if found := scan_headers(headers.fields, finder):
        headers.fields = replace_in_headers(headers.fields, found, _withheld)


def clear_url(x: Exchange, finder: Finder) -> tuple[Counter[str], FirstFinding | None]:
    """The findings in the URL. The part of the URL with a finding is removed from the flow."""
    found, first = detect_in_url(x.request.path, finder)
    if first:
        bare = x.request.path.partition("?")[0]
        in_path = detect_in_url(bare, finder)[1] is not None
        x.request.data.path = b"/(withheld)" if in_path else bare.encode("utf-8", "surrogateescape")
    return found, first


def withhold_names(x: Exchange, finder: Finder) -> FirstFinding | None:
    """Remove session, agent and model names with a finding: they are recorded and shown. Returns the one in the model."""
    if x.session_id and finder.find(x.session_id):
        x.session_id = None  # the conversation is then identified by its first message
    if x.agent_id and finder.find(x.agent_id):
        x.agent_id = None
    if (model := x.facts.model if x.facts else None) and (findings := finder.find(model)):
        x.model = WITHHELD
        return FirstFinding(findings[0].rule, "model")
    return None


def count_headers(x: Exchange, finder: Finder) -> Counter[str]:
    """The findings in the headers, by rule."""
    return _by_rule(scan_headers(x.request.data.headers.fields, finder))


def hide_headers(
    x: Exchange, finder: Finder, factory: PlaceholderFactory | None
) -> tuple[Counter[str], FirstFinding | None]:
    """Replace the findings in the headers by placeholders, or by `(withheld)` if there is no factory.

    Returns the findings by rule, and the first one.
    """
    headers = x.request.data.headers
    found = scan_headers(headers.fields, finder)
    if not found:
        return Counter(), None
    at = min(found)
    first = FirstFinding(found[at][0].rule, f"the header {headers.fields[at][0].decode('latin-1')}")
    name = _withheld if factory is None else lambda f, value: factory.one_way(f.type, value)
    headers.fields = replace_in_headers(headers.fields, found, name)
    return _by_rule(found), first


def _by_rule(found: HeaderFindings) -> Counter[str]:
    return Counter(f.rule for findings in found.values() for f in findings)


def _withheld(_: Finding, value: str) -> str:
    return WITHHELD
