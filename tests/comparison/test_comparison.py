"""Comparison of runs: topics, partitions, calls and drivers against closed cases."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from mira_nb.comparison import tables
from mira_nb.comparison.runs import read_runs
from mira_nb.errors import InputError, ParameterError


class Run:
    """A run in memory."""

    def __init__(self, name: str, cells: pd.DataFrame, found: dict[tuple[str, str], pd.DataFrame]) -> None:
        self.name, self.cells, self.found = name, cells, found

    def topics(self, assay: str) -> list[str]:
        return [
            column for column in self.cells if column[0] == {"rna": "e", "atac": "a"}[assay] and column[1:].isdecimal()
        ]

    def table(self, stage: str, name: str) -> pd.DataFrame | None:
        return self.found.get((stage, name))


def cells(seed: int = 0) -> pd.DataFrame:
    values = np.random.default_rng(seed).dirichlet(np.ones(3), 60)
    frame = pd.DataFrame(values, columns=["e1", "e2", "e3"], index=[f"c{i}" for i in range(60)])
    return frame.assign(leiden=np.repeat(["0", "1", "2"], 20), pseudotime=np.linspace(0, 1, 60))


def compared(*runs: Run) -> Any:
    return runs


def test_topics_are_matched_whatever_their_order_and_number() -> None:
    first = cells()
    other = first.rename(columns={"e1": "e3", "e2": "e1", "e3": "e2"}).iloc[::-1]
    other["e4"] = np.random.default_rng(5).random(60)
    found = tables.topics(compared(Run("one", first, {}), Run("two", other, {})))
    matched = found[found["topic"] != ""].set_index("topic")
    assert dict(matched["match"]) == {"e1": "e3", "e2": "e1", "e3": "e2"}
    assert matched["correlation"].to_numpy() == pytest.approx(1)
    assert matched["found"].all()
    assert found.loc[found["topic"] == "", "match"].tolist() == ["e4"]
    back = tables.topics(compared(Run("two", other, {}), Run("one", first, {}))).set_index("topic")
    assert back.loc["e4", "match"] == ""
    assert not back.loc["e4", "found"]
    assert back.loc["e3", "match"] == "e1"


def test_partitions_and_pseudotime_of_shared_cells() -> None:
    first = cells()
    same = first.assign(leiden=first["leiden"].map({"0": "b", "1": "c", "2": "a"}), pseudotime=1 - first["pseudotime"])
    found = tables.cells(compared(Run("one", first, {}), Run("two", same.iloc[10:], {}))).iloc[0]
    assert (found["n_cells"], found["clusters_ari"], found["clusters_nmi"]) == (50, 1.0, pytest.approx(1.0))
    assert found["pseudotime_spearman"] == pytest.approx(-1)
    assert np.isnan(found["states_ari"])
    apart = tables.cells(compared(Run("one", first, {}), Run("two", same.rename(index=lambda name: name + "x"), {})))
    assert apart["n_cells"].tolist() == [0]
    assert apart["clusters_ari"].isna().all()


def test_calls_of_genes_and_drivers() -> None:
    def genes(called: str) -> dict[tuple[str, str], pd.DataFrame]:
        frame = pd.DataFrame(
            {"gene": list("ABCDN"), "nite_score": [4.0, 3, 2, 1, 0], "status": ["ok"] * 4 + ["no peak"]}
        )
        return {("regulation", "genes"): frame.assign(nite=[gene in called for gene in frame["gene"]])}

    def drivers(*called: tuple[str, str]) -> dict[tuple[str, str], pd.DataFrame]:
        rows = [{"query": q, "factor": f, "called": (q, f) in called} for q in ("x", "y") for f in ("F", "G", "H")]
        return {("drivers", "driver_factors"): pd.DataFrame(rows)}

    one = Run("one", cells(), genes("ABN") | drivers(("x", "F"), ("y", "F"), ("x", "G")))
    two = Run("two", cells(), genes("BC") | drivers(("x", "F"), ("y", "H")))
    summary, changed = tables.genes(compared(one, two))
    assert summary.iloc[0].tolist() == ["two", 4, 1.0, 2, 2, 1, pytest.approx(1 / 3)]
    assert changed["gene"].tolist() == ["A", "C"]
    assert changed["nite"].tolist() == [False, True]
    found = tables.drivers(compared(one, two)).set_index("factor")
    assert found.loc["F"].tolist() == [2, 1, 2]
    assert found.loc["G"].tolist() == [1, 0, 1]
    assert found.loc["H"].tolist() == [0, 1, 1]


def test_folders_that_cannot_be_compared(tmp_path: Any) -> None:
    with pytest.raises(ParameterError, match="two or more different"):
        read_runs([tmp_path])
    with pytest.raises(ParameterError, match="two or more different"):
        read_runs([tmp_path, tmp_path / "."])
    with pytest.raises(InputError, match=r"no run\.json"):
        read_runs([tmp_path, tmp_path / "other"])
