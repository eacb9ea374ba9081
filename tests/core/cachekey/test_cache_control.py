"""A client's cache directives."""

import pytest

from sluicegate.core.cachekey.cache_control import CacheDirectives, read_directives

BYPASS = CacheDirectives(lookup=False, store=False)
REFRESH = CacheDirectives(lookup=False)


@pytest.mark.parametrize(
    ("cache_control", "sluicegate_cache", "directives"),
    [
        ("", "", CacheDirectives()),
        ("no-cache", "", REFRESH),
        ("max-age=0", "", REFRESH),
        ("No-Cache, no-transform", "", REFRESH),
        ("no-store", "", BYPASS),
        ("no-cache, no-store", "", BYPASS),
        ("only-if-cached", "", CacheDirectives(only_if_cached=True)),
        ("max-age=60", "", CacheDirectives(max_age_s=60)),
        ('max-age="60"', "", CacheDirectives(max_age_s=60)),
        ("only-if-cached, no-cache", "", CacheDirectives(lookup=True, store=False, only_if_cached=True, max_age_s=0.0)),
        ("max-age=x, what=ever", "", CacheDirectives()),
        ("", "bypass", BYPASS),
        ("", " Refresh ", REFRESH),
        ("no-store", "only-if-cached", CacheDirectives(only_if_cached=True)),
        ("", "nonsense", CacheDirectives()),
    ],
)
def test_directives(cache_control: str, sluicegate_cache: str, directives: CacheDirectives) -> None:
    """RFC 9111's directives and the gate's own header; unknown directives are ignored."""
    assert read_directives(cache_control, sluicegate_cache) == directives
