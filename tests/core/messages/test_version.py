"""core/messages/version.py: the API's version in a cloud's body, and in a header."""

from __future__ import annotations

import pytest

from sluicegate.core.messages.version import later_version, version_in_body


@pytest.mark.parametrize(
    ("body", "version"),
    [
        (b'{"anthropic_version":"2026-10-21","x":1}', "2026-10-21"),
        (b'{"anthropic_version":"2023-06-01"}', "2023-06-01"),
        (b'{"anthropic_version":"bedrock-2023-05-31"}', None),
        (b'{"anthropic_version":"2026-10-21\\r\\nx: y"}', None),
        (b'{"anthropic_version":20261021}', None),
        (b'{"x":1}', None),
        (b"[]", None),
        (b"", None),
    ],
)
def test_the_version_of_a_body(body: bytes, version: str | None) -> None:
    """A date is the API's own; a cloud's own name, and what is no version at all, is none."""
    assert version_in_body(body) == version


@pytest.mark.parametrize(
    ("header", "version"),
    [("2026-10-21", "2026-10-21"), ("2023-06-01", None), ("2023-01-01", None), ("", None), ("zz", None)],
)
def test_the_first_version_has_other_names_at_the_clouds(header: str, version: str | None) -> None:
    """Only a later one is carried over as it is."""
    assert later_version(header) == version
