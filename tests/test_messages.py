"""Texts of findings, refusals and messages: every entry is used, every use has one and gives what it needs."""

from __future__ import annotations

import ast
import json
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from jinja2.meta import find_undeclared_variables

import mira_nb
from mira_nb.errors import InputError, StageError
from mira_nb.io.messages import finding, refusal
from mira_nb.run.messages import refusal as refusal_of_run
from mira_nb.sentences import entries, environment
from tests.messages import refused

PACKAGE = Path(mira_nb.__file__).parent
FILES = {"finding": "findings", "add": "findings", "refusal": "errors", "message": "messages"}
"""Functions that fill an entry, and the files from which they read."""

PARTS = {"findings": {"level", "title", "cause", "remedy"}, "errors": {"message", "expected", "remedy"}}
PACKAGES = sorted(path.parent.name for path in PACKAGE.glob("*/messages.py"))
TEXTS = {
    (package, file): entries(f"mira_nb.{package}", f"{file}.yaml")
    for package in PACKAGES
    for file in dict.fromkeys(FILES.values())
    if (PACKAGE / package / "texts" / f"{file}.yaml").exists()
}


class Use(NamedTuple):
    """One call: package and file that it reads, the entry, names of its values, whether ``**`` passes on more."""

    texts: tuple[str, str]
    code: str
    names: set[str]
    more: bool


def homes(tree: ast.Module, path: Path) -> dict[str, str]:
    """Package whose ``messages`` a name of this module is from."""
    own = path.relative_to(PACKAGE).parts[0]
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").rpartition(".")[2] == "messages":
            package = own if node.level else (node.module or "").split(".")[1]
            found |= {alias.asname or alias.name: package for alias in node.names}
    return found


def constants(node: ast.Call) -> list[str]:
    """Entries that a call can name: one, or both of a choice."""
    parts = [
        part for arg in node.args[:2] for part in ([arg.body, arg.orelse] if isinstance(arg, ast.IfExp) else [arg])
    ]
    return [part.value for part in parts if isinstance(part, ast.Constant) and isinstance(part.value, str)]


@cache
def uses() -> list[Use]:
    """Every call that names an entry; one that is passed on by another function counts by its constants."""
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        where = homes(tree, path)
        for node in ast.walk(tree):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", "")
            if ast.unparse(node.func) == "log.add":
                name, package = "add", "io"
            elif name in where and name in FILES:
                package = where[name]
            else:
                continue
            names = {item.arg for item in node.keywords if item.arg}
            found += [
                Use((package, FILES[name]), code, names, len(names) < len(node.keywords)) for code in constants(node)
            ]
    return found


def passed_on(texts: tuple[str, str]) -> set[str]:
    """Entries that stand in the package as constants without being named by a call: chosen, or passed on."""
    return {
        node.value
        for path in sorted((PACKAGE / texts[0]).rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }


def needs(entry: str | dict[str, str]) -> set[str]:
    parts = [entry] if isinstance(entry, str) else list(entry.values())
    return set().union(*(find_undeclared_variables(environment().parse(text)) for text in parts))


def test_packages_have_texts() -> None:
    assert {"cli", "io", "run", "stages"} <= set(PACKAGES)
    assert {package for package, _ in TEXTS} == set(PACKAGES)


@pytest.mark.parametrize("texts", TEXTS, ids="/".join)
def test_entries_and_uses_correspond(texts: tuple[str, str]) -> None:
    used = {use.code for use in uses() if use.texts == texts}
    assert used <= set(TEXTS[texts])
    assert set(TEXTS[texts]) - used <= passed_on(texts)
    if texts[1] in PARTS:
        assert all(set(entry) <= PARTS[texts[1]] for entry in TEXTS[texts].values())


def test_a_code_names_one_thing() -> None:
    topics = [import_module(f"mira_nb.{package}.messages") for package in PACKAGES]
    codes = [
        f"{module.TOPIC}.{code}"
        for module in topics
        for file in PARTS
        for code in TEXTS.get((module.__name__.split(".")[1], file), {})
    ]
    assert len(codes) == len(set(codes)) > 200


def test_uses_give_what_the_template_needs() -> None:
    wrong = [
        (use.code, needs(TEXTS[use.texts][use.code]) - use.names)
        for use in uses()
        if not use.more and not needs(TEXTS[use.texts][use.code]) <= use.names
    ]
    assert wrong == []


def test_a_missing_value_is_an_error() -> None:
    with pytest.raises(Exception, match="n_cells"):
        finding("few_cells", few_cells=200)


def test_values_are_those_of_json() -> None:
    found = finding("few_cells", n_cells=np.int64(120), few_cells=200)
    assert (found.code, found.level, found.title) == ("input.few_cells", "warning", "Only 120 cells")
    assert json.loads(json.dumps(found.values)) == {"n_cells": 120, "few_cells": 200}


def test_a_refusal_carries_code_and_values() -> None:
    with refused("path_empty", option="--rna") as caught:
        raise refusal(InputError, "path_empty", path=Path("a  b.h5ad"), option="--rna")
    assert "a  b.h5ad (--rna)" in caught.value.message
    assert caught.value.values["path"] == "a  b.h5ad"


def test_parts_that_stay_empty_are_left_out() -> None:
    made: Any = refusal_of_run(StageError, "stage_failed", stage="joint", problem="x", advice="")
    assert (made.code, made.remedy) == ("run.stage_failed", None)
