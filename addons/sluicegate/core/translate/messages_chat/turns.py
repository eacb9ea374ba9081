"""A Messages conversation as Chat Completions messages.

Chat Completions wants the results of tools as messages of their own, all of them directly behind the turn that called
the tools, and takes text only in them: images and documents move into the user's message behind the run.
"""

from __future__ import annotations

from typing import Final

from sluicegate.core.messages.attribution import ATTRIBUTION_PREFIX
from sluicegate.core.translate.base import Losses, Malformed
from sluicegate.core.translate.messages_chat.flavours import Flavour
from sluicegate.core.translate.messages_chat.parts import joined, parts_of
from sluicegate.core.translate.reading import (
    Json,
    element,
    encode,
    flag,
    items,
    mapping,
    text,
    word,
)
from sluicegate.core.translate.tool_names import call_id, nine_letters, sent_name

__all__ = ["chat_messages"]

_ATTACHED: Final = "See the attachment in the next message."


def chat_messages(body: Json, flavour: Flavour, losses: Losses) -> list[Json]:
    """`system` and `messages` of a Messages request."""
    turns = _Turns(flavour, losses)
    turns.system(body, "system", "")
    for i, message in enumerate(items(body, "messages", "")):
        turns.take(element(message, f"messages[{i}]"), f"messages[{i}]")
    turns.end()
    return turns.out


class _Turns:
    def __init__(self, flavour: Flavour, losses: Losses) -> None:
        self.out: list[Json] = []
        self._flavour, self._losses = flavour, losses
        self._run: int | None = None
        """Where the next tool result goes: after the last call and its results so far."""
        self._prefill = ""

    def take(self, message: Json, path: str) -> None:
        self._prefill = ""
        match message.get("role"):
            case "user":
                self._user(message, path)
            case "assistant":
                self._assistant(message, path)
            case "system":
                self.system(message, "content", path)
            case role:
                raise Malformed(f"{path}.role", f"{word(role)} is not a role: it must be user, assistant or system")

    def end(self) -> None:
        if self._prefill:
            self._losses.unsupported(
                self._prefill, "Chat Completions cannot continue a started turn", "End with a user message."
            )

    def system(self, owner: Json, key: str, path: str) -> None:
        """A system prompt, at the start or within a conversation: it keeps its place."""
        value = owner.get(key)
        at = f"{path}.{key}" if path else key
        if isinstance(value, str):
            texts = [value]
        else:
            texts = [
                self._system_text(element(b, f"{at}[{i}]"), f"{at}[{i}]") for i, b in enumerate(items(owner, key, path))
            ]
        kept = [t for t in (self._unattributed(t) for t in texts) if t]
        if kept:
            self.out.append({"role": "system", "content": "\n\n".join(kept)})

    def _system_text(self, block: Json, path: str) -> str:
        found = parts_of(block, path, self._flavour, self._losses) if block.get("type") == "text" else None
        if found is None:
            raise Malformed(f"{path}.type", "must be text")
        return found[0]["text"] if found else ""

    def _unattributed(self, prompt: str) -> str:
        if not prompt.startswith(ATTRIBUTION_PREFIX):
            return prompt
        self._losses.drop("attribution")
        return prompt.partition("\n")[2]

    def _user(self, message: Json, path: str) -> None:
        content = message.get("content")
        if isinstance(content, str):
            self.out.append({"role": "user", "content": content})
            return
        moved: list[Json] = []
        said: list[Json] = []
        for i, b in enumerate(items(message, "content", path)):
            at = f"{path}.content[{i}]"
            block = element(b, at)
            if block.get("type") == "tool_result":
                moved += self._result(block, at)
            else:
                said += parts_of(block, at, self._flavour, self._losses)
        if moved or said:
            self.out.append({"role": "user", "content": joined(moved + said)})

    def _result(self, block: Json, path: str) -> list[Json]:
        """Adds a tool result to the run. Returns the parts that it cannot hold."""
        if "cache_control" in block:
            self._losses.drop("cache_control")
        texts: list[str] = []
        moved: list[Json] = []
        if isinstance(content := block.get("content"), str):
            texts.append(content)
        else:
            for i, b in enumerate(items(block, "content", path)):
                at = f"{path}.content[{i}]"
                for part in parts_of(element(b, at), at, self._flavour, self._losses):
                    if part["type"] == "text":
                        texts.append(part["text"])
                    else:
                        moved.append(part)
        said = "\n\n".join(texts) or (_ATTACHED if moved else "")
        if flag(block, "is_error", path):
            said = f"Error: {said}"
        at_end = len(self.out) if self._run is None else self._run
        made = {"role": "tool", "tool_call_id": self._id(text(block, "tool_use_id", path)), "content": said}
        self.out.insert(at_end, made)
        self._run = at_end + 1
        return moved

    def _id(self, given: str) -> str:
        return nine_letters(given) if self._flavour.short_ids else call_id(given)

    def _assistant(self, message: Json, path: str) -> None:
        said, thought, calls = "", "", list[Json]()
        if isinstance(content := message.get("content"), str):
            said = content
        else:
            for i, b in enumerate(items(message, "content", path)):
                block, at = element(b, f"{path}.content[{i}]"), f"{path}.content[{i}]"
                if "cache_control" in block:
                    self._losses.drop("cache_control")
                match block.get("type"):
                    case "text":
                        said += text(block, "text", at)
                    case "thinking":
                        thought += text(block, "thinking", at, "")
                    case "redacted_thinking":
                        self._losses.drop("thinking")
                    case "tool_use":
                        calls.append(self._call(block, at))
                    case kind:
                        self._losses.unsupported(at, f"a block of type {word(kind)} has no counterpart in Chat Completions")
        self._answered(said, thought, calls, f"{path}.content")

    def _call(self, block: Json, path: str) -> Json:
        arguments = encode(mapping(block, "input", path)).decode()
        function = {"name": sent_name(text(block, "name", path)), "arguments": arguments}
        return {"id": self._id(text(block, "id", path)), "type": "function", "function": function}

    def _answered(self, said: str, thought: str, calls: list[Json], path: str) -> None:
        self._run = None
        turn: Json = {"role": "assistant", "content": said or None}
        if thought and self._flavour.reasoning_key:
            turn[self._flavour.reasoning_key] = thought
        elif thought:
            self._losses.drop("thinking")
        if calls:
            turn["tool_calls"] = calls
        elif not said:
            return  # only thinking: nothing is left to send
        else:
            self._prefill = path
        self.out.append(turn)
        if calls:
            self._run = len(self.out)
