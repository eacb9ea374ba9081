"""Section `routes`: which models go to which targets."""

from typing import Annotated

from msgspec import Meta, field

from sluicegate.settings.cache import RouteCache
from sluicegate.settings.reading.scalars import (
    Count,
    Pattern,
    Section,
    Text,
)


class Target(Section, frozen=True, kw_only=True):
    provider: Text
    model: Text | None = None  # default: the client's own
    region: Text | None = None  # bedrock and vertex: in place of the provider's
    context: Count | None = None  # tokens of prompt and answer; a fallback that is too small is passed over


class Route(Section, frozen=True, kw_only=True):
    """The first route whose pattern fits the model is taken, its targets in their order."""

    model: Pattern
    targets: Annotated[tuple[Target, ...], Meta(min_length=1)]
    cache: RouteCache = field(default_factory=RouteCache)

    @property
    def pattern(self) -> str:
        return self.model
