"""Gene sets of the branches in the stage drivers: primed genes, those that are not, and the test between the two."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu

from mira_nb.stages.drivers.figures import _branch_sets
from mira_nb.stages.drivers.params import DriversParams
from mira_nb.stages.drivers.primed import add_sets, contrast_tests, lineage_sets
from mira_nb.stages.drivers.targets import compared_queries, same_programme
from mira_nb.stages.texts import Texts

GENES = [f"g{i}" for i in range(60)]
SCORED = np.arange(60) != 5
ROWS = [
    *(("root", "A", f"g{i}", "primed") for i in range(10)),
    *(("root", "A", f"g{i}", "not primed") for i in range(10, 25)),
    *(("root", "A", f"g{i}", "at branch") for i in range(25, 28)),
    *(("root", "B", f"g{i}", "primed") for i in range(30, 42)),
    *(("root", "B", f"g{i}", "not primed") for i in range(42, 50)),
    *(("matrix", "B", f"g{i}", "primed") for i in range(30, 32)),
    *(("matrix", "C", f"g{i}", "no branch") for i in range(50, 60)),
]


def stored(rows: list[tuple[str, ...]]) -> Any:
    names = ("branch", "lineage", "gene", "class")
    table = {name: np.array([row[i] for row in rows], dtype=str) for i, name in enumerate(names)}
    return SimpleNamespace(mod={"rna": SimpleNamespace(uns={"primed_genes": table})})


def test_each_lineage_of_a_branch_has_two_sets() -> None:
    sets = lineage_sets(stored(ROWS), GENES, SCORED)
    assert [item.names for item in sets] == [
        ("primed in A", "not primed in A"),
        ("primed in B at root", "not primed in B at root"),
        ("primed in B at matrix", "not primed in B at matrix"),
    ]
    assert np.flatnonzero(sets[0].primed).tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9], "a gene without scores is left out"
    assert np.flatnonzero(sets[0].other).tolist() == list(range(10, 25))
    queries: dict[str, Any] = {}
    sources: dict[str, str] = {}
    add_sets(sets, queries, sources)
    assert list(queries) == [name for item in sets for name in item.names]
    assert sources["primed in A"] == "genes primed at a branch"
    assert sources["not primed in A"] == "genes of a lineage that are not primed"


def test_without_a_branch_there_are_none() -> None:
    assert lineage_sets(SimpleNamespace(mod={"rna": SimpleNamespace(uns={})}), GENES, SCORED) == []  # type: ignore[arg-type]
    assert lineage_sets(stored([]), GENES, SCORED) == []


@pytest.fixture
def contrast() -> tuple[pd.DataFrame, np.ndarray]:
    """Scores of five factors; the second is that of the primed genes of A alone."""
    scores = np.random.default_rng(0).gamma(2.0, size=(60, 5))
    scores[:10, 1] += 6
    scores[~SCORED] = np.nan
    factors = pd.DataFrame({"name": list("VWXYZ"), "id": [f"m{i}" for i in range(5)]})
    factors = factors.assign(label=factors["name"], family=factors["name"])
    designs = np.ones((5, 2)), np.ones((0, 2))
    sets = lineage_sets(stored(ROWS), GENES, SCORED)
    params = DriversParams(n_decoys=0)
    return contrast_tests(sets, scores, np.empty((60, 0)), factors, designs, params, least=3), scores


def test_primed_genes_are_tested_against_those_that_are_not(contrast: tuple[pd.DataFrame, np.ndarray]) -> None:
    table, scores = contrast
    assert table["query"].unique().tolist() == ["primed in A", "primed in B at root"], "two genes are too few"
    rows = table[table["query"] == "primed in A"].set_index("factor").loc[list("VWXYZ")]
    primed = [i for i in range(10) if i != 5]
    tests = [mannwhitneyu(scores[primed, h], scores[10:25, h], alternative="greater") for h in range(5)]
    np.testing.assert_allclose(rows["statistic"], [test.statistic for test in tests])
    np.testing.assert_allclose(rows["pvalue"], [test.pvalue for test in tests], rtol=1e-6)
    np.testing.assert_allclose(rows["adj_pvalue"], false_discovery_control(rows["pvalue"]), rtol=1e-9)
    assert set(rows["background"]) == {"not primed in A"}
    assert (rows["n_query"] == 9).all()
    assert (rows["n_background"] == 15).all()
    assert table.loc[table["called"], ["query", "factor"]].to_numpy().tolist() == [["primed in A", "W"]]


def test_both_kinds_of_sets_are_drawn_per_branch() -> None:
    sets = lineage_sets(stored(ROWS), GENES, SCORED)
    names = [name for item in sets[:2] for name in item.names]
    table = pd.concat(
        [
            pd.DataFrame({"query": name, "label": ["W", "V"], "log10_pvalue": [-3.0, -1.0], "called": [True, False]})
            for name in names
        ],
        ignore_index=True,
    ).assign(n_query=9)
    queries: dict[str, Any] = {}
    add_sets(sets, queries, {})
    found: Any = SimpleNamespace(table=table, lineages=sets, queries=queries)
    first, second = _branch_sets(found, drawn=set())
    assert (first.name, second.name) == ("primed_sets_1", "not_primed_sets_1")
    assert first.title == "Driver factors of primed in A against primed in B at root"
    assert second.title == "Driver factors of not primed in A against not primed in B at root"

    assert [figure.name for figure in _branch_sets(found, drawn=set(names[::2]))] == ["not_primed_sets_1"]
    small = [replace(item, branch="early", names=(f"few {item.names[0]}", f"few {item.names[1]}")) for item in sets[:2]]
    later: Any = SimpleNamespace(table=table, lineages=[*small, *sets[:2]], queries=queries)
    assert [figure.name for figure in _branch_sets(later, drawn=set())] == ["primed_sets_1", "not_primed_sets_1"]


def test_a_programme_under_two_names_is_compared_with_another_one() -> None:
    masks = {"topic e1": range(10), "markers of A": range(1, 11), "topic e2": range(8, 20)}
    queries = {name: np.isin(np.arange(60), list(members)) for name, members in masks.items()}
    called = {"topic e1": 3, "markers of A": 2, "topic e2": 1}
    table = pd.concat(
        [pd.DataFrame({"query": name, "called": np.arange(4) < n}) for name, n in called.items()], ignore_index=True
    )
    found: Any = SimpleNamespace(
        table=table, queries=queries, params=DriversParams(), sources=dict.fromkeys(masks, "a topic or group")
    )
    assert same_programme(found, "topic e1") == {"markers of A": pytest.approx(9 / 11)}
    assert same_programme(found, "topic e2") == {}
    assert compared_queries(found) == ["topic e1", "topic e2"]
    alone: Any = SimpleNamespace(**{**vars(found), "table": table[table["query"] != "topic e2"]})
    assert compared_queries(alone) == ["topic e1"], "no scatter of a programme against itself"
    asked = DriversParams(compare=["topic e1", "markers of A"])
    assert compared_queries(SimpleNamespace(**{**vars(found), "params": asked})) == asked.compare  # type: ignore[arg-type]


def test_the_contrast_is_told() -> None:
    texts = Texts("mira_nb.stages.drivers")
    values = {"level": 0.05, "least": 0.147, "n_lineages": 2, "n_called": 3}
    with_decoys = texts.table("primed_contrast", pd.DataFrame(), n_decoys=120, **values).caption
    without = texts.table("primed_contrast", pd.DataFrame(), n_decoys=0, **values).caption
    assert "adjusted p < 0.05 and excess_low of at least 0.147, as in 3 rows of this run (2 lineages)" in with_decoys
    assert "called: adjusted p < 0.05, as in 3 rows" in without
