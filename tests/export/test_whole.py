"""Tracks have names of their own, and a disk that takes no more leaves nothing behind."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from mira_nb.errors import ParameterError
from mira_nb.export.run import ExportOptions, export_run
from mira_nb.export.tracks import file_names
from tests.export.test_annotations import write_run
from tests.messages import refused

LIMITED = """
import resource, sys
from mira_nb.cli import main
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[1]), int(sys.argv[1])))
sys.argv = ["mira-nb", "export", sys.argv[2], "--to", sys.argv[3], "--out", sys.argv[4]]
main()
"""


@pytest.mark.parametrize("to", ["scanpy", "cellxgene", "bigwig"])
def test_files_that_the_disk_does_not_take(run_folder, tmp_path, to):
    """A limit of the system on the size of files stands for a full disk: an error, no signal, no file."""
    command = [sys.executable, "-c", LIMITED, "9000", str(run_folder), to, str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2, done.stderr
    assert "cannot be written" in done.stderr
    assert "Traceback" not in done.stderr
    assert list((tmp_path / "out").iterdir()) == []


def test_nothing_is_moved_where_a_folder_is_in_the_way(run_folder, tmp_path):
    (tmp_path / "umap.csv").mkdir()
    with refused("export.folder_not_writable", ParameterError):
        export_run(run_folder, to="loupe", out=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["umap.csv"]


def test_names_of_tracks():
    labels = ["a_b", "A/B", "A B", "A_B", "A_B-2", "", "..", "é" * 150, "é" * 151]
    found = file_names(labels, ".bw")
    assert list(found) == labels
    assert len({name.casefold() for name in found.values()}) == len(labels)
    assert (found["a_b"], found["A_B-2"], found["A/B"], found["A B"]) == ("a_b.bw", "A_B-2.bw", "A_B-4.bw", "A_B-5.bw")
    assert max(len(name.encode()) for name in found.values()) < 255


def test_table_of_names(results, tmp_path):
    labels = [[None, "A/B", "A B", "a_b"][i % 4] for i in range(40)]
    run = write_run(tmp_path / "run", results, state=pd.Categorical(labels))
    done = export_run(run, to="bigwig", out=tmp_path / "out", options=ExportOptions(by="state"))
    assert "10 cells without a value are in no track" in done.notes
    table = pd.read_csv(tmp_path / "out" / "names.csv")
    assert table.values.tolist() == [["A_B-2.bw", "A B", 10], ["A_B-3.bw", "A/B", 10], ["a_b.bw", "a_b", 10]]
    assert sorted(table["file"]) == sorted(path.name for path in (tmp_path / "out").glob("*.bw"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("empty", "annotation_empty"),
        ("pseudotime", "annotation_of_measurements"),
        ("e1", "annotation_of_measurements"),
        ("infinite", "annotation_of_measurements"),
    ],
)
def test_columns_that_are_no_groups(results, tmp_path, name, code):
    infinite = np.where(np.arange(40) % 2, np.inf, 1.0)
    run = write_run(tmp_path / "run", results, empty=np.nan, infinite=infinite)
    with refused(f"export.{code}", ParameterError, name=name):
        export_run(run, to="bigwig", out=tmp_path / "out", options=ExportOptions(by=name))


def test_too_many_groups(results, tmp_path, monkeypatch):
    monkeypatch.setattr("mira_nb.export.tracks.MAX_GROUPS", 20)
    number = np.arange(40)
    run = write_run(tmp_path / "run", results, cell_number=number, library=20230110 + number % 4)
    with refused("export.annotation_too_fine", ParameterError, n_groups=40, most=20):
        export_run(run, to="bigwig", out=tmp_path / "out", options=ExportOptions(by="cell_number"))
    export_run(run, to="bigwig", out=tmp_path / "out", options=ExportOptions(by="library"))
    assert {path.stem for path in (tmp_path / "out").glob("*.bw")} == {str(20230110 + i) for i in range(4)}
