"""Every test can fail: it asserts something, and nothing that holds whatever happens."""

from __future__ import annotations

import ast
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent
FILES = sorted(ROOT.rglob("test_*.py"))
RAISING = {"pytest.raises", "pytest.warns", "pytest.fail"}
LIBRARIES = {"assert_allclose", "assert_array_equal", "assert_equal", "assert_frame_equal", "assert_series_equal"}
"""Functions of numpy.testing and pandas.testing; all others that stand for an assertion are those of tests/."""
BROWSER = {"wait_for_function", "wait_for_selector", "wait_for_url"}
"""Methods of playwright's pages that fail unless something becomes true (wait_for_timeout never does)."""


def functions_of(source: str) -> list[ast.FunctionDef]:
    """Test functions of a module, those of classes included."""
    return [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]


def asserts(node: ast.AST, helpers: frozenset[str] = frozenset()) -> bool:
    """Whether a statement or an expression fails when something is not as it should be.

    `helpers` are functions of the tests that assert; a function of the package never counts, whatever its name.
    """
    if isinstance(node, ast.Assert):
        return not (isinstance(node.test, ast.Constant) and node.test.value)
    if isinstance(node, ast.Call):
        name = ast.unparse(node.func)
        last = name.rpartition(".")[2]
        return name in RAISING or last in LIBRARIES | BROWSER or last in helpers
    return False


def asserting(modules: list[ast.Module]) -> frozenset[str]:
    """Names of the functions that are defined in the modules and fail by themselves, also through each other."""
    functions = [
        node
        for module in modules
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("test_")
    ]
    found: frozenset[str] = frozenset()
    while True:
        more = frozenset(
            function.name for function in functions if any(asserts(node, found) for node in ast.walk(function))
        )
        if more == found:
            return found
        found = more


@cache
def shared_helpers() -> frozenset[str]:
    """Helpers of all modules of tests/."""
    return asserting([ast.parse(path.read_text(encoding="utf-8")) for path in ROOT.rglob("*.py")])


def local_helpers(source: str) -> frozenset[str]:
    """Helpers of a test module: its own, and those of tests/ that it imports."""
    module = ast.parse(source)
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.ImportFrom) and (node.level or (node.module or "").split(".")[0] == "tests")
        for alias in node.names
    }
    return asserting([module]) | (shared_helpers() & imported)


def silent(source: str) -> list[str]:
    """Tests without any assertion."""
    helpers = local_helpers(source)
    return [test.name for test in functions_of(source) if not any(asserts(node, helpers) for node in ast.walk(test))]


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
def assert_same(a, b): assert a == b
def check_all(): assert_same(1, 2)
def test_helper(): check_all()
def test_production(): check_data(1)
def test_waits(page): page.wait_for_timeout(100)
class TestMore:
    def test_inner(self): compute()
"""
    assert silent(source) == ["test_nothing", "test_true", "test_production", "test_waits", "test_inner"]
    assert [line.split(":")[0] for line in tautologies(source)] == ["3", "4", "5", "6"]
