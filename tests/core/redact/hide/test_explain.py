"""core/redact/hide/explain.py: where something is hidden and why, without telling it."""

from __future__ import annotations

import base64

import pytest

from kits.labelled import finder_of
from sluicegate.core.redact.hide.document_scan import DocumentScan
from sluicegate.core.redact.hide.explain import explain_scan, mask
from sluicegate.core.redact.hide.known_values import KnownValueScanner
from sluicegate.core.redact.hide.placeholders import GRAMMARS
from sluicegate.core.redact.walk.body_shapes import FREE

SECRET = "q7Kx9mPz2vLw4nRt8sYb"


def test_reasons() -> None:
    """The keyword, the entropy that the rule asks for, another spelling, a placeholder's shape."""
    finder = finder_of("gitleaks")
    text = f"dropbox api_key = '{SECRET}'"
    spelled = base64.b64encode(SECRET.encode()).decode()
    scan = DocumentScan({"a": [text], "b": f"{spelled} <EMAIL_1>"}, FREE, finder, KnownValueScanner(GRAMMARS["angle"]))
    first, other, literal = explain_scan(scan, finder)
    assert first.where == "a[0]"
    assert first.rule.startswith("gitleaks:")
    assert first.why.startswith("keyword ")
    assert "bits per byte (over" in first.why
    assert (other.where, other.rule, other.why) == ("b", "-", "a value found elsewhere, or another spelling of it")
    assert (literal.type, literal.why) == ("LITERAL", "looks like a placeholder")


@pytest.mark.parametrize(
    ("value", "shown"),
    [("x" * 40, "xxxx… (40)"), ("12345678", "12… (8)"), ("abc", "… (3)"), ("\n" * 20, "\\n\\n\\n\\n… (20)")],
)
def test_previews(value: str, shown: str) -> None:
    """Four characters, or less of a short value: a quarter."""
    assert mask(value) == shown
