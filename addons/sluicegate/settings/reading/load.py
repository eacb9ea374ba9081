"""File and environment → Settings, or every fault found with its key, file and line."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Final

import msgspec
from msgspec import inspect

from sluicegate.settings.checks import check
from sluicegate.settings.errors import ConfigError, Problem, raise_all
from sluicegate.settings.reading.environment import default_state_dir, expand, override
from sluicegate.settings.reading.node import Node, Origins
from sluicegate.settings.reading.reader import Reader
from sluicegate.settings.reading.yaml_tree import Malformed, compose
from sluicegate.settings.secret import Secret
from sluicegate.settings.tree import Settings

MAX_FILE_BYTES: Final = 1_000_000


def load(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Settings from a YAML file and from the environment; with None from the environment alone.

    Secrets stay references and are not read. Raises ConfigError, the other faults in its `also`.
    """
    return load_with_origins(path, environ)[0]


def load_with_origins(path: Path | None, environ: Mapping[str, str]) -> tuple[Settings, Origins]:
    """`load`, and where each value was written."""
    file = "" if path is None else str(path)
    written = Node({}) if path is None else _document(path, file)
    merged, errors = override(written, environ)
    raise_all(errors)
    root, problems = expand(merged, environ)
    origins = Origins(file, root)
    if not isinstance(root.value, dict):
        raise origins.error((), "expected a mapping of sections at the top")
    if "state_dir" not in root.value:
        given = {**root.value, "state_dir": Node(str(default_state_dir(environ)))}
        root = Node(given, root.line, root.variable)
    reader = Reader(from_text)
    plain = reader.read(root, _settings_type())
    _raise_in_order(origins, [*problems, *reader.problems])
    try:
        settings = msgspec.convert(plain, Settings, dec_hook=from_text)
    except msgspec.ValidationError as error:  # only if the reader above knew less than msgspec
        raise origins.error((), str(error)) from None
    keyed = {name: provider.keyed(environ) for name, provider in settings.providers.items()}
    settings = msgspec.structs.replace(settings, providers=keyed)
    _raise_in_order(origins, list(check(settings)))
    return settings, origins


def from_text(kind: type, written: object) -> object:
    """msgspec's dec_hook for the types that are ours. Raises ValueError."""
    if kind is Secret:
        return Secret.parse(written)
    if kind is Path:
        if not isinstance(written, str) or not written or "\0" in written:
            raise ValueError("expected a path")
        return Path(written).expanduser()
    raise NotImplementedError(kind.__name__)


@cache
def _settings_type() -> inspect.Type:
    return inspect.type_info(Settings)


def _document(path: Path, file: str) -> Node:
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise ConfigError("", file, None, f"cannot be read: {error.strerror}") from None
    if len(raw) > MAX_FILE_BYTES:
        raise ConfigError("", file, None, f"larger than {MAX_FILE_BYTES} bytes")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError("", file, raw[: error.start].count(b"\n") + 1, "not UTF-8 text") from None
    try:
        root = compose(text)
    except Malformed as error:
        raise ConfigError("", file, error.line, str(error)) from None
    return Node({}) if root is None or root.value is None else root


def _raise_in_order(origins: Origins, problems: list[Problem]) -> None:
    errors = [origins.error(path, message) for path, message in problems]
    raise_all(sorted(errors, key=lambda error: (error.line is None, error.line or 0)))
