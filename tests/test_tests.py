"""Every test can fail: it asserts something, and nothing that holds whatever happens."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
FILES = sorted(ROOT.rglob("test_*.py"))
RAISING = {"pytest.raises", "pytest.warns", "pytest.fail"}
HELPERS = {"until"}
"""Functions that fail by themselves and are not named assert_... or check_...; each must be one of tests/."""


def functions_of(source: str) -> list[ast.FunctionDef]:
    """Test functions of a module, those of classes included."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def asserts(node: ast.AST) -> bool:
    """Whether a statement or an expression fails when something is not as it should be."""
    if isinstance(node, ast.Assert):
        return not (isinstance(node.test, ast.Constant) and node.test.value)
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        return name in RAISING or last in HELPERS or last.startswith(("assert_", "check_", "wait_for_"))
    return False


def silent(source: str) -> list[str]:
    """Tests without any assertion."""
    return [test.name for test in functions_of(source) if not any(asserts(node) for node in ast.walk(test))]


def tautologies(source: str) -> list[str]:
    """Assertions of tests that hold whatever happens."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Assert):
            parts = node.test.values if isinstance(node.test, ast.BoolOp) else [node.test]
            constant = any(isinstance(part, ast.Constant | ast.JoinedStr | ast.Lambda) for part in parts)
            if constant or isinstance(node.test, ast.Tuple) or _same_on_both_sides(node.test):
                found.append(f"{node.lineno}: {ast.unparse(node)}")
    return found


def _same_on_both_sides(test: ast.expr) -> bool:
    """Whether a name is compared with itself (a call may give something else the second time)."""
    if not isinstance(test, ast.Compare) or any(isinstance(node, ast.Call) for node in ast.walk(test)):
        return False
    return len(test.comparators) == 1 and ast.dump(test.left) == ast.dump(test.comparators[0])


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_test_asserts(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert silent(source) == []
    assert tautologies(source) == []


def test_the_walk_finds_what_it_looks_for() -> None:
    source = """
def test_nothing(): compute()
def test_true(): assert True
def test_message(): assert (1 == 2, "never fails")
def test_or(): assert compute() or True
def test_itself(x): assert x == x
def test_calls(): assert draw(1) == draw(1)
def test_raises():
    with pytest.raises(ValueError): compute()
def test_helper(): assert_same(1, 2)
class TestMore:
    def test_inner(self): compute()
"""
    assert silent(source) == ["test_nothing", "test_true", "test_inner"]
    assert [line.split(":")[0] for line in tautologies(source)] == ["3", "4", "5", "6"]


def test_helpers_that_assert_exist() -> None:
    defined = {
        node.name
        for path in ROOT.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }
    assert defined >= HELPERS
