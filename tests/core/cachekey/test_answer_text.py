"""The text of an answer, in which placeholders are found."""

from sluicegate.core.cachekey.answer_text import answer_text


def test_deltas_of_a_block_are_joined() -> None:
    """A placeholder split between two events is whole again; blocks are not joined."""
    events = [
        '{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"at <EMA"}}',
        '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\\"a\\":\\"<K"}}',
        '{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"IL_1>"}}',
        "not json",
        '{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"EY_2>"}}',
    ]
    said = answer_text("".join(f"event: e\ndata: {e}\n\n" for e in events).encode(), stream=True)
    assert "at <EMAIL_1>" in said
    assert "<KEY_2>" in said


def test_a_document_is_taken_as_it_is() -> None:
    """Its strings stand in it as a whole."""
    assert "<EMAIL_1>" in answer_text(b'{"text": "<EMAIL_1>"}', stream=False)
