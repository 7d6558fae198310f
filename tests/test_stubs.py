"""The signatures that editors and type checkers see are those of the functions that run."""

from __future__ import annotations

import ast
import inspect
from functools import cache
from typing import Any

import pytest

import mira_nb
from mira_nb import stubs

PUBLIC = [name for name in mira_nb.__all__ if name != "__version__"]
SAME_BY_ANOTHER_NAME = {"Callable[[float, str], None]": "Progress"}
"""Annotations as functions show them, and as the stub imports them."""


@cache
def stub(name: str) -> ast.Module:
    return ast.parse((stubs.PACKAGE / name).read_text(encoding="utf-8"))


def written(name: str) -> ast.FunctionDef:
    """The function as it stands in api.pyi."""
    found = [node for node in stub("api.pyi").body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(found) == 1, f"api.pyi holds {len(found)} functions {name}"
    return found[0]


def imported(name: str) -> set[str]:
    """Names that a stub imports."""
    nodes = [node for node in ast.walk(stub(name)) if isinstance(node, ast.ImportFrom)]
    return {alias.asname or alias.name for node in nodes for alias in node.names}


def plain(annotation: Any) -> str:
    """An annotation in one spelling."""
    text = annotation if isinstance(annotation, str) else stubs.annotation_source(annotation)
    for shown, known in SAME_BY_ANOTHER_NAME.items():
        text = text.replace(shown, known)
    return ast.unparse(ast.parse(text, mode="eval").body)


def parameters_in_stub(name: str) -> list[tuple[str, bool, str, Any]]:
    """Name, whether by keyword only, annotation and default of every parameter in the stub."""
    arguments = written(name).args
    assert not (arguments.posonlyargs)
    assert not (arguments.vararg)
    assert not (arguments.kwarg)
    ordinary = [None] * (len(arguments.args) - len(arguments.defaults)) + list(arguments.defaults)
    rows = [(item, False, value) for item, value in zip(arguments.args, ordinary, strict=True)]
    rows += [(item, True, value) for item, value in zip(arguments.kwonlyargs, arguments.kw_defaults, strict=True)]
    return [
        (item.arg, keyword, ast.unparse(item.annotation or ast.Constant(None)), _default(value))
        for item, keyword, value in rows
    ]


def _default(node: ast.expr | None) -> Any:
    return inspect.Parameter.empty if node is None else ast.literal_eval(node)


@pytest.mark.parametrize("name", [name for name in PUBLIC if name != "Resources"])
def test_the_stub_has_the_signature_of_the_function(name: str) -> None:
    signature = inspect.signature(getattr(mira_nb, name))
    expected = [
        (item.name, item.kind is item.KEYWORD_ONLY, plain(item.annotation), item.default)
        for item in signature.parameters.values()
    ]
    assert parameters_in_stub(name) == expected
    returned = written(name).returns
    assert returned is not None
    assert ast.unparse(returned) == plain(signature.return_annotation)


def test_the_stubs_name_all_that_is_public() -> None:
    assert imported("__init__.pyi") == set(mira_nb.__all__)
    functions = {node.name for node in stub("api.pyi").body if isinstance(node, ast.FunctionDef)}
    assert functions | {"Resources"} == set(PUBLIC)


def test_the_stub_imports_every_name_that_it_uses() -> None:
    used = {node.id for node in ast.walk(stub("api.pyi")) if isinstance(node, ast.Name)}
    builtin = {"str", "int", "float", "bool", "list", "tuple", "dict"}
    assert {"MuData", "Literal", "Path"} <= used
    assert used - builtin <= imported("api.pyi")


def test_files_are_as_the_program_writes_them() -> None:
    assert (stubs.PACKAGE / "api.pyi").read_text(encoding="utf-8") == stubs.api_stub()
    assert (stubs.PACKAGE / "__init__.pyi").read_text(encoding="utf-8") == stubs.package_stub()
