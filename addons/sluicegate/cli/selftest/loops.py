"""Cases with more than one call: tools that get values, a second turn, a second provider."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from sluicegate.cli.selftest.rig import (
    OPUS,
    SONNET,
    Failed,
    LeftOut,
    Rig,
)
from sluicegate.core.redact.restore.egress import has_egress
from sluicegate.core.wire.sse import SSEParser

__all__ = ["both_turns", "fails_over", "given_to", "withheld_from"]


def given_to(tool: str, template: Mapping[str, str]) -> Callable[[Rig], None]:
    """The model calls a tool with the placeholder it saw: the client gets the value."""
    return lambda rig: _call(rig, tool, template, given=True)


def withheld_from(tool: str, template: Mapping[str, str]) -> Callable[[Rig], None]:
    """The same; the client gets the placeholder."""
    return lambda rig: _call(rig, tool, template, given=False)


def _call(rig: Rig, tool: str, template: Mapping[str, str], *, given: bool) -> None:
    plant, session = rig.plant(), rig.session()
    mark = rig.first.mark()
    rig.send(_said(plant.value, system=plant.text), session=session)
    arrived = rig.first.since(mark)[0]
    if not arrived:
        raise Failed("the request did not reach the provider")
    name = json.loads(arrived[0].body)["messages"][0]["content"]
    asked = {key: text.replace("{}", name) for key, text in template.items()}
    _as_configured(rig, tool, asked, given=given)
    knobs = {"tool": tool, "tool_input": asked, "chunk_bytes": 5}
    for stream in (False, True):
        reply = rig.send(_said(plant.value, system=plant.text, stream=stream), session=session, sim=knobs)
        got = _input_of(reply.body, stream=stream)
        expected = {key: text.replace("{}", plant.value if given else name) for key, text in template.items()}
        if got != expected:
            raise Failed("the tool did not get the value" if given else "the tool got the value, not the placeholder")


def _as_configured(rig: Rig, tool: str, asked: Mapping[str, str], *, given: bool) -> None:
    """Skip the case if the configuration decides otherwise for this tool."""
    policy = rig.tools
    rule = policy.rule(tool)
    allowed = not has_egress(json.dumps(asked), policy.hosts) if rule == "no-egress" else rule
    if allowed is not given:
        raise LeftOut(f"scrub.restore has {tool}: {json.dumps(rule)}")


def _input_of(body: bytes, *, stream: bool) -> Any:
    try:
        if not stream:
            return json.loads(body)["content"][0]["input"]
        deltas = (json.loads(e.data).get("delta", {}) for e in SSEParser().feed(body))
        return json.loads("".join(d.get("partial_json") or "" for d in deltas))
    except (ValueError, LookupError):
        raise Failed("the response has no tool call") from None


def both_turns(rig: Rig) -> None:
    """A hidden text has the same bytes in the second turn as in the first."""
    first, second, session = rig.plant(), rig.plant(), rig.session()
    mark = rig.first.mark()
    body = _said(first.text)
    rig.send(body, session=session)
    body["messages"] += [{"role": "assistant", "content": "ok"}, {"role": "user", "content": second.text}]
    rig.send(body, session=session)
    sent = [json.loads(request.body)["messages"] for request in rig.first.since(mark)[0]]
    if len(sent) != 2:
        raise Failed("a request did not reach the provider")
    if sent[1][0] != sent[0][0]:
        raise Failed("the first message changed between the turns")
    if sent[1][2] == sent[0][0]:
        raise Failed("two values got the same placeholder")


def fails_over(rig: Rig) -> None:
    """The first provider is overloaded: the second gets the placeholder as well, and the client its value."""
    plant = rig.plant()
    rig.first.simulator.script({"status": 529, "match": {"model": OPUS}})
    marks = rig.first.mark(), rig.second.mark()
    reply = rig.send({**_said(plant.text), "model": OPUS})
    if reply.status != 200:
        raise Failed(f"expected status 200, got {reply.status}")
    arrived = [*rig.first.since(marks[0])[0], *rig.second.since(marks[1])[0]]
    if len(arrived) != 2 or not all(map(rig.is_hidden, arrived)):
        raise Failed("not both providers got the placeholder")
    if plant.value not in reply.body.decode():
        raise Failed("the client did not get its value back")


def _said(text: str, **more: Any) -> dict[str, Any]:
    return {"model": SONNET, "max_tokens": 8000, "messages": [{"role": "user", "content": text}], **more}
