"""A config file on disk, read with an environment of its own."""

from collections.abc import Callable
from pathlib import Path

import pytest

from sluicegate.settings import ConfigError, Settings, load

type Read = Callable[..., Settings]


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Read:
    """`read(text, NAME="value")` loads the text as `gate.yaml`."""
    monkeypatch.chdir(tmp_path)

    def read(text: str, **environ: str) -> Settings:
        Path("gate.yaml").write_text(text, encoding="utf-8")
        return load(Path("gate.yaml"), {"HOME": "/home/u", **environ})

    return read


@pytest.fixture
def refused(read: Read) -> Callable[..., list[str]]:
    """`refused(text, NAME="value")` gives the lines of the report."""

    def refused(text: str, **environ: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            read(text, **environ)
        return caught.value.report().splitlines()

    return refused
