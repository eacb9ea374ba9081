"""scripts/mutants: what it changes in a module, and that the same sample is drawn every time."""

from __future__ import annotations

import ast
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).resolve().parent.parent / "scripts" / "mutants"
CODE = '''
"""A module."""
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    import nothing
LIMIT: "int" = 3
def most(a: int, b: int) -> bool | None:
    """At most three."""
    for x in (a, b):
        if not x and a < b:
            continue
    print(a)
    return max(a, b) == LIMIT
'''


@pytest.fixture(scope="module")
def mutants() -> Any:
    loader = SourceFileLoader("mutants", str(SCRIPT))
    spec = spec_from_loader("mutants", loader)
    assert spec
    module = module_from_spec(spec)
    sys.modules["mutants"] = module  # dataclasses look there
    written, sys.dont_write_bytecode = sys.dont_write_bytecode, True  # nothing beside the script
    try:
        loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = written
    return module


def test_each_change_is_one_expression(mutants: Any, tmp_path: Path) -> None:
    """Operators, numbers, conditions, results, calls and jumps; no docstring, annotation or import for the type checker."""
    path = tmp_path / "module.py"
    path.write_text(CODE)
    found = mutants.mutants_of(path)
    assert {m.text for m in found} == {
        "3  →  4",
        "not x and a < b  →  not x or a < b",
        "if not x and a < b:  →  if not (not x and a < b):",
        "not x  →  x",
        "a < b  →  a <= b",
        "continue  →  break",
        "print(a)  →  None",
        "return max(a, b) == LIMIT  →  return None",
        "max(a, b) == LIMIT  →  max(a, b) != LIMIT",
        "max  →  min",
    }
    sources = {ast.unparse(mutants.mutated(m)) for m in found}
    assert len(sources) == len(found)
    assert ast.unparse(ast.parse(CODE)) not in sources


def test_the_sample_is_the_same_every_time(mutants: Any) -> None:
    """Up to the number from each folder."""
    one, two = (mutants.sample(["core/cachekey", "core/routing/paths.py"], 4) for _ in range(2))
    assert one == two
    assert [str(m.path.parent.relative_to(mutants.PACKAGE)) for m in one] == ["core/cachekey"] * 4 + ["core/routing"] * 4


def test_the_tests_of_a_module(mutants: Any) -> None:
    """The file of its name before the rest of the folder; the nearest folder that there is."""
    own, rest = mutants.tests_for(mutants.PACKAGE / "core" / "cachekey" / "key.py")
    assert own == [str(SCRIPT.parent.parent / "tests" / "core" / "cachekey" / "test_key.py")]
    assert rest[0] == str(SCRIPT.parent.parent / "tests" / "core" / "cachekey")
    assert rest[1] == f"--ignore={own[0]}"
