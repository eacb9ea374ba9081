"""A client's cache directives."""

import pytest

from sluicegate.core.cachekey.cache_control import CacheDirectives, is_retry, read_directives

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


@pytest.mark.parametrize(
    ("cache_control", "sluicegate_cache", "directives"),
    [
        ("", "", REFRESH),
        ("max-age=60", "", CacheDirectives(lookup=False, max_age_s=60)),
        ("no-store", "", BYPASS),
        ("", "bypass", BYPASS),
        ("only-if-cached", "", CacheDirectives(only_if_cached=True)),
        ("", "only-if-cached", CacheDirectives(only_if_cached=True)),
    ],
)
def test_directives_of_a_retry(cache_control: str, sluicegate_cache: str, directives: CacheDirectives) -> None:
    """A retry gets a new answer, which is stored, unless it forbids the one or the other."""
    assert read_directives(cache_control, sluicegate_cache, retry=True) == directives


@pytest.mark.parametrize(
    ("name", "value", "retry"),
    [
        (b"x-stainless-retry-count", b"0", False),
        (b"x-stainless-retry-count", b"1", True),
        (b"x-stainless-retry-count", b" 02 ", True),
        (b"x-stainless-retry-count", b"12", True),
        (b"x-stainless-retry-count", b"10", True),
        (b"x-stainless-retry-count", b"-1", False),
        (b"x-stainless-retry-count", b"", False),
        (b"x-stainless-retry-count", b"1x", False),
        (b"x-stainless-retry-count", b"9" * 100_000, True),
        (b"x-stainless-retry-count", b" " * 100_000, False),
        (b"amz-sdk-request", b"attempt=1", False),
        (b"amz-sdk-request", b"attempt=1; max=3", False),
        (b"amz-sdk-request", b"attempt=2; max=3", True),
        (b"amz-sdk-request", b"ttl=20261129T120000Z; attempt=12; max=3", True),
        (b"amz-sdk-request", b"reattempt=2", False),
        (b"retry-count", b"1", False),
    ],
)
def test_which_requests_are_retries(name: bytes, value: bytes, retry: bool) -> None:
    """By the count that the SDKs of Anthropic, OpenAI and AWS send; what is not a count says nothing."""
    assert is_retry(name, value) is retry
