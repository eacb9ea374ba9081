"""What a client may say of the cache."""

import pytest

from sluicegate.core.cachekey.cache_control import Wishes, read_wishes

BYPASS = Wishes(look=False, store=False)
REFRESH = Wishes(look=False)


@pytest.mark.parametrize(
    ("cache_control", "own", "wishes"),
    [
        ("", "", Wishes()),
        ("no-cache", "", REFRESH),
        ("max-age=0", "", REFRESH),
        ("No-Cache, no-transform", "", REFRESH),
        ("no-store", "", BYPASS),
        ("no-cache, no-store", "", BYPASS),
        ("only-if-cached", "", Wishes(only_if_cached=True)),
        ("max-age=60", "", Wishes(max_age_s=60)),
        ('max-age="60"', "", Wishes(max_age_s=60)),
        ("only-if-cached, no-cache", "", Wishes(look=True, store=False, only_if_cached=True, max_age_s=0.0)),
        ("max-age=x, what=ever", "", Wishes()),
        ("", "bypass", BYPASS),
        ("", " Refresh ", REFRESH),
        ("no-store", "only-if-cached", Wishes(only_if_cached=True)),
        ("", "nonsense", Wishes()),
    ],
)
def test_wishes(cache_control: str, own: str, wishes: Wishes) -> None:
    """RFC 9111's words and the gate's own header; unknown words do nothing."""
    assert read_wishes(cache_control, own) == wishes
