"""Parts of the benchmarks that compute what is compared: scores, tables, order of the output."""

from __future__ import annotations

import argparse
import sys

import numpy as np
import pytest
from anndata import AnnData, read_h5ad
from scipy import sparse

from tests.benchmarks import __main__ as benchmarks
from tests.benchmarks import scale
from tests.benchmarks.depth import Found, Planted, score, table


def planted(time, lineage):
    return Planted("toy", None, np.asarray(time, float), np.asarray(lineage), 3, "cell0")


def test_lineages_count_by_their_late_terminal_cells():
    made = planted([0, 0.5, 0.9, 0.95, 1.0], list("ABABB"))
    found = Found(np.array([0, 1, 2, np.nan, 3.0]), [1, 2, 4])
    scores = score(made, found)
    assert scores["spearman"] == pytest.approx(1)
    # cell 1 is of lineage B, but halfway
    assert (scores["lineages_found"], scores["lineages"], scores["terminal_cells"], scores["cells"]) == (2, 2, 3, 4)
    early = score(made, Found(found.pseudotime, [1, 2]))
    assert early["lineages_found"] == 1


def test_table_of_depths_tells_failures():
    row = {"data": "toy", "method": "topics", "spearman": 0.5, "lineages_found": 2, "lineages": 3, "terminal_cells": 4}
    lines = table([row, {"data": "toy", "method": "other", "error": "ValueError: a|b"}])
    assert lines[2] == "| toy | topics | 0.500 | 2 of 3 | 4 |"
    assert "ValueError: a/b" in lines[3]
    assert {line.count("|") for line in lines if line} == {6}


def test_whole_fits_come_first(monkeypatch):
    made = {"epoch_s": 1.0, "fit_s": 2.0, "epochs": 3, "parts_s": {}, "peak_mb": 1.0, "added_mb": 1.0}
    monkeypatch.setattr(benchmarks, "measure", lambda python, script, **options: dict(made))
    row = {"size": "small", "modality": "expression", "reference": {}} | benchmarks.measure_ours("large", {})
    assert list(row["ours"])[:2] == ["default_fit_s", "default_epochs"]
    assert {"epoch_s", "fit_s", "epochs"} <= set(row["ours"])
    text = benchmarks.summary([row])
    assert text.index("whole fit at defaults") < text.index("seconds per epoch")


def test_ratio_of_workers_is_told_with_the_load():
    measured = {"one": {"trials_per_hour": 100.0}, "two": {"trials_per_hour": 180.0}, "ratio": 1.8, "load": [0.5, 2.0]}
    text = benchmarks.workers_line(measured)
    assert "1.80 times" in text
    assert "load 0.5 and 2.0" in text
    assert benchmarks.other_parts(argparse.Namespace(parts=["topics"])) == ({}, "")


def test_scale_reads_the_first_cells_and_tells_the_exponent(tmp_path):
    for name in ("rna", "atac"):
        matrix = sparse.random(20, 6, density=0.5, format="csr", random_state=0)
        AnnData(matrix).write_h5ad(tmp_path / f"{name}.h5ad")
    part = read_h5ad(scale.subset(tmp_path, tmp_path / "part", 5) / "atac.h5ad")
    np.testing.assert_array_equal(part.X.toarray(), matrix[:5].toarray())
    assert scale.subset(tmp_path, tmp_path / "all", 20) == tmp_path
    text = scale.table({10: {"joint": (2.0, 700.0)}, 40: {"joint": (8.0, 900.0), "other": (1.0, 1.0)}})
    assert "| joint | 2 s, 700 MB | 8 s, 900 MB | 1.00 |" in text
    assert "| other | – | 1 s, 1 MB | – |" in text


def test_scale_watches_children(tmp_path):
    child = "import time; kept = bytearray(150_000_000); time.sleep(3)"
    command = [sys.executable, "-c", f"import subprocess, sys; subprocess.run([sys.executable, '-c', '{child}'])"]
    status, seconds, largest = scale.watched(command, tmp_path / "log")
    assert status == 0
    assert seconds > 2
    assert largest > 150
