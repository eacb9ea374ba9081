"""core/formats/buffered.py: answers that must be there as a whole."""

import pytest

from sluicegate.core.formats.buffered import BufferedTransform


def test_it_reads_at_the_end() -> None:
    """Once, all of it."""
    whole = BufferedTransform(bytes.upper)
    assert [whole.feed(b"a"), whole.feed(b"b"), whole.end()] == [b"", b"", b"AB"]


def test_it_is_bounded() -> None:
    """More than 1 MiB is an error, or cut where the beginning is enough."""
    with pytest.raises(ValueError):
        BufferedTransform(bytes).feed(b"x" * (1 << 20) + b"x")
    whole = BufferedTransform(bytes, lenient=True)
    for _ in range(3):
        whole.feed(b"x" * (1 << 19))
    assert len(whole.end()) == 1 << 20
