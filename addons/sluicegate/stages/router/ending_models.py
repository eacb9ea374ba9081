"""Says once in the log that a model which requests go to has an announced end of life."""

from __future__ import annotations

from typing import Final

from sluicegate.core.messages.lifetimes import end_of_life
from sluicegate.services.process_state import StateKey
from sluicegate.services.services import Services
from sluicegate.services.telemetry.log import log
from sluicegate.settings import Settings

__all__ = ["EndingModels", "ending_models_of"]

_MOST: Final = 1000


class EndingModels:
    """Remembers which names it has looked up; they come from requests, so their number is bounded."""

    def __init__(self) -> None:
        self._known: set[str] = set()

    def note(self, model: str, provider: str, settings: Settings) -> None:
        """This provider was asked for this model."""
        if model in self._known:
            return
        if len(self._known) < _MOST and settings.kind_of(provider).is_anthropic_api:  # clouds have dates of their own
            self._known.add(model)
            if end := end_of_life(model):
                log.warning("model.ends", model=model[:100], on=end.isoformat())


_KEY: Final = StateKey[EndingModels]("router.ending_models")


def ending_models_of(services: Services) -> EndingModels:
    """One for the process: a reload of the configuration says nothing again."""
    return services.state.get(_KEY, EndingModels)
