"""One request's caching as the configuration says it."""

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
def test_what_is_known_again_is_the_fingerprint(one: bytes, two: bytes, mine: bytes, yours: bytes) -> None:
    """The keys that are remembered are those that would be made anew, for whatever was asked before."""
    maker = PLANS._makers["normalized"]
    for asked in (KeyInput(mine, "messages", "m", one), KeyInput(yours, "messages", "m", two)):
        fresh = KeyMaker(KeyRules("normalized")).keys(asked)
        assert maker.keys(asked) == maker.keys(replace(asked, body=bytes(bytearray(asked.body)))) == fresh
        assert isinstance(fresh, Keys)


def test_no_two_processes_tell_bodies_apart_alike() -> None:
    """What knows a body again is keyed anew each time: nobody can look for two bodies that it takes for one."""
    one, two = Plans(Settings())._makers["exact"], Plans(Settings())._makers["exact"]
    assert one._fingerprint(b"{}") != two._fingerprint(b"{}")
    assert one._fingerprint(b"{}") == one._fingerprint(b"{}") != one._fingerprint(b"{ }")
