"""What is wrong with a configuration, where, and in which file and line."""

import re

type KeyPath = tuple[str | int, ...]
type Problem = tuple[KeyPath, str]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]+")


def dotted(path: KeyPath) -> str:
    """`("routes", 1, "targets", 0)` → `routes[1].targets[0]`; a key that is not a plain word: `prices["gpt-4.1"]`."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            shown += f".{step}" if shown else step
        else:
            shown += f'["{step if len(step) <= 64 else step[:60] + "…"}"]'
    return shown


class ConfigError(ValueError):
    """One fault in the configuration. The fault never quotes a secret.

    `path` is the dotted key, "" for the whole file. `file` is the file as it was named, or the environment
    variable that set the value (then `line` is None). `also` holds the other faults of the same reading.
    """

    def __init__(self, path: str, file: str, line: int | None, message: str, also: "tuple[ConfigError, ...]" = ()) -> None:
        self.path = path
        self.file = file
        self.line = line
        self.message = message
        self.also = also
        place = f"{file}:{line}" if file and line is not None else file
        super().__init__(": ".join(part for part in (place, path, message) if part))

    def report(self) -> str:
        """All faults of this reading, one a line."""
        return "\n".join(str(error) for error in (self, *self.also))


def raise_all(errors: list[ConfigError]) -> None:
    """Raise the first of the errors with the rest in its `also`; do nothing if there are none."""
    if errors:
        first, *rest = errors
        raise ConfigError(first.path, first.file, first.line, first.message, tuple(rest))
