"""Tables that merge and name clusters."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

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
