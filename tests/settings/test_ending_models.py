"""settings/ending_models.py: which models of a configuration end."""

from __future__ import annotations

from datetime import date
from pathlib import Path

from sluicegate.settings import load
from sluicegate.settings.ending_models import ending_models

CONFIG = """
providers:
  own: {kind: anthropic, keys: ["env:K"]}
  aws: {kind: bedrock, region: us-east-1, keys: ["env:K"]}
routes:
  - {model: old, targets: [{provider: own, model: claude-sonnet-4-5}, {provider: aws, model: claude-sonnet-4-5}]}
  - {model: claude-opus-4-5, targets: [{provider: own}]}
  - {model: claude-sonnet-4-5, targets: [{provider: own, model: claude-sonnet-5-5}]}
  - {model: "claude-*", targets: [{provider: own}]}
limits:
  default: {aliases: {best: claude-opus-4-5-20251101}}
  teams: {a: {budget_usd: {day: 1}, downgrade: [{over: 0.8, from: claude-sonnet-4-5, to: claude-sonnet-4-0}]}}
"""


def test_models_that_requests_are_sent_to(tmp_path: Path) -> None:
    """Targets of Anthropic's API, aliases and downgrades; not names that are mapped to a newer model, nor a cloud's."""
    (tmp_path / "c.yaml").write_text(CONFIG)
    sonnet, opus = date(2026, 11, 30), date(2027, 1, 22)
    assert list(ending_models(load(tmp_path / "c.yaml", {"K": "k"}))) == [
        ("routes[0].targets[0].model", "claude-sonnet-4-5", sonnet),
        ("routes[1].model", "claude-opus-4-5", opus),
        ("limits.teams.a.downgrade[0].to", "claude-sonnet-4-0", date(2026, 6, 15)),
        ("limits.default.aliases.best", "claude-opus-4-5-20251101", opus),
    ]
