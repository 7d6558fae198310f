"""Pages of the documentation that are made from the code: the gallery, stages, functions."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

import mira_nb
from mira_nb.errors import MiraError
from mira_nb.report.atlas import drawn_items, picture_name
from mira_nb.stages.checks import slot_text
from mira_nb.stages.registry import BUILT_IN, get_stage
from tests.test_architecture import FOUNDATION, MAY_IMPORT, PACKAGE

DOCS = Path(__file__).resolve().parents[1] / "docs"


@pytest.fixture(scope="module")
def generated() -> ModuleType:
    spec = importlib.util.spec_from_file_location("generated", DOCS / "generated.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pages(generated: ModuleType) -> dict[str, str]:
    return generated._pages(DOCS)


# ---------------------------------------------------------------- gallery
def test_the_gallery_shows_every_figure_of_the_atlas(generated: ModuleType) -> None:
    text = generated._gallery(DOCS)
    shown = re.findall(r"\]\(\.\./atlas/([^)]+)\)", text)
    assert sorted(shown) == sorted(picture_name(item) for item in drawn_items())
    assert f"All {len(shown)} figures" in text


def test_a_missing_picture_fails_the_build(generated: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "atlas").mkdir()
    names = [picture_name(item) for item in drawn_items()]
    for name in names[1:]:
        (tmp_path / "atlas" / name).touch()
    with pytest.raises(MiraError, match=rf"lacks {re.escape(names[0])}\n") as caught:
        generated.write(tmp_path)
    assert "make atlas" in str(caught.value)


# ---------------------------------------------------------------- stages and functions
@pytest.mark.parametrize("name", BUILT_IN)
def test_every_key_stands_with_shape_and_unit(generated: ModuleType, name: str) -> None:
    stage = get_stage(name)
    text = generated._stage_page(stage)
    rows = re.findall(r"^\| `(mdata.*?)` \| (.+?) \| (.+?) \|$", text, flags=re.MULTILINE)
    assert [row[0] for row in rows] == [slot_text(slot) for slot in (*stage.writes, *stage.also_writes)]
    for slot in (*stage.writes, *stage.also_writes):
        axis = {"obs": "cells", "obsm": "cells", "obsp": "cells", "layers": "cells"}.get(slot.element, "")
        if slot.element in {"var", "varm"}:
            axis = "genes" if slot.modality == "rna" else "peaks"
        assert slot.shape.split(" ")[0].startswith(axis), slot
        assert (" x " in slot.shape) == (slot.element not in {"obs", "var", "uns"}), slot
        assert slot.unit, slot


@pytest.mark.parametrize("name", [name for name in mira_nb.__all__ if name not in {"__version__", "Resources"}])
def test_every_function_has_a_page_with_its_whole_signature(pages: dict[str, str], name: str) -> None:
    assert f"\n{name}\n" in pages["reference/index.md"]
    found = re.search(r"py:function:: mira_nb\.(.*)\n", pages[f"reference/{name}.md"])
    assert found is not None
    node = ast.parse(f"def {found.group(1)}: ...").body[0]
    assert isinstance(node, ast.FunctionDef)
    assert node.returns is not None
    assert all(item.annotation is not None for item in (*node.args.args, *node.args.kwonlyargs))
    function = inspect.signature(getattr(mira_nb, name)).parameters
    assert [item.arg for item in (*node.args.args, *node.args.kwonlyargs)] == list(function)
    for item, default in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True):
        wanted = function[item.arg].default
        assert default is None if wanted is inspect.Parameter.empty else ast.literal_eval(default) == wanted


# ---------------------------------------------------------------- written pages
def test_the_table_of_folders_is_that_of_the_imports() -> None:
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)/` \| .+? \| (.+?) \|$", text, flags=re.MULTILINE))
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert set(rows) == folders - {"cli"}, "cli may import all of them"
    for name, allowed in rows.items():
        listed = set(allowed.split(", "))
        assert (listed - {"foundation"}) | (FOUNDATION if "foundation" in listed else set()) == MAY_IMPORT[name], name
    foundation = text[text.index("The foundation:") :].split("`tests/")[0]
    assert set(re.findall(r"`(\w+)`", foundation)) == FOUNDATION


def test_the_page_of_the_run_folder_knows_every_place() -> None:
    """Names of files and folders that the code joins to a run's or a stage's folder."""
    text = (DOCS / "run-folder.md").read_text(encoding="utf-8")
    known = {part for path in re.findall(r"`([^`\s]+)`", text) for part in path.strip("/").split("/")}
    modules = sorted(path for path in (PACKAGE / "run").glob("*.py") if path.name != "demo.py")  # its root is no run
    source = "\n".join(path.read_text(encoding="utf-8") for path in modules)
    joined = r'(?:\broot|stage_dir\([^)]*\)|"cache") / "([\w.]+)"'
    names = set(re.findall(joined, source))
    assert {"run.json", "cache", "skipped.ipynb", "failed.ipynb", ".progress"} <= names
    assert names - known == set()
    assert {"history", "work"} <= known


def test_formats_of_motifs_are_the_same_everywhere() -> None:
    read = set(re.findall(r"JASPAR|MEME|TRANSFAC", (PACKAGE / "io" / "motif_files.py").read_text(encoding="utf-8")))
    for path in (DOCS.parent / "README.md", PACKAGE / "cli" / "options.py", PACKAGE / "io" / "resources.py"):
        assert set(re.findall(r"JASPAR|MEME|TRANSFAC", path.read_text(encoding="utf-8"))) == read, path.name
