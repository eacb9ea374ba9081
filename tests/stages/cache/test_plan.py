"""The cache plan: keys are remembered safely."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from sluicegate.core.cachekey.key import (
    KeyInput,
    KeyMaker,
    KeyRules,
    Keys,
)
from sluicegate.settings import Settings
from sluicegate.stages.cache.plan import Plans

PLANS = Plans(Settings())
BODIES = st.builds(lambda n, text: b'{"n":%d,"text":"%s"}' % (n, b"x" * text), st.integers(0, 9), st.integers(0, 3))


@given(BODIES, BODIES, st.sampled_from([b"a", b"b"]), st.sampled_from([b"a", b"b"]))
def test_remembered_keys_are_the_right_keys(one: bytes, two: bytes, mine: bytes, yours: bytes) -> None:
    """A remembered key equals a newly made one, whatever requests came before."""
    maker = PLANS._makers["normalized"]
    for asked in (KeyInput(mine, "messages", "m", one), KeyInput(yours, "messages", "m", two)):
        fresh = KeyMaker(KeyRules("normalized")).keys(asked)
        assert maker.keys(asked) == maker.keys(replace(asked, body=bytes(bytearray(asked.body)))) == fresh
        assert isinstance(fresh, Keys)


def test_the_fingerprint_key_differs_between_processes() -> None:
    """The body fingerprint has a random key, so a client cannot search for two bodies that collide."""
    one, two = Plans(Settings())._makers["exact"], Plans(Settings())._makers["exact"]
    assert one._fingerprint(b"{}") != two._fingerprint(b"{}")
    assert one._fingerprint(b"{}") == one._fingerprint(b"{}") != one._fingerprint(b"{ }")
