"""Every stage has one template: without outputs, with the stage's own parameters, showing what the stage makes.

That the templates run is tested by nbval, which executes every cell of ``templates/*.ipynb`` (see pyproject.toml).
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest

from mira_nb.run.notebooks import template_path
from mira_nb.run.templates import parameters_cell, parameters_source, refresh
from mira_nb.stages.base import no_progress
from mira_nb.stages.registry import BUILT_IN, get_stage

if TYPE_CHECKING:
    from mira_nb.run.store import RunStore

FOLDER = Path(__file__).resolve().parents[2] / "templates"
LINE = 130


@cache
def template(stage: str) -> Any:
    return nbformat.read(FOLDER / f"{stage}.ipynb", as_version=4)


def code(stage: str) -> str:
    return "\n".join(cell.source for cell in template(stage).cells if cell.cell_type == "code")


def calls(stage: str, method: str) -> list[str]:
    """First arguments of all ``session.METHOD("...")`` in a template."""
    found = []
    for node in ast.walk(ast.parse(code(stage))):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == f"session.{method}":
            found += [ast.literal_eval(argument) for argument in node.args[:1]]
    return found


def test_there_is_one_template_for_every_stage() -> None:
    assert {path.stem for path in FOLDER.iterdir() if not path.name.startswith(".")} == set(BUILT_IN)
    assert all(template_path(stage) == FOLDER / f"{stage}.ipynb" for stage in BUILT_IN)


@pytest.mark.parametrize("stage", BUILT_IN)
def test_template_is_clean(stage: str) -> None:
    """No outputs, no counts, stable cell ids, the kernel that every environment has, no timestamps or paths."""
    notebook = template(stage)
    nbformat.validate(notebook)
    assert notebook.metadata.kernelspec.name == "python3"
    assert set(notebook.metadata) == {"kernelspec", "language_info"}
    identifiers = [cell.id for cell in notebook.cells]
    assert len(set(identifiers)) == len(identifiers)
    for cell in notebook.cells:
        assert re.fullmatch(r"[a-z][a-z-]*", cell.id), f"cell id {cell.id!r} was not chosen by hand"
        assert set(cell.metadata) <= {"tags"}
        if cell.cell_type == "code":
            assert cell.outputs == []
            assert cell.execution_count is None
        assert max(map(len, cell.source.splitlines())) <= LINE


@pytest.mark.parametrize("stage", BUILT_IN)
def test_parameters_cell_is_that_of_the_stage(stage: str) -> None:
    assert parameters_cell(template(stage)).source == parameters_source(get_stage(stage)), (
        "run `make templates` to bring the parameter cells up to date"
    )


@pytest.mark.parametrize("stage", BUILT_IN)
def test_template_is_a_few_cells_around_one_stage(stage: str) -> None:
    """Text first, then parameters, open, run; saved at the end; prose before every group of figures."""
    cells = template(stage).cells
    assert cells[0].cell_type == "markdown"
    assert cells[0].source.startswith("# ")
    assert "good looks like" in cells[0].source.replace("**", "").lower()
    sources = [cell.source for cell in cells if cell.cell_type == "code"]
    assert f'session = open_stage("{stage}", globals())' in sources[1]
    assert "session.run()" in sources[2]
    assert sources[-1] == "session.save()"
    assert [cell.metadata.get("tags") for cell in cells].count(["parameters"]) == 1
    headings = [cell for cell in cells[1:] if cell.cell_type == "markdown"]
    assert len(headings) >= 2
    assert all(cell.source.startswith("## ") for cell in headings)


@pytest.fixture(scope="session")
def demo_record(demo_store: Callable[[str], RunStore]) -> Callable[[str], dict[str, Any]]:
    """What a stage leaves on the demonstration data: the content of its stage.json."""
    from mira_nb.run.session import Session

    def record(stage: str) -> dict[str, Any]:
        store = demo_store(stage)
        if stage not in store.finished():
            step = get_stage(stage)
            session = Session(step, store, step.Params(), seed=0, progress=no_progress)
            session.run()
            session.save()
        return store.stage_record(stage) or {}

    return record


@pytest.mark.slow
@pytest.mark.parametrize("stage", BUILT_IN)
def test_template_shows_what_the_stage_makes(stage: str, demo_record: Callable[[str], dict[str, Any]]) -> None:
    """No name in a template is wrong, and no figure of the stage is forgotten."""
    record = demo_record(stage)
    figures = {figure["name"]: figure["section"] for figure in record["figures"]}
    named, sections, tables = (set(calls(stage, method)) for method in ("figure", "figures", "table"))
    assert named <= set(figures)
    assert sections <= set(figures.values())
    assert tables <= {table["name"] for table in record["tables"]}
    assert tables
    assert not {name for name, section in figures.items() if name not in named and section not in sections}


def test_refresh_rewrites_only_the_parameters_cell(tmp_path: Path) -> None:
    notebook = nbformat.from_dict(template("prepare"))
    before = [cell.source for cell in notebook.cells]
    parameters_cell(notebook).source = "min_mean = 3"
    path = tmp_path / "prepare.ipynb"
    nbformat.write(notebook, path)
    assert refresh(path, get_stage("prepare"))
    assert [cell.source for cell in nbformat.read(path, as_version=4).cells] == before
    assert not refresh(path, get_stage("prepare"))


@pytest.mark.parametrize("stage", BUILT_IN)
def test_parameters_cell_runs_to_the_defaults(stage: str) -> None:
    """The cell is Python that sets exactly the stage's parameters, run_dir and seed."""
    names: dict[str, Any] = {}
    exec(parameters_source(get_stage(stage)), names)
    names.pop("__builtins__")
    assert names.pop("run_dir") == ""
    assert names.pop("seed") == 0
    assert get_stage(stage).Params.parse(stage, names) == get_stage(stage).Params()
