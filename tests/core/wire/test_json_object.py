"""core/wire/json_object.py: a JSON object's members, changed one by one."""

from __future__ import annotations

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.wire.json_object import edited, top

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)
objects = st.dictionaries(st.sampled_from('abcdé\n"'), values)


@given(objects, st.sets(st.sampled_from("abc")), st.dictionaries(st.sampled_from("abx"), values), st.booleans())
def test_it_edits_as_a_dict_does(given_: dict[str, object], drop: set[str], put: dict[str, object], plain: bool) -> None:
    """Members dropped and put, keys in their order, in either spelling of text."""
    expected = {k: v for k, v in given_.items() if k not in drop} | put
    body = json.dumps(given_, ensure_ascii=plain, indent=1).encode("utf-8", "surrogatepass")
    out = edited(body, drop=drop, put=put)
    assert list(json.loads(out).items()) == [(k, json.loads(json.dumps(v))) for k, v in expected.items()]


def test_other_values_keep_their_bytes() -> None:
    """Numbers as written, white space, escapes."""
    assert edited(b'{"a": 1.0e2, "b":[ 1 ],"c":"\\u0041"}', drop=["b"], put={"d": 1}) == b'{"a":1.0e2,"c":"\\u0041","d":1}'
    assert edited(b"{}", put={"a": msgspec.Raw(b"1.00")}) == b'{"a":1.00}'


@pytest.mark.parametrize(
    "body", [b'\xef\xbb\xbf{"a":1,"b":"\\ud800"}', b'{"a":NaN,"b":"\xff"}', '{"a":1}'.encode("utf-16"), b'{"a":1,}']
)
def test_what_a_lenient_server_reads(body: bytes) -> None:
    """Byte order marks, lone surrogates, NaN, stray bytes, UTF-16 and a comma too many."""
    assert edited(body, put={"a": 2}).startswith(b'{"a":2')


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"a"}', b'{"a":}', b"\xff"])
def test_what_is_no_object(body: bytes) -> None:
    """None, and ValueError where it was to be changed."""
    assert top(body) is None
    with pytest.raises(ValueError):
        edited(body)


@given(st.binary(max_size=80))
def test_hostile_bytes(body: bytes) -> None:
    """Read, or not, without an error."""
    top(body)
