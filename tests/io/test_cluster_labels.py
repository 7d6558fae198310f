"""Tables that merge and name clusters."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from mira_nb.io.cell_table import read_cell_table
from mira_nb.io.cluster_labels import label_cells, read_cluster_labels
from mira_nb.run.store import plain_cells
from tests.messages import refused

CLUSTERS = pd.Categorical(list("0011122223"), categories=list("0123"))


def written(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_clusters_are_merged_and_named(tmp_path: Path) -> None:
    table = read_cluster_labels(written(tmp_path / "labels.csv", "cluster,label\n0,Matrix\n1,ORS\n2,Matrix\n3,IRS\n"))
    labels = label_cells(table, CLUSTERS, missing="not annotated")
    assert list(labels) == ["Matrix"] * 2 + ["ORS"] * 3 + ["Matrix"] * 4 + ["IRS"]
    assert list(labels.categories) == ["Matrix", "ORS", "IRS"]


def test_clusters_without_a_label_are_marked(tmp_path: Path) -> None:
    table = read_cluster_labels(written(tmp_path / "labels.tsv", "Label\tCluster\nMatrix\t0\n\t1\n"))
    assert table.labels == {"0": "Matrix"}
    labels = label_cells(table, CLUSTERS, missing="not annotated")
    assert list(labels) == ["Matrix"] * 2 + ["not annotated"] * 8


def test_the_table_of_the_stage_joint_with_a_column_more_is_enough(tmp_path: Path) -> None:
    frame = pd.DataFrame({"cluster": list("0123"), "n_cells": [2, 3, 4, 1], "top_rna_topics": "e1 0.50, e2 0.20"})
    frame["label"] = ["=a", "b", "b", "x" * 300]
    plain_cells(frame).to_csv(tmp_path / "clusters.csv", index=False)
    labels = label_cells(read_cluster_labels(tmp_path / "clusters.csv"), CLUSTERS, missing="")
    assert list(labels.categories[:2]) == ["=a", "b"]
    assert len(labels.categories[2]) == 200


def test_a_table_made_for_other_clusters_is_refused(tmp_path: Path) -> None:
    table = read_cluster_labels(written(tmp_path / "l.csv", "cluster,label,n_cells\n0,a,2\n1,b,4\n"))
    with refused("labels_of_other_clusters", cluster="1", n_given=4, n_cells=3) as error:
        label_cells(table, CLUSTERS, missing="")
    assert "n_cells" in (error.value.remedy or "")
    table = read_cluster_labels(written(tmp_path / "l.csv", "cluster,label\n0,a\n7,b\n"))
    with refused("cluster_unknown", clusters=["'7'"]) as error:
        label_cells(table, CLUSTERS, missing="")
    assert "0, 1, 2, 3" in str(error.value)


@pytest.mark.parametrize(
    ("text", "code", "expected"),
    [
        ("cluster,name\n0,a\n", "labels_column_missing", {"lacking": ["label"]}),
        ("name,text\n0,a\n", "labels_column_missing", {"lacking": ["cluster", "label"]}),
        ("cluster,label\n0,a\n0,b\n", "cluster_named_twice", {"clusters": ["'0'"]}),
        ("cluster,label\n0,\n1, \n", "labels_empty", {}),
        ("cluster\n0\n", "table_too_small", {"n_rows": 1, "n_columns": 1}),
        ("", "path_empty", {"option": "--labels"}),
    ],
)
def test_a_table_of_another_form_is_refused_with_its_name(tmp_path: Path, text: str, code: str, expected: dict) -> None:
    with refused(code, **expected) as error:
        read_cluster_labels(written(tmp_path / "mine.csv", text))
    assert "mine.csv" in str(error.value)
    assert "--labels" in str(error.value)


def test_missing_labels_of_r_and_numbers_of_spreadsheets(tmp_path: Path) -> None:
    """Clusters 1 and 3 have no label; sizes are told, so that a wrong one is still seen."""
    text = '"cluster","label","n_cells"\n"0.0","B cell","2.0"\n"1.0",NA,"3"\n"2.0","T cell","4"\n"3.0",NA,"1"\n'
    table = read_cluster_labels(written(tmp_path / "l.csv", text))
    labels = label_cells(table, CLUSTERS, missing="not annotated")
    assert pd.Series(labels).value_counts().to_dict() == {"B cell": 2, "T cell": 4, "not annotated": 4}
    wrong = read_cluster_labels(written(tmp_path / "l.csv", text.replace('"2.0"\n', '"1,002"\n', 1)))
    with refused("labels_of_other_clusters", n_given=1002, n_cells=2):
        label_cells(wrong, CLUSTERS, missing="")


@pytest.mark.parametrize("text", ["cluster label\n0 B cell\n1 T cell\n", "cell type2\nAAAC-1 A cell\nAAAG-1 B cell\n"])
def test_blanks_that_separate_fields_and_stand_in_values_are_refused(tmp_path: Path, text: str) -> None:
    with refused("table_unreadable") as error:
        read_cell_table(written(tmp_path / "t.txt", text))
    assert "blanks" in str(error.value)
    named = read_cell_table(written(tmp_path / "t.txt", "type n\nAAAC-1 A 1\nAAAG-1 B 2\n"))
    assert named["row name"].tolist() == ["AAAC-1", "AAAG-1"]
