"""False alarms: what all rules together find in texts without a secret."""

from __future__ import annotations

from kits.clean_texts import samples
from kits.labelled import finder_of

MOST = 4


def test_448_clean_texts_have_at_most_four_findings() -> None:
    """Code, logs, UUIDs, hashes, assets, lock files, dates, versions, and prose about passwords and tokens."""
    finder, texts = finder_of("basic", "gitleaks", "pii"), samples()
    found = [(kind, f.rule, text[f.start : f.end]) for kind, text in texts for f in finder.find(text)]
    assert len(texts) == 448
    assert len(found) <= MOST, found


def test_a_mention_of_a_product_makes_no_hash_a_secret() -> None:
    """`sourcegraph` somewhere in a text is not `sourcegraph` next to a token: rules run near their keywords."""
    sha = "3f2a9b1c4d5e6f708192a3b4c5d6e7f809102b3c"
    finder = finder_of("gitleaks")
    far = f"We use sourcegraph for search. {'The build is green. ' * 6}\ncommit {sha}\n"
    assert finder.find(far) == ()
    assert [f.type for f in finder.find(f"sourcegraph: {sha} ")] == ["SOURCEGRAPH_ACCESS_TOKEN"]
