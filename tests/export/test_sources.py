"""Files of the run that were changed since the run wrote them are named, and nothing is made from them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mudata
import pandas as pd
import pytest

from mira_nb.errors import StoreError
from mira_nb.export.run import ExportOptions, export_run
from mira_nb.run.intact import file_facts
from tests.messages import refused

RESULTS = "results.h5mu"
LINKS = "stages/regulation/tables/peak_gene_links.csv"


@pytest.fixture(params=["noted", "older"])
def run(request, run_folder, results, tmp_path) -> Path:
    """A run with a table of links; the records of an older one note nothing of its files."""
    folder = shutil.copytree(run_folder, tmp_path / "run")
    (folder / LINKS).parent.mkdir(parents=True)
    gene, peak = "GENE7", results["atac"].var_names[results["rna"].uns["peak_sets"]["peak"][0]]
    row = {"peak": peak, "gene": gene, "lite_share": 0.25, "correlation": 0.5, "pvalue": 0.01, "adj_pvalue": 0.02}
    pd.DataFrame([row | {"background": 0.5}]).to_csv(folder / LINKS, index=False)
    if request.param == "noted":
        record = json.loads((folder / "run.json").read_text())
        outputs = {LINKS.removeprefix("stages/regulation/"): file_facts(folder / LINKS)}
        record["stages"] = {"regulation": {"status": "done", "outputs": outputs}}
        record["written"] = {RESULTS: file_facts(folder / RESULTS)}
        (folder / "run.json").write_text(json.dumps(record))
    return folder


def noted(run: Path) -> bool:
    return bool(json.loads((run / "run.json").read_text())["stages"])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def bytes_of_text(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-9] + b"\xff\xfe\x00,,,,,\xff")


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def one_byte(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def gone(path: Path) -> None:
    path.unlink()


def test_whole_files_are_read(run, tmp_path):
    export_run(run, to="bed", out=tmp_path / "out", options=ExportOptions(min_weight=0))
    lines = [line.split("\t") for line in (tmp_path / "out" / "links.bedpe").read_text().splitlines()]
    assert [line[10:] for line in lines].count(["0.25", "0.5", "0.01", "0.02", "0.5"]) == 1


@pytest.mark.parametrize("damage", [empty, folder, bytes_of_text])
@pytest.mark.parametrize(("name", "to"), [(LINKS, "bed"), (RESULTS, "bed"), (RESULTS, "loupe")])
def test_unreadable_files_are_named(run, tmp_path, damage, name, to):
    """Whether the run noted what it wrote, or not."""
    if damage is bytes_of_text and name == RESULTS and not noted(run):
        pytest.skip("the file is whole to its reader")
    damage(run / name)
    code = "source_changed" if noted(run) or damage is folder else "source_unreadable"
    with refused(f"export.{code}", StoreError) as caught:
        export_run(run, to=to, out=tmp_path / "out")
    assert str(run / name) in str(caught.value)
    assert "run again" in str(caught.value)
    assert not (tmp_path / "out").exists() or not list((tmp_path / "out").iterdir())


@pytest.mark.parametrize("damage", [half, one_byte, gone])
@pytest.mark.parametrize("name", [LINKS, RESULTS])
def test_changed_files_are_named_where_the_run_noted_them(run, tmp_path, damage, name):
    if not noted(run):
        pytest.skip("nothing to compare with")
    damage(run / name)
    with refused("export.source_changed", StoreError) as caught:
        export_run(run, to="bed", out=tmp_path / "out")
    problem = {"half": "instead of", "one_byte": "has other content", "gone": "is missing"}[damage.__name__]
    assert f"{run / name} {'has ' if problem == 'instead of' else ''}" in str(caught.value)
    assert problem in str(caught.value)


def test_results_of_another_form_are_named(run, tmp_path, results):
    if noted(run):
        pytest.skip("other bytes are seen before")
    with mudata.set_options(pull_on_update=False):
        mudata.MuData({"rna": results["rna"].copy()}).write_h5mu(run / RESULTS)
    with refused("export.source_unreadable", StoreError):
        export_run(run, to="seurat", out=tmp_path / "out")
