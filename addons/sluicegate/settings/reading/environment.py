"""What the environment adds to a configuration: `${NAME}`, `SLUICEGATE__SECTION__KEY`, the state folder."""

import re
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from sluicegate.settings.errors import (
    ConfigError,
    KeyPath,
    Problem,
    dotted,
)
from sluicegate.settings.reading.node import Node, Value
from sluicegate.settings.reading.yaml_tree import Malformed, compose, plain_scalar

PREFIX: Final = "SLUICEGATE__"

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_NAME_AND_DEFAULT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?", re.DOTALL)


def expand(root: Node, environ: Mapping[str, str]) -> tuple[Node, list[Problem]]:
    """Replace `${NAME}` and `${NAME:-default}` in every text of the tree; `$${` stands for `${`.

    As in a shell the default also stands in for an empty value. Texts that cannot be replaced come back as
    problems and as broken nodes.
    """
    expander = _Expander(environ)
    return expander.node(root, ()), expander.problems


class _Expander:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self.problems: list[Problem] = []
        self._environ = environ

    def node(self, node: Node, path: KeyPath) -> Node:
        value = node.value
        if node.variable is not None and not isinstance(value, dict | list):
            return node  # it comes from the environment already
        match value:
            case str() if "${" in value:
                text = self._text(value, path)
                return replace(node, broken=True) if text is None else replace(node, value=text, expanded=True)
            case list():
                return replace(node, value=[self.node(item, (*path, i)) for i, item in enumerate(value)])
            case dict():
                return replace(node, value=self._entries(value, path))
        return node

    def _entries(self, entries: dict[str, Node], path: KeyPath) -> dict[str, Node]:
        expanded: dict[str, Node] = {}
        for key, item in entries.items():
            name = self._text(key, (*path, key)) if "${" in key and item.variable is None else key
            if name is not None and name in expanded:
                self.problems.append(((*path, key), "another key has the same name"))
            expanded[key if name is None else name] = self.node(item, (*path, key if name is None else name))
        return expanded

    def _text(self, written: str, path: KeyPath) -> str | None:
        faults: list[str] = []
        expanded = _REFERENCE.sub(lambda match: self._reference(match, faults), written)
        self.problems.extend((path, fault) for fault in faults[:1])
        return None if faults else expanded

    def _reference(self, match: re.Match[str], faults: list[str]) -> str:
        if match[0] == "$${":
            return "${"
        parsed = _NAME_AND_DEFAULT.fullmatch(match[1] or "")
        if parsed is None:
            faults.append("expected ${NAME} or ${NAME:-default}; write $${ for a literal ${")
            return ""
        name, default = parsed[1], parsed[2]
        value = self._environ.get(name)
        if value is None and default is None:
            faults.append(f"the environment variable {name} is not set; ${{{name}:-…}} gives a default")
        return value or default or ""


def override(root: Node, environ: Mapping[str, str]) -> tuple[Node, list[ConfigError]]:
    """Put the values of `SLUICEGATE__SECTION__KEY=value` variables over those of the file.

    Case does not matter; a name of the file is met by its spelling with `_` for `-`; a number picks an entry of
    a list. The value is a YAML scalar, or a flow list or mapping if it begins with a bracket.
    """
    errors: list[ConfigError] = []
    names = [name for name in environ if name.upper().startswith(PREFIX)]
    for name in sorted(names, key=lambda name: (name.count("__"), name)):  # a section before its parts
        steps = name[len(PREFIX) :].split("__")
        path = dotted(tuple(step.lower() for step in steps if step))
        try:
            root = _put(root, steps, _parsed(environ[name], name), name)
        except Malformed as error:
            errors.append(ConfigError(path, name, None, str(error)))
    return root, errors


def _parsed(text: str, variable: str) -> Node:
    if not text.strip():
        raise Malformed(None, "the variable is empty; unset it, or write '' for an empty text")
    if text.lstrip()[0] in "[{\"'":
        return compose(text, variable) or Node(None, variable=variable)
    return Node(plain_scalar(text.strip()), variable=variable)


def _put(node: Node, steps: list[str], leaf: Node, variable: str) -> Node:
    if not steps:
        return leaf
    step, *rest = steps
    if not step:
        raise Malformed(None, "expected SLUICEGATE__SECTION__KEY")
    value = {} if node.value is None else node.value
    changed: Value
    if isinstance(value, dict):
        wanted = step.lower()
        known = [key for key in value if key.lower().replace("-", "_") == wanted]
        if len(known) > 1:
            raise Malformed(None, f"it could mean {' or '.join(known)}")
        key = known[0] if known else wanted
        below = value.get(key, Node({}, variable=variable))
        changed = {**value, key: _put(below, rest, leaf, variable)}
    elif isinstance(value, list):
        if not step.isascii() or not step.isdigit() or len(step) > 6 or int(step) >= len(value):
            raise Malformed(None, f"there is no entry {step[:64]}; the list has {len(value)}, counted from 0")
        changed = [_put(item, rest, leaf, variable) if i == int(step) else item for i, item in enumerate(value)]
    else:
        raise Malformed(None, f"there are no keys below a single value, so no {step[:64]}")
    return replace(node, value=changed)


def default_state_dir(environ: Mapping[str, str]) -> Path:
    """SLUICEGATE_STATE_DIR, else `sluicegate` in the platform's folder for a user's state."""
    if chosen := environ.get("SLUICEGATE_STATE_DIR"):
        return Path(chosen).expanduser()
    home = Path(environ["HOME"]) if environ.get("HOME") else Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "sluicegate"
    if sys.platform == "win32":
        local = environ.get("LOCALAPPDATA")
        return (Path(local) if local else home / "AppData" / "Local") / "sluicegate"
    state = environ.get("XDG_STATE_HOME", "")
    # XDG Base Directory Specification: relative paths are invalid and are to be ignored.
    return (Path(state) if state.startswith("/") else home / ".local" / "state") / "sluicegate"
