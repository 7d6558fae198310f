"""Texts of findings and refusals: every entry is used, every use has an entry and gives what its template needs."""

from __future__ import annotations

import ast
import json
from pathlib import Path

import numpy as np
import pytest
from jinja2.meta import find_undeclared_variables

import mira_nb
from mira_nb.errors import InputError
from mira_nb.io.messages import finding, refusal
from mira_nb.sentences import entries, environment
from tests.messages import refused

TEXTS = {kind: entries("mira_nb.io", f"{kind}.yaml") for kind in ("findings", "errors")}
CALLS = {"finding": "findings", "add": "findings", "refusal": "errors"}
PARTS = {"findings": {"level", "title", "cause", "remedy"}, "errors": {"message", "expected", "remedy"}}


def uses() -> list[tuple[str, str, set[str], bool]]:
    """Kind, code, names of values and whether more values are passed on by ``**``, of every call."""
    found = []
    for path in sorted(Path(mira_nb.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            code = [item.value for item in node.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
            plain = name != "add" or ast.unparse(node.func) == "log.add"
            if name in CALLS and code and plain:
                names = {item.arg for item in node.keywords if item.arg}
                found.append((CALLS[name], code[0], names, len(names) < len(node.keywords)))
    return found


def needs(entry: dict[str, str]) -> set[str]:
    return set().union(*(find_undeclared_variables(environment().parse(text)) for text in entry.values()))


def test_entries_and_uses_correspond() -> None:
    used = uses()
    for kind, texts in TEXTS.items():
        assert {code for which, code, *_ in used if which == kind} == set(texts)
        assert all(set(entry) <= PARTS[kind] for entry in texts.values())
    assert not set(TEXTS["findings"]) & set(TEXTS["errors"])


def test_uses_give_what_the_template_needs() -> None:
    wrong = [
        (code, needs(TEXTS[kind][code]) - names)
        for kind, code, names, more in uses()
        if not more and not needs(TEXTS[kind][code]) <= names
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
