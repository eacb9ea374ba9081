"""Release: the right to send holds for a request as it was."""

import pytest

from sluicegate.exchange.release import Release, Target, snapshot
from sluicegate.testing import make_flow

TARGET = Target(True, "api.anthropic.com", 443)


@pytest.mark.parametrize(
    "change",
    [
        lambda r: setattr(r, "method", "PUT"),
        lambda r: setattr(r, "path", "/v1/other"),
        lambda r: setattr(r, "host", "evil.example"),
        lambda r: setattr(r, "port", 80),
        lambda r: setattr(r, "scheme", "http"),
        lambda r: setattr(r, "content", b"other"),
        lambda r: r.headers.add("x", "y"),
        lambda r: r.headers.__setitem__("host", "other"),
        lambda r: setattr(r.data, "content", None),
    ],
)
def test_a_release_covers_the_request_as_it_was(change) -> None:  # type: ignore[no-untyped-def]
    """Whatever is changed after the release, it does not cover the request any more."""
    flow = make_flow(body=b"{}")
    release = Release(TARGET, snapshot(flow.request))
    assert release.covers(flow.request)
    change(flow.request)
    assert not release.covers(flow.request)


def test_a_release_covers_an_equal_request() -> None:
    """The comparison is by value: a copied flow with the same bytes is the same request."""
    flow = make_flow(body=b"{}")
    assert Release(TARGET, snapshot(flow.request)).covers(flow.copy().request)
