"""Annotations in the exported tables: every value and every column of the user's is still there."""

from __future__ import annotations

import json
from pathlib import Path

import mudata
import numpy as np
import pandas as pd
import pytest

from mira_nb.export.run import export_run


def write_run(folder: Path, data: mudata.MuData, **columns: object) -> Path:
    """A run whose cells have further annotations."""
    data = data.copy()
    for name, values in columns.items():
        data.obs[name] = values
    folder.mkdir()
    with mudata.set_options(pull_on_update=False):
        data.write_h5mu(folder / "results.h5mu")
    (folder / "run.json").write_text(json.dumps({"schema": 1, "resources": {"groups": "cell_type"}, "stages": {}}))
    return folder


def same_groups(first: pd.Series, second: np.ndarray) -> bool:
    """Whether two columns part the cells alike."""
    pairs = {*zip(first, second, strict=True)}
    return len(pairs) == first.nunique() == len(set(second))


# ---------------------------------------------------------------- numbers
def test_loupe_keeps_long_numbers_apart(results, tmp_path):
    """Dates and ids of eight and more digits, fractions that differ late, large and small numbers, float32."""
    n = np.arange(results.n_obs)
    truth = {
        "library_date": 20230110 + n % 4,
        "date_float": 20230110.0 + n % 4,
        "id64": 2**53 + n % 3,
        "late": 0.12345678 + (n % 3) * 1e-8,
        "tiny": (n % 3) * 1e-12,
        "huge": 1e20 + (n % 3) * 1e17,
        "small_float": (np.float32(0.1) * (n % 5)).astype(np.float32),
    }
    run = write_run(tmp_path / "run", results, **truth)
    export_run(run, to="loupe", out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "categories.csv", dtype=str)
    for name, values in truth.items():
        assert same_groups(table[name], values), name
    assert table["library_date"].tolist() == table["date_float"].tolist() == [str(20230110 + i % 4) for i in n]
    assert set(table["id64"]) == {str(2**53 + i) for i in range(3)}
    assert sorted(set(table["small_float"]))[:2] == ["0", "0.1"]


def test_loupe_ranges_are_told_apart(results, tmp_path):
    """Ranges of many long numbers have bounds that differ; infinite numbers fall into a range."""
    n = np.arange(results.n_obs)
    infinite = np.where(n % 8 == 0, np.inf, n / 7)
    missing = pd.array([None if i % 5 == 0 else i for i in n], dtype="Int64")
    run = write_run(
        tmp_path / "run", results, date=20230100 + n, late=1000 + n * 1e-4, infinite=infinite, missing=missing
    )
    export_run(run, to="loupe", out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "categories.csv", dtype=str)
    for name, values in (("date", 20230100 + n), ("late", 1000 + n * 1e-4)):
        for text, found in pd.Series(values).groupby(table[name]):
            least, _, most = text.partition(": ")[2].partition(" to ")
            assert float(least) <= found.min() + 1e-9
            assert float(least) < float(most)
        assert table[name].nunique() == 10
    assert table["date"].iloc[0] == "01: 20230100 to 20230103"
    assert table["infinite"].nunique() >= 8
    assert (table.loc[np.isinf(infinite), "infinite"].str.endswith(" to inf")).all()
    assert (table["missing"] == "none").tolist() == (n % 5 == 0).tolist()


@pytest.mark.parametrize("label", ["none", "other"])
def test_cells_without_a_label_are_apart_from_a_label_of_that_name(results, tmp_path, label):
    values = pd.Categorical([None if i % 4 == 0 else label for i in range(results.n_obs)])
    run = write_run(tmp_path / "run", results, state=values)
    export_run(run, to="loupe", out=tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "categories.csv", dtype=str)
    expected = {"none": {"none": 30, "none-2": 10}, "other": {"other": 30, "none": 10}}[label]
    assert table["state"].value_counts().to_dict() == expected
