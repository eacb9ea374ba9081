"""The configuration as it was written: values that remember their line, and the way back from a key to it."""

from dataclasses import dataclass, field

from sluicegate.settings.errors import ConfigError, KeyPath, dotted

type Value = bool | int | float | str | list[Node] | dict[str, Node] | None


@dataclass(frozen=True, slots=True)
class Node:
    value: Value
    line: int | None = None  # of the key, for an entry of a mapping
    variable: str | None = None  # the environment variable that set it, instead of a line
    expanded: bool = False  # `${NAME}` was replaced: the value may be confidential, and its type is open
    broken: bool = False  # already reported: pass over it
    size: int = field(default=1, compare=False)  # nodes in it, aliases counted each time


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the values came from. An empty one knows no place."""

    file: str = ""
    root: Node | None = None

    def error(self, path: KeyPath, message: str) -> ConfigError:
        """The fault at the deepest part of the path that was written down."""
        file, line = self.locate(path)
        return ConfigError(dotted(path), file, line, message)

    def locate(self, path: KeyPath) -> tuple[str, int | None]:
        """File and line, or variable and None, of the path or of its nearest ancestor."""
        node = self.root
        if node is None:
            return self.file, None
        for step in path:
            below: Node | None = None
            if isinstance(node.value, dict) and isinstance(step, str):
                below = node.value.get(step)
            elif isinstance(node.value, list) and isinstance(step, int) and step < len(node.value):
                below = node.value[step]
            if below is None:
                break
            node = below
        if node.variable is not None:
            return node.variable, None
        return self.file, node.line
