"""GET /v1/models: the models that the routes serve, from the configuration and the providers' lists.

One document for both kinds of clients: Claude Code's discovery reads `data[].id` and `display_name` (docs.anthropic.com,
"List Models"), OpenAI's SDKs read `object: list` and `data[].{object, created, owned_by}` (API reference, "Models").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from sluicegate.core.routing.routes import first_route, is_literal
from sluicegate.core.wire.json_object import loads

__all__ = ["Model", "RouteFacts", "entry", "listing", "read_listing", "served"]

MOST: Final = 1000
"""The largest page of the Messages API, and the most models read from one provider."""
_PAGE: Final = 20
_MAX_ID: Final = 256
_LAST: Final = 253402300799  # the year 9999


@dataclass(frozen=True, slots=True)
class Model:
    """One available model. `created` in Unix seconds, 0 if unknown."""

    id: str
    name: str = ""
    created: int = 0
    owner: str = ""


@dataclass(frozen=True, slots=True)
class RouteFacts:
    """A route: its pattern, and for each target the provider and the model that replaces the client's."""

    pattern: str
    targets: Sequence[tuple[str, str | None]]


def read_listing(body: bytes, owner: str) -> list[Model]:
    """A provider's list, in either format; invalid entries are ignored. `owner`: the provider's name."""
    value = loads(body)
    rows = value.get("data") if isinstance(value, dict) else None
    found: dict[str, Model] = {}
    for row in rows[:MOST] if isinstance(rows, list) else ():
        name = row.get("id") if isinstance(row, dict) else None
        if isinstance(name, str) and 0 < len(name) <= _MAX_ID and name.isprintable():
            shown = row.get("display_name")
            shown = shown[:_MAX_ID] if isinstance(shown, str) and shown.isprintable() else ""
            found.setdefault(name, Model(name, shown, _created(row), owner))
    return list(found.values())


def _created(row: Mapping[str, Any]) -> int:
    seconds, text = row.get("created"), row.get("created_at")
    if type(seconds) is int and 0 <= seconds <= _LAST:
        return seconds
    try:
        return min(max(0, int(datetime.fromisoformat(text).timestamp())), _LAST) if isinstance(text, str) else 0
    except (ValueError, OverflowError):
        return 0


def served(routes: Sequence[RouteFacts], listed: Mapping[str, Sequence[Model]]) -> list[Model]:
    """The available models: first the routes with a literal name, then the listed models that a route matches.

    `listed`: by provider, without providers that have no list or failed. Without routes: all listed models.
    """
    known = {model.id: model for models in listed.values() for model in models}
    found: dict[str, Model] = {}
    for route in routes:
        if is_literal(route.pattern):
            found.setdefault(route.pattern, known.get(route.pattern) or _named(route, known))
    names = {provider: {model.id for model in models} for provider, models in listed.items()}
    for model in known.values():
        if not routes or _is_served(model.id, routes, names):
            found.setdefault(model.id, model)
    return list(found.values())


def _named(route: RouteFacts, known: Mapping[str, Model]) -> Model:
    """A model with a name of the configuration, and the facts of the model behind it."""
    provider, model = route.targets[0] if route.targets else ("", None)
    behind = known.get(model or "")
    return Model(route.pattern, route.pattern, behind.created if behind else 0, provider)


def _is_served(name: str, routes: Iterable[RouteFacts], names: Mapping[str, AbstractSet[str]]) -> bool:
    """Whether the first matching route has a target that knows this model."""
    route = first_route(routes, name)
    if route is None:
        return False
    return any(model is not None or name in names.get(provider, ()) for provider, model in route.targets)


# -- the document


def entry(model: Model) -> dict[str, Any]:
    """One model, as GET /v1/models/{id} returns it."""
    moment = datetime.fromtimestamp(model.created, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "type": "model",
        "object": "model",
        "id": model.id,
        "display_name": model.name or model.id,
        "created_at": moment,
        "created": model.created,
        "owned_by": model.owner,
    }


def listing(
    models: Sequence[Model], *, limit: int | None = None, after_id: str | None = None, before_id: str | None = None
) -> dict[str, Any]:
    """A page. Without `limit` all models: OpenAI's clients do not page. An unknown id is ignored."""
    places = {model.id: place for place, model in enumerate(models)}
    start, end = 0, len(models)
    if after_id in places:
        start = places[after_id] + 1
    elif before_id in places:
        end = places[before_id]
    size = end - start if limit is None else min(max(limit, 1), MOST)
    page = (
        models[max(start, end - size) : end]
        if before_id in places and after_id not in places
        else models[start : start + size]
    )
    return {
        "object": "list",
        "data": [entry(model) for model in page],
        "has_more": len(page) < end - start,
        "first_id": page[0].id if page else None,
        "last_id": page[-1].id if page else None,
    }
