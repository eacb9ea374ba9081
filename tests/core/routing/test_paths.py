"""What a path decides: whose key goes with it, and whether it can start a model."""

import pytest

from sluicegate.core.formats.surfaces import format_at, is_inference_path
from sluicegate.core.routing.paths import (
    is_batch,
    is_first_party_path,
    may_start_models,
    takes_our_keys,
)


@pytest.mark.parametrize(
    ("method", "path", "batch", "starts", "own"),
    [
        ("POST", "/v1/messages/batches", True, True, False),
        ("POST", "/v1/messages/batches/?beta=true", True, True, False),
        ("POST", "/prefix/v1/messages/batches", True, True, False),
        ("GET", "/v1/messages/batches", False, False, False),
        ("POST", "/v1/messages/batches/msgbatch_1/cancel", False, False, False),
        ("POST", "/v1/messages/batches/../batches", False, True, False),
        ("POST", "/v1/messages/%62atches", False, True, False),
        ("POST", "/v1/messages//batches", False, True, False),
        ("POST", "/v1/responses", False, True, False),
        ("PUT", "/v1/sessions/1", False, True, False),
        ("POST", "/v1/files", False, False, False),
        ("POST", "/v1/files/../sessions", False, True, False),
        ("HEAD", "/", False, False, True),
        ("GET", "/api/claude_code/settings?x=/v1/files", False, False, True),
        ("GET", "/api/../v1/files", False, False, False),
        ("GET", "/api/%2e%2e/v1/files", False, False, False),
        ("GET", "/api//v1/files", False, False, False),
        ("GET", "/apiary", False, False, False),
    ],
)
def test_paths(method: str, path: str, batch: bool, starts: bool, own: bool) -> None:
    """An oddly spelled path is not a batch and not first-party: it may start any model."""
    assert (is_batch(method, path), may_start_models(method, path), is_first_party_path(path)) == (batch, starts, own)


@pytest.mark.parametrize(
    ("door", "method", "path", "ours"),
    [
        ("reverse", "GET", "/api/hello", True),
        ("regular", "POST", "/v1/messages", True),
        ("regular", "GET", "/v1/files", True),
        ("regular", "POST", "/anthropic/v1/messages", True),
        ("regular", "POST", "/model/m/invoke", True),
        ("regular", "GET", "/api/hello", False),
        ("upstream", "POST", "/telemetry", False),
        ("replay", "GET", "/api/hello", False),
        ("replay", "GET", "/v1/models", True),
    ],
)
def test_our_keys_go_with_api_calls_only(door: str, method: str, path: str, ours: bool) -> None:
    """On the reverse door with every path; through a proxy door with inference and what is under /v1/."""
    assert takes_our_keys(door, inference=format_at(method, path).inference, path=path) is ours


@pytest.mark.parametrize(
    "path", ["/v1/messages", "/V1/Messages", "/x/%761/messages", "/v1/chat/completions?a=b", "/model/m/invoke"]
)
def test_every_spelling_of_an_inference_path_counts(path: str) -> None:
    """Whatever the method of the request: a WebSocket is opened with GET."""
    assert is_inference_path(path)
    assert not is_inference_path("/v1/realtime")
