"""Texts of the stages: every template is used, complete, and given all the values it asks for; alerts have codes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, get_args

import jinja2
import pytest
import yaml
from jinja2 import nodes
from jinja2.meta import find_undeclared_variables

import mira_nb.stages
from mira_nb.sentences import environment
from mira_nb.stages.result import Level
from mira_nb.stages.texts import Texts

STAGES = Path(mira_nb.stages.__file__).parent
PACKAGES = sorted(path.parent for path in STAGES.glob("*/texts"))

KINDS = {
    "alert": "alerts",
    "error": "errors",
    "table": "tables",
    "figure": "figures",
    "metric": "metrics",
    "text": "texts",
}
"""Methods of :class:`Texts` and the files from which they read."""

FIELDS = {
    "alerts": ({"level", "title"}, {"cause", "remedy"}),
    "errors": ({"message"}, {"expected", "remedy"}),
    "tables": ({"title", "caption"}, {"prominence"}),
    "figures": ({"title", "caption"}, {"section", "alt", "prominence"}),
    "metrics": ({"name"}, {"unit", "help", "key", "good_above", "good_below"}),
}
"""Required and optional fields of an entry."""

NOT_VALUES = {"chart", "packed", "image", "svg", "name", "frame", "value"}
"""Arguments of the methods that are no values of a template."""


@dataclass(frozen=True)
class Call:
    """One call of a method of Texts: the keys it can ask for and the names of the values it gives."""

    kind: str
    keys: frozenset[str]
    chosen: bool
    values: frozenset[str]
    place: str = field(compare=False, default="")


def is_call(node: ast.AST) -> bool:
    """Whether this is ``TEXTS.something(...)``."""
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="TEXTS"))):
            return True
    return False


def key_of(node: ast.Call) -> str | None:
    """Key of a call when it is a constant; in a call of ``error`` it follows the class."""
    place = 1 if isinstance(node.func, ast.Attribute) and node.func.attr == "error" else 0
    first = node.args[place] if len(node.args) > place else None
    return first.value if isinstance(first, ast.Constant) and isinstance(first.value, str) else None


def candidates(part: ast.AST) -> set[str]:
    """Strings that a key chosen at run time can be: all of this part of a module but keys that are constants."""
    found = {n.value for n in ast.walk(part) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
    return found - {key_of(n) for n in ast.walk(part) if isinstance(n, ast.Call) and is_call(n)}


def calls_in(path: Path) -> Iterator[Call]:
    """Calls in one module. A key chosen at run time is one of the strings of the function, or else of the module."""
    module = ast.parse(path.read_text(encoding="utf-8"))
    functions = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    for part in (*functions, ast.Module([node for node in module.body if node not in functions], [])):
        for node in ast.walk(part):
            if not isinstance(node, ast.Call) or not is_call(node):
                continue
            method = node.func.attr  # type: ignore[attr-defined]
            place = f"{path.relative_to(STAGES)}:{node.lineno}"
            given = {keyword.arg or "**" for keyword in node.keywords}
            assert "**" not in given, f"{place}: values are given by name"
            if method == "methods":
                keys, chosen = frozenset(), False
            elif (key := key_of(node)) is not None:
                keys, chosen = frozenset({key}), False
            else:
                known = entries(path.parent, KINDS[method]).keys()
                keys, chosen = frozenset(candidates(part) & known or candidates(module) & known), True
            yield Call(KINDS.get(method, method), keys, chosen, frozenset(given - NOT_VALUES), place)


@cache
def calls(package: Path) -> tuple[Call, ...]:
    return tuple(call for path in sorted(package.glob("*.py")) for call in calls_in(path))


def entries(package: Path, kind: str) -> dict[str, Any]:
    path = package / "texts" / f"{kind}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.exists() else {}


def asked(entry: str | Mapping[str, Any]) -> set[str]:
    """Names of the values that a template, or any field of an entry, asks for."""
    parts = [entry] if isinstance(entry, str) else [str(text) for text in entry.values()]
    return set().union(*(find_undeclared_variables(environment().parse(part)) for part in parts))


by_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)


def test_some_stages_have_texts() -> None:
    assert {"prepare", "topics", "joint", "enrichment"} <= {package.name for package in PACKAGES}


@by_package
def test_folder_holds_known_files(package: Path) -> None:
    known = {f"{kind}.yaml" for kind in KINDS.values()} | {"methods.md", "parameters.yaml"}
    assert {path.name for path in (package / "texts").iterdir()} <= known


@by_package
@pytest.mark.parametrize("kind", KINDS.values())
def test_every_entry_is_used_and_every_used_one_exists(package: Path, kind: str) -> None:
    used = [call for call in calls(package) if call.kind == kind]
    known = set(entries(package, kind))
    assert not [call.place for call in used if not call.keys], "no key of these calls is known"
    assert set().union(*(call.keys for call in used)) == known


@by_package
@pytest.mark.parametrize("kind", FIELDS)
def test_entries_are_complete(package: Path, kind: str) -> None:
    required, optional = FIELDS[kind]
    for key, entry in entries(package, kind).items():
        assert required <= set(entry) <= required | optional, key
        assert all(str(text).strip() for text in entry.values()), key


@by_package
def test_single_texts_are_strings(package: Path) -> None:
    assert all(isinstance(text, str) for text in entries(package, "texts").values())


@by_package
def test_values_are_those_that_templates_ask_for(package: Path) -> None:
    """A missing value is an error at run time; one that no template uses is forgotten code."""
    for call in calls(package):
        if call.kind == "methods":
            wanted = [asked((package / "texts" / "methods.md").read_text(encoding="utf-8"))]
        else:
            wanted = [asked(entries(package, call.kind)[key]) for key in sorted(call.keys)]
        for names in wanted:
            assert names <= call.values, f"{call.place} does not give {names - call.values}"
        if not call.chosen:
            assert call.values <= set().union(*wanted), f"{call.place} gives what no template uses"


@by_package
def test_codes_are_of_one_alert_or_error(package: Path) -> None:
    assert not entries(package, "alerts").keys() & entries(package, "errors").keys()


@by_package
def test_levels_of_alerts_are_known(package: Path) -> None:
    """A level is a constant, a choice between constants, or that of a finding about the input."""
    for key, entry in entries(package, "alerts").items():
        if entry["level"] != "{{ finding.level }}":
            tree = environment().parse(entry["level"])
            found = {node.data for node in tree.find_all(nodes.TemplateData)}
            found |= {node.value for node in tree.find_all(nodes.Const) if isinstance(node.value, str)}
            assert found, key
            assert found <= set(get_args(Level)), key


@by_package
def test_methods_cite_and_fit_one_paragraph(package: Path) -> None:
    path = package / "texts" / "methods.md"
    if path.exists():
        text = path.read_text(encoding="utf-8")
        assert re.search(r"\[@\w+", text)
        assert any(call.kind == "methods" for call in calls(package))


def test_every_alert_has_a_code() -> None:
    """Alerts are made by Texts, which gives the code; nothing else constructs one."""
    made = []
    for path in sorted(STAGES.rglob("*.py")):
        if path != STAGES / "texts.py":
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Alert":
                    made.append(f"{path.relative_to(STAGES)}:{node.lineno}")
    assert not made


def made_outside_of_stages(path: Path) -> Iterator[tuple[str, ast.expr | None]]:
    """Place and code of every alert that a module makes: ``Alert(...)``, or a dict with a level and a title."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        fields: dict[str | None, ast.expr] = {}
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] == "Alert":
            fields = {"level": node, "title": node, **{item.arg: item.value for item in node.keywords}}
        elif isinstance(node, ast.Dict):
            names = [key.value if isinstance(key, ast.Constant) else None for key in node.keys]
            fields = dict(zip(names, node.values, strict=True))
        if {"level", "title"} <= set(fields):
            yield f"{path.name}:{node.lineno}", fields.get("code")


def test_every_alert_of_run_and_report_has_a_code() -> None:
    """Alerts that no stage makes have one too, written ``part.kind``; ``_alert`` passes on what it is given."""
    found = [
        (place, code)
        for part in ("run", "report", "comparison", "export")
        for path in sorted((STAGES.parent / part).rglob("*.py"))
        for place, code in made_outside_of_stages(path)
    ]
    assert len(found) >= 6
    assert not [place for place, code in found if code is None]
    constant = [code.value for _, code in found if isinstance(code, ast.Constant)]
    assert len(constant) == len(set(constant)) >= 5
    assert all(re.fullmatch(r"[a-z]+\.[a-z_]+", code) for code in constant), constant


def test_a_missing_value_is_an_error() -> None:
    texts = Texts("mira_nb.stages.prepare")
    alert = texts.alert("few_cells", n_cells=1312, threshold=5000)
    assert alert.code == "prepare.few_cells"
    assert "1,312" in alert.title
    with pytest.raises(jinja2.UndefinedError, match="n_cells"):
        texts.alert("few_cells", threshold=5000)


def test_values_stay_text() -> None:
    """What comes from the user's data is never read as a template."""
    table = Texts("mira_nb.stages.prepare").table("qc_cells", frame=None, n_cells=1, batch="{{ n_cells }} {% if %}")
    assert "{{ n_cells }} {% if %}" in table.caption


def test_the_lowest_colour_of_a_panel_is_not_called_absence() -> None:
    texts = [path for path in STAGES.glob("*/texts/figures.yaml") if "grey: absent" in path.read_text(encoding="utf-8")]
    assert texts == []
