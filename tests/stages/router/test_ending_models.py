"""stages/router/ending_models.py: the log says once that a model ends."""

from __future__ import annotations

import logging

import pytest

from sluicegate.services.services import Services
from sluicegate.settings import Settings
from sluicegate.settings.providers import Provider
from sluicegate.stages.router.ending_models import ending_models_of

SETTINGS = Settings(providers={"aws": Provider(kind="bedrock", region="us-east-1")})


def test_the_log_says_it_once(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each name, over all policies of the process; a cloud's models have dates of their own."""
    services = Services({})
    with caplog.at_level(logging.WARNING, logger="sluicegate"):
        for model, provider in [
            ("claude-opus-4-5", "aws"),
            ("claude-sonnet-5-5", "anthropic"),
            *[("claude-opus-4-5", "anthropic")] * 3,
            ("claude-sonnet-4-5-20250929", "anthropic"),
        ]:
            ending_models_of(services).note(model, provider, SETTINGS)
    said = [record.getMessage() for record in caplog.records]
    assert [line.split()[0] for line in said] == ["event=model.ends"] * 2
    assert "model=claude-opus-4-5 on=2027-01-22" in said[0]
    assert "model=claude-sonnet-4-5-20250929 on=2026-11-30" in said[1]


def test_what_it_remembers_is_bounded() -> None:
    """Names come from requests."""
    ending = ending_models_of(Services({}))
    for n in range(2000):
        ending.note(f"m{n}", "anthropic", SETTINGS)
    assert len(ending._known) == 1000
