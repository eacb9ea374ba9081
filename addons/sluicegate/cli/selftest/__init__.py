"""`sluicegate selftest`: show that no planted secret leaves a real gate, with leak witnesses as providers.

The cases are the table CASES. With --config, the rules of that configuration are tested.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Annotated, Literal, NoReturn

import typer

from sluicegate.cli.places import fail
from sluicegate.cli.processes import ProcessError
from sluicegate.cli.scrub import finder_of
from sluicegate.cli.selftest.cases import CASES, Case
from sluicegate.cli.selftest.plants import Nursery
from sluicegate.cli.selftest.rig import (
    Failed,
    LeftOut,
    Rig,
    open_rig,
)
from sluicegate.settings import ConfigError, load
from sluicegate.settings.scrub import Scrub

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["CASES", "selftest"]

_BUILTIN = Scrub(rules=("basic", "gitleaks"))


@dataclass(frozen=True, slots=True)
class Result:
    case: str
    result: Literal["pass", "FAIL", "left out"]
    detail: str = ""


def selftest(
    config: Annotated[
        Path | None,
        typer.Option(
            "--config", "-c", help="Configuration file with the scrub section to test. Default: rules basic and gitleaks."
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the results as JSON.")] = False,
) -> None:
    """Send planted secrets through a real gate and check that none arrives. Needs no network."""
    from rich.console import Console

    scrub = _BUILTIN if config is None else _section(config)
    nursery = Nursery(finder_of(scrub), Random(os.urandom(16)))  # noqa: S311 - made-up secrets
    for number in (signal.SIGTERM, getattr(signal, "SIGHUP", signal.SIGTERM)):
        signal.signal(number, _leave)  # so that the child processes end with this one
    console = Console(highlight=False, markup=False, stderr=as_json)
    try:
        with tempfile.TemporaryDirectory(prefix="sluicegate-selftest-", ignore_cleanup_errors=True) as folder:
            results = _played(console, scrub, nursery, Path(folder))
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    except ProcessError as e:
        fail(str(e), 1)
    ok = not any(r.result == "FAIL" for r in results) and any(r.result == "pass" for r in results)
    if as_json:
        cases = [{"case": r.case, "result": r.result.lower(), "detail": r.detail} for r in results]
        typer.echo(json.dumps({"ok": ok, "cases": cases}, indent=1))
    else:
        _show(console, results, scrub, nursery)
        if config is not None and scrub.mode in ("off", "detect"):
            console.print(f"scrub.mode is {scrub.mode}, which hides nothing; this tested pseudonymize and block")
    if not ok:
        raise typer.Exit(1)


def _section(config: Path) -> Scrub:
    try:
        return load(config, os.environ).scrub
    except ConfigError as e:
        fail(e.report())


def _leave(number: int, _frame: object) -> NoReturn:
    raise SystemExit(128 + number)


def _played(console: Console, scrub: Scrub, nursery: Nursery, folder: Path) -> list[Result]:
    with console.status("Starting two gates and two witnesses ...") as status, open_rig(scrub, nursery, folder) as rig:
        results = []
        for number, case in enumerate(CASES, 1):
            status.update(f"{number}/{len(CASES)}  {case.title}")
            results.append(_result(rig, case))
        return results


def _result(rig: Rig, case: Case) -> Result:
    """Play a case. A value that a witness sees is a failure, whatever the case itself reports."""
    marks = [(witness, witness.mark()) for witness in (rig.first, rig.second)]
    result = Result(case.title, "pass")
    try:
        case.play(rig)
    except LeftOut as e:
        result = Result(case.title, "left out", str(e))
    except Failed as e:
        result = Result(case.title, "FAIL", str(e))
    except (ValueError, LookupError, OSError) as e:
        result = Result(case.title, "FAIL", f"unreadable response ({type(e).__name__})")
    wanted = rig.wanted()
    if leaks := [leak for witness, mark in marks for leak in witness.leaks(mark, wanted)]:
        return Result(case.title, "FAIL", f"LEAK: {'; '.join(leaks[:3])}")
    return result


def _show(console: Console, results: list[Result], scrub: Scrub, nursery: Nursery) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("case", no_wrap=True)
    table.add_column("result", no_wrap=True)
    table.add_column("", overflow="fold")
    styles = {"pass": "green", "FAIL": "bold red", "left out": "yellow"}
    for r in results:
        table.add_row(r.case, r.result, r.detail, style=styles[r.result] if r.result != "pass" else None)
    console.print(table)
    counts = ", ".join(f"{sum(r.result == kind for r in results)} {kind}" for kind in ("pass", "FAIL", "left out"))
    rules = len(nursery.finder.rules)
    console.print(f"\n{counts}; {rules} rules of {', '.join(scrub.rules)}, style {scrub.style}, {scrub.numbering}")
