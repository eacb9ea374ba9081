"""providers/plain.py: which header fields go to providers of other APIs."""

from sluicegate.providers.plain import plain_fields


def test_few_are_passed_on() -> None:
    """Credentials, sessions and SDK details stay here; the body's type and the answer's are ours."""
    given = (
        (b"User-Agent", b"u"),
        (b"traceparent", b"t"),
        (b"X-Stainless-OS", b"x"),
        (b"content-type", b"text/x"),
        (b"x-api-key", b"k"),
        (b"content-length", b"5"),
    )
    assert plain_fields(given, "application/json") == (
        (b"User-Agent", b"u"),
        (b"traceparent", b"t"),
        (b"content-type", b"application/json"),
        (b"accept", b"application/json"),
        (b"accept-encoding", b"identity"),
    )
