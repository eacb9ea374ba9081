import pytest

GOOD = {"model": "claude-x", "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_unknown", "content": "x"}


def without(name: str) -> dict:
    return {key: value for key, value in GOOD.items() if key != name}


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"{", 400, "not valid JSON"),
        (b"[]", 400, "valid dictionary"),
        (b"\xff", 400, "not valid JSON"),
        (without("model"), 400, "model: Field required"),
        (without("max_tokens"), 400, "max_tokens: Field required"),
        (without("messages"), 400, "messages: Field required"),
        (GOOD | {"max_tokens": "9"}, 400, "max_tokens: Input should be a valid integer"),
        (GOOD | {"max_tokens": 0}, 400, "max_tokens: Input should be greater"),
        (GOOD | {"messages": []}, 400, "at least one message"),
        (GOOD | {"messages": [1]}, 400, "messages.0"),
        (GOOD | {"messages": [{"role": "x", "content": ""}]}, 400, "messages.0.role"),
        (GOOD | {"messages": [{"role": "user"}]}, 400, "messages.0.content"),
        (GOOD | {"messages": [{"role": "user", "content": 5}]}, 400, "messages.0.content"),
        (GOOD | {"messages": [{"role": "user", "content": [{}]}]}, 400, "messages.0.content.0.type"),
        (GOOD | {"messages": [{"role": "user", "content": [{"type": "text"}]}]}, 400, "messages.0.content.0.text"),
        (GOOD | {"messages": [{"role": "user", "content": [RESULT]}]}, 400, "unexpected `tool_use_id`"),
        (GOOD | {"system": 5}, 400, "system"),
        (GOOD | {"tools": [{}]}, 400, "tools.0.name"),
        (GOOD | {"model": "gpt-4"}, 404, "model: gpt-4"),
    ],
)
def test_what_the_api_refuses(client, body, status, words) -> None:
    """Each malformed request gets the native status, error body and a message that names the place."""
    answer = client.request("POST", "/v1/messages", body)
    assert answer.status == status
    assert answer.json["type"] == "error"
    assert answer.json["error"]["type"] == {400: "invalid_request_error", 404: "not_found_error"}[status]
    assert words in answer.json["error"]["message"]
    assert answer.json["request_id"] == answer.headers["request-id"]


def test_a_body_over_32_mb_is_too_large(client) -> None:
    """413 request_too_large, and the connection was read to the body's end."""
    answer = client.request("POST", "/v1/messages", b" " * (32 * 1024 * 1024 + 1))
    assert (answer.status, answer.json["error"]["type"]) == (413, "request_too_large")


def test_count_tokens_needs_no_max_tokens(client) -> None:
    """The count is the input_tokens that the call itself will have."""
    counted = client.request("POST", "/v1/messages/count_tokens", without("max_tokens"))
    assert counted.json == {"input_tokens": 1}
    assert client.request("POST", "/v1/messages/count_tokens", without("messages")).status == 400
