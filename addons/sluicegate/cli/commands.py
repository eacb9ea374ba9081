"""Typer with the help that we want: flags are shown without a value, as they take none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

__all__ = ["Commands"]


def _bare_flags(params: list[Any]) -> list[Any]:
    """Typer shows a type beside every option, `<bool>` beside a flag."""
    for param in params:
        if getattr(param, "is_flag", False) and param.metavar is None:
            param.metavar = ""
    return params


class _Command(TyperCommand):
    def get_params(self, ctx: Any) -> list[Any]:
        return _bare_flags(super().get_params(ctx))


class _Group(TyperGroup):
    def get_params(self, ctx: Any) -> list[Any]:
        return _bare_flags(super().get_params(ctx))


class Commands(typer.Typer):
    """An app, or a group of commands."""

    def __init__(self, **options: Any) -> None:
        super().__init__(cls=_Group, no_args_is_help=True, **options)

    def command(self, *args: Any, **options: Any) -> Callable[..., Any]:
        return super().command(*args, cls=_Command, **options)
