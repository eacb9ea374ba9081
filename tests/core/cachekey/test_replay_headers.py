"""Which answers are of the model that was asked, and which headers a replay keeps."""

import pytest

from sluicegate.core.cachekey.replay_headers import replayable_headers
from sluicegate.core.messages.models import serves


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("claude-haiku-4-5", "claude-haiku-4-5"),
        ("claude-haiku-4-5", "claude-haiku-4-5-20251001"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku-20241022"),
        ("us.anthropic.claude-opus-4-1-20250805-v1:0", "claude-opus-4-1-20250805"),
        ("claude-opus-4-1", "us.anthropic.claude-opus-4-1-20250805-v1:0"),
        ("claude-opus-4-1@20250805", "claude-opus-4-1-20250805"),
        ("anthropic/claude-opus-4.1", "claude-opus-4-1"),
        ("claude-sonnet-4-5[1m]", "claude-sonnet-4-5-20250929"),
        ("gpt-4o", "gpt-4o-2024-08-06"),
        ("claude-sonnet-4-0", "claude-sonnet-4-20250514"),
        ("claude-opus-4-0", "us.anthropic.claude-opus-4-20250514-v1:0"),
        ("anthropic/claude-sonnet-4", "claude-sonnet-4-20250514"),
        ("claude-sonnet-4-20250514", "claude-sonnet-4@20250514"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-0125"),
        ("gpt-4", "gpt-4-0613"),
        ("gpt-4-turbo", "gpt-4-turbo-2024-04-09"),
        ("gpt-4-turbo-preview", "gpt-4-0125-preview"),
        ("mistral-large-latest", "mistral-large-2411"),
    ],
)
def test_the_same_in_another_spelling(asked: str, served: str) -> None:
    """A date the client left open, a vendor's prefix, a provider's own way to write it."""
    assert serves(asked, served)


@pytest.mark.parametrize(
    ("asked", "served"),
    [
        ("claude-haiku-4-5", None),
        ("claude-haiku-4-5", ""),
        ("claude-haiku-4-5", "claude-haiku-4"),
        ("claude-haiku-4", "claude-haiku-4-5"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5-20260101"),
        ("claude-haiku-4-5-20251001", "claude-haiku-4-5"),
        ("claude-opus-4-1", "claude-sonnet-4-5"),
        ("gpt-4o", "gpt-4o-mini"),
        ("gpt-3.5-turbo-0125", "gpt-3.5-turbo-1106"),
        ("gpt-3.5-turbo", "gpt-3.5-turbo-16k"),
        ("claude-sonnet-4-0", "claude-sonnet-4-5-20250929"),
        ("claude-sonnet-4-0", "claude-opus-4-20250514"),
        ("gemini-2", "gemini-2.0"),
    ],
)
def test_another_one(asked: str, served: str | None) -> None:
    """Another version, another date, or none named at all."""
    assert not serves(asked, served)


def test_headers_that_go_with_a_replay() -> None:
    """What is of the connection, of that one request or of the account goes; the request id stays under another name."""
    given = [
        (b"Content-Type", b"text/event-stream"), (b"Cache-Control", b"no-cache"), (b"x-new", b"1"),
        (b"Request-Id", b"req_1"), (b"x-request-id", b"r2"), (b"anthropic-ratelimit-tokens-remaining", b"5"),
        (b"retry-after", b"1"), (b"date", b"now"), (b"Set-Cookie", b"a=b"), (b"anthropic-organization-id", b"o"),
        (b"content-encoding", b"gzip"), (b"content-length", b"9"), (b"connection", b"keep-alive, X-Hop"), (b"x-hop", b"1"),
        (b"x-sluicegate-id", b"sg_1"),
    ]  # fmt: skip
    assert replayable_headers(given) == [
        (b"Content-Type", b"text/event-stream"),
        (b"Cache-Control", b"no-cache"),
        (b"x-new", b"1"),
        (b"x-sluicegate-original-request-id", b"req_1"),
    ]
