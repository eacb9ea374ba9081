"""The help of every command, as a user reads it in a terminal of 80 columns without colour."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from sluicegate.cli import app

NOT_OUR_ENGLISH = re.compile(r"\b(can not|anew|whoever|somebody|nobody|as far as|in the words of)\b", re.I)


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = dict(commands(typer.main.get_command(app)))


def text_of(path: tuple[str, ...]) -> str:
    environment = {"COLUMNS": "80", "TERMINAL_WIDTH": "80", "NO_COLOR": "1", "TERM": "dumb"}
    result = CliRunner().invoke(app, [*path, "--help"], env=environment)
    assert result.exit_code == 0
    return result.stdout


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_help_fits_80_columns_without_colour(path: tuple[str, ...]) -> None:
    """No line is longer than the terminal, and no escape sequence is in it."""
    text = text_of(path)
    assert max(map(len, text.splitlines())) <= 80
    assert "\x1b" not in text


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_every_command_and_option_says_what_it_does(path: tuple[str, ...]) -> None:
    """Each has a text, in the project's English."""
    command = ALL[path]
    options = [p for p in command.params if p.name != "help"]
    assert command.help
    assert [p.name for p in options if not getattr(p, "help", None)] == []
    said = " ".join([command.help, *(getattr(p, "help", "") or "" for p in options)])
    assert not NOT_OUR_ENGLISH.search(said)


@pytest.mark.parametrize("path", ALL, ids=" ".join)
def test_a_flag_is_shown_without_a_value(path: tuple[str, ...]) -> None:
    """It takes none; options with a value show what it is."""
    assert "bool" not in text_of(path).lower()


def test_commands_are_grouped_by_what_they_are_for() -> None:
    """Each group has a heading, and each command is in one."""
    text = text_of(())
    assert [h for h in ("Run the gate", "See what happens", "Set up", "Try out") if h not in text] == []
    assert "─ Commands ─" not in text
