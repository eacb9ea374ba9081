"""What a request says outside its body: its URL, its headers, the names that records show. Found there, it goes."""

from __future__ import annotations

from collections import Counter

from sluicegate.core.redact.hide.detect import detect_in_url
from sluicegate.core.redact.hide.document_scan import FirstFinding, PlaceholderFactory
from sluicegate.core.redact.hide.headers import HeaderFindings, replace_in_headers, scan_headers
from sluicegate.core.redact.scan.finding import Finder, Finding
from sluicegate.exchange.exchange import Exchange

__all__ = ["WITHHELD", "clear", "clear_url", "count_headers", "hide_headers", "withhold_names"]

WITHHELD = "(withheld)"


def clear(x: Exchange, finder: Finder) -> None:
    """Take all of it off a flow that is kept though it goes nowhere."""
    clear_url(x, finder)
    withhold_names(x, finder)
    headers = x.request.data.headers
    if found := scan_headers(headers.fields, finder):
        headers.fields = replace_in_headers(headers.fields, found, _withheld)


def clear_url(x: Exchange, finder: Finder) -> tuple[Counter[str], FirstFinding | None]:
    """What is found in the URL; if there is anything, its place is taken off the flow."""
    found, first = detect_in_url(x.request.path, finder)
    if first:
        bare = x.request.path.partition("?")[0]
        in_path = detect_in_url(bare, finder)[1] is not None
        x.request.data.path = b"/(withheld)" if in_path else bare.encode("utf-8", "surrogateescape")
    return found, first


def withhold_names(x: Exchange, finder: Finder) -> FirstFinding | None:
    """Session, agent and model are written down and shown: not with a secret in their place. What was in the model's."""
    if x.session_id and finder.find(x.session_id):
        x.session_id = None  # the conversation goes by how it began
    if x.agent_id and finder.find(x.agent_id):
        x.agent_id = None
    if (model := x.facts.model if x.facts else None) and (finds := finder.find(model)):
        x.model = WITHHELD
        return FirstFinding(finds[0].rule, "model")
    return None


def count_headers(x: Exchange, finder: Finder) -> Counter[str]:
    """What is found in the headers, by rule."""
    return _by_rule(scan_headers(x.request.data.headers.fields, finder))


def hide_headers(
    x: Exchange, finder: Finder, naming: PlaceholderFactory | None
) -> tuple[Counter[str], FirstFinding | None]:
    """What is found in the headers, and the first; in its place are names now, without a naming no word of it."""
    headers = x.request.data.headers
    found = scan_headers(headers.fields, finder)
    if not found:
        return Counter(), None
    at = min(found)
    first = FirstFinding(found[at][0].rule, f"the header {headers.fields[at][0].decode('latin-1')}")
    name = _withheld if naming is None else lambda f, value: naming.unranked(f.type, value)
    headers.fields = replace_in_headers(headers.fields, found, name)
    return _by_rule(found), first


def _by_rule(found: HeaderFindings) -> Counter[str]:
    return Counter(f.rule for finds in found.values() for f in finds)


def _withheld(_: Finding, value: str) -> str:
    return WITHHELD
