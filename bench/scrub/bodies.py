"""Request bodies like Claude Code's, generated: a system prompt, tools, and turns full of source code and logs."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any, Final

__all__ = ["Conversation", "body"]

# ruff: noqa: SIM905 - word lists read better as text
_NOUNS: Final = (
    "account address adapter batch buffer bundle cache channel client cluster config context counter cursor device "
    "digest entry event exchange field filter folder frame handler header index invoice job key label layer ledger "
    "limit listener loader message method model module node offset order packet page parser password path payload "
    "peer pool prefix process profile provider query queue record region registry report request resource response "
    "result retry route schema scope secret segment session setting shard signal snapshot source stage status store "
    "stream table target task template tenant thread token topic trace user value vector version view volume worker "
    "zone"
).split()
_VERBS: Final = (
    "accept add apply bind build check clear close commit compare copy count create decode delete drop encode fetch "
    "filter find flush format get handle import insert join list load lock map match merge move open parse poll "
    "push read refresh release remove render replace reset resolve retry run save scan send set sort split start "
    "stop store sync take update validate wait walk write"
).split()
_PROSE: Final = (
    "the a of to in and is that for with as on it by this from are be at or not when which can will if has one all "
    "been its only other more then than also after before over between into where each because while both same "
    "under through"
).split()
_LEVELS: Final = ("DEBUG", "INFO", "INFO", "INFO", "WARNING", "ERROR")


class _Writer:
    def __init__(self, random: Random) -> None:
        self.random = random

    def name(self) -> str:
        return f"{self.random.choice(_VERBS)}_{self.random.choice(_NOUNS)}"

    def hexadecimal(self, digits: int) -> str:
        return f"{self.random.getrandbits(digits * 4):0{digits}x}"

    def sentence(self) -> str:
        words = [
            self.random.choice(_PROSE if self.random.random() < 0.5 else _NOUNS) for _ in range(self.random.randint(6, 18))
        ]
        return " ".join(words).capitalize() + "."

    def prose(self, size: int) -> str:
        return _until(size, lambda: self.sentence() + (" " if self.random.random() < 0.8 else "\n\n"))

    def code(self, size: int) -> str:
        return _until(size, self._function)

    def _function(self) -> str:
        pick, noun = self.random.choice, self.random.choice(_NOUNS)
        result = f"{noun.title()}{pick(_NOUNS).title()}"
        lines = [f"def {self.name()}(self, {noun}: {noun.title()}, {pick(_NOUNS)}_id: str | None = None) -> {result}:"]
        lines.append(f'    """{self.sentence()}"""')
        for _ in range(self.random.randint(3, 14)):
            a, b, c = pick(_NOUNS), pick(_NOUNS), pick(_NOUNS)
            lines.append(
                pick(
                    (
                        f"    {a} = self.{b}.{self.name()}({c}, timeout={self.random.randint(1, 900)})",
                        f"    if {a}.{b} is None or {c}.status >= {self.random.randint(200, 599)}:",
                        f'        raise {a.title()}Error(f"no {b} for {{{c}!r}}")',
                        f"    for {a} in sorted({b}, key=lambda item: item.{c}):",
                        f'        log.info("{a}.{b}", {c}={a}.{c}, elapsed_ms={self.random.random() * 90:.2f})',
                        f'    return {{**{a}, "{b}": self._{c}[{self.random.randint(0, 99)}]}}',
                        f"    # {self.sentence()}",
                        f"    {a}_{b}: dict[str, {c.title()}] = field(default_factory=dict)",
                    )
                )
            )
        return "\n".join(lines) + "\n\n"

    def numbered(self, size: int) -> str:
        """As Claude Code's Read shows a file."""
        return "\n".join(f"{n:6}→{line}" for n, line in enumerate(self.code(size).split("\n"), 1))

    def log(self, size: int) -> str:
        return _until(size, self._log_line)

    def _log_line(self) -> str:
        pick = self.random.choice
        number = self.random.randint
        day, hour = f"2026-{number(1, 12):02}-{number(1, 28):02}", f"{number(0, 23):02}:{number(0, 59):02}:07"
        at = f"{day}T{hour}.{number(0, 999):03}Z"
        return (
            f"{at} {pick(_LEVELS)} [{pick(_NOUNS)}-{self.random.randint(1, 64)}] {pick(_NOUNS)}.{self.name()} "
            f"request_id={self.hexadecimal(8)}-{self.hexadecimal(4)}-4{self.hexadecimal(3)}-a{self.hexadecimal(3)}-"
            f"{self.hexadecimal(12)} {pick(_NOUNS)}={self.random.randint(0, 99999)} sha={self.hexadecimal(40)} "
            f"path=/v1/{pick(_NOUNS)}s/{self.random.randint(1, 9999)} {self.sentence()}\n"
        )


def _until(size: int, more: Any) -> str:
    parts: list[str] = []
    while size > 0:
        parts.append(more())
        size -= len(parts[-1])
    return "".join(parts)


class Conversation:
    """A conversation that grows by one turn at a time: a call of a tool and its result."""

    def __init__(self, seed: int, result_size: int) -> None:
        self._writer = _Writer(Random(seed))  # noqa: S311 - text, not secrets
        self._size = result_size
        self._messages: list[dict[str, Any]] = [{"role": "user", "content": self._writer.prose(1_200)}]
        self._fixed = {
            "model": "claude-sonnet-4-5",
            "max_tokens": 32_000,
            "stream": True,
            "system": [{"type": "text", "text": self._writer.prose(14_000), "cache_control": {"type": "ephemeral"}}],
            "tools": [self._tool() for _ in range(18)],
            "metadata": {"user_id": "user_x_account__session_00000000-0000-4000-8000-000000000000"},
        }

    def _tool(self) -> dict[str, Any]:
        properties = {self._writer.name(): {"type": "string", "description": self._writer.sentence()} for _ in range(4)}
        schema = {"type": "object", "properties": properties, "required": list(properties)}
        return {"name": self._writer.name(), "description": self._writer.prose(1_500), "input_schema": schema}

    def turns(self) -> Iterator[dict[str, Any]]:
        """The bodies of one request after the other, for ever."""
        while True:
            self._turn()
            yield {**self._fixed, "messages": list(self._messages)}

    def _turn(self) -> None:
        write, use = self._writer, f"toolu_{self._writer.hexadecimal(24)}"
        given = {"file_path": f"/src/{write.name()}.py", "offset": 1, "limit": 2_000, "pattern": write.name()}
        result = write.random.choice((write.numbered, write.code, write.log))(self._size)
        self._messages += (
            {
                "role": "assistant",
                "content": [
                    {"type": "text", "text": write.prose(300)},
                    {"type": "tool_use", "id": use, "name": "Read", "input": given},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use, "content": result}]},
        )


def body(seed: int, size: int) -> dict[str, Any]:
    """One body of about so many bytes."""
    turns = Conversation(seed, 12_000).turns()
    for _ in range(max(1, (size - 45_000) // 12_600)):
        found = next(turns)
    return found
