"""NITE regulation over the lineage tree: which topics describe a state, and the tests on their genes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anndata
import mudata
import numpy as np
import pandas as pd
import pytest
from scipy.stats import false_discovery_control, mannwhitneyu

from mira_nb.stages.regulation.lineages import lineage_figures, state_table, state_tests, state_topics
from mira_nb.stages.regulation.score_tests import apart, lineage_cells, log_score, nite_sides

N_CELLS, N_GENES, N_TOP = 90, 60, 10


@pytest.fixture(scope="module")
def found() -> Any:
    """Three states with a topic each (the root has two), topic t led by the genes from 10 t on; topic e2 is NITE."""
    rng = np.random.default_rng(0)
    state = np.repeat(["root", "A", "B"], N_CELLS // 3)
    topics = np.full((N_CELLS, 4), 0.05)
    for label, columns in {"root": [0, 3], "A": [1], "B": [2]}.items():
        topics[np.ix_(state == label, columns)] = 0.85 / len(columns)
    topics /= topics.sum(axis=1, keepdims=True)
    activations = rng.normal(scale=0.1, size=(N_GENES, 4))
    for t in range(4):
        activations[10 * t : 10 * t + N_TOP, t] += 5
    names = [f"c{i}" for i in range(N_CELLS)]
    rna = anndata.AnnData(np.ones((N_CELLS, N_GENES), dtype=np.float32), obs=pd.DataFrame(index=names))
    rna.obsm["X_topics"], rna.varm["topic_activations"] = topics, activations
    data = mudata.MuData({"rna": rna})
    data.obs["lineage_state"] = state
    data.obs["pseudotime"] = np.linspace(0, 1, N_CELLS)
    data.uns["lineage_tree"] = {
        "node": np.array(["root", "A", "B"]),
        "parent": np.array(["", "root", "root"]),
        "branch_time": np.array([0.3, np.nan, np.nan]),
    }
    score = rng.gamma(2.0, size=N_GENES)
    score[10:20] += 40
    ok = np.ones(N_GENES, dtype=bool)
    ok[[0, 59]] = False
    score[~ok] = np.nan
    return SimpleNamespace(
        data=data,
        params=SimpleNamespace(n_top=N_TOP),
        position=np.arange(N_GENES),
        genes=[f"g{i}" for i in range(N_GENES)],
        ok=ok,
        nite_score=score,
    )


def test_topics_belong_to_the_state_where_they_are_highest(found: Any) -> None:
    assert state_topics(found) == {"root": ["e1", "e4"], "A": ["e2"], "B": ["e3"]}


def test_states_are_tested_against_all_other_fitted_genes(found: Any) -> None:
    table = state_tests(found).set_index("group_1")
    members = {"root": [*range(1, 10), *range(30, 40)], "A": [*range(10, 20)], "B": [*range(20, 30)]}
    expected = []
    for state, genes in members.items():
        inside = np.isin(np.arange(N_GENES), genes)
        first, second = found.nite_score[inside & found.ok], found.nite_score[~inside & found.ok]
        assert (table.loc[state, "n_1"], table.loc[state, "n_2"]) == (len(first), len(second))
        result = mannwhitneyu(first, second)
        assert table.loc[state, "effect_size"] == pytest.approx(2 * result.statistic / len(first) / len(second) - 1)
        exact = mannwhitneyu(first, second, method="exact").pvalue
        asymptotic = mannwhitneyu(first, second, method="asymptotic").pvalue
        assert min(abs(table.loc[state, "pvalue"] / p - 1) for p in (exact, asymptotic)) < 1e-6
        expected.append(table.loc[state, "pvalue"])
    np.testing.assert_allclose(table["adj_pvalue"], false_discovery_control(expected))
    assert table.loc["A", "adj_pvalue"] < 0.001 < table.loc["B", "adj_pvalue"]
    (shown,) = state_table(found)
    pd.testing.assert_frame_equal(shown.frame, state_tests(found))


def test_figures_star_what_is_significant(found: Any) -> None:
    primed = pd.DataFrame(
        {"lineage": ["A"] * 12 + ["B"] * 3, "gene": [f"g{i}" for i in [*range(10, 22), 30, 31, 59]], "terminal": True}
    )
    primed.loc[11, "terminal"] = False
    by_name = {figure.name: figure for figure in lineage_figures(found, primed)}
    assert list(by_name) == ["state_nite", "terminal_nite"]
    states, terminal = str(by_name["state_nite"].chart.to_dict()), str(by_name["terminal_nite"].chart.to_dict())
    assert "A *|n = 10" in states
    assert "root|n = 19" in states
    assert "terminal in A *|n = 11" in terminal
    assert "terminal in B|n = 2" in terminal, "a gene without a model does not count"
    assert "other genes|n = 45" in terminal
    assert "(root: e1, e4; A: e2; B: e3)" in by_name["state_nite"].caption


def test_captions_say_which_groups_the_tests_set_apart(found: Any) -> None:
    tests = pd.DataFrame(
        {"group_1": ["a", "b", "c", "d"], "effect_size": [0.2, -0.4, 0.6, 0.9], "adj_pvalue": [0.01, 0.001, 0.04, 0.2]}
    )
    assert apart(tests, sign=1) == ["c", "a"]
    assert apart(tests, sign=-1) == ["b"]
    (figure, *_) = lineage_figures(found, pd.DataFrame(columns=["lineage", "gene", "terminal"]))
    table = state_tests(found)
    assert apart(table, sign=1) + apart(table, sign=-1) != []
    assert nite_sides(table) in figure.caption
    assert nite_sides(table.assign(adj_pvalue=1.0)) != nite_sides(table)


def test_without_a_branch_there_is_nothing_to_show(found: Any) -> None:
    data = found.data.copy()
    del data.uns["lineage_tree"]
    bare = SimpleNamespace(**{**vars(found), "data": data})
    assert lineage_figures(bare, pd.DataFrame()) == []
    assert state_table(bare) == []
    assert state_topics(bare) == {}


def test_log_scores() -> None:
    np.testing.assert_allclose(log_score(np.array([-3.0, 0.0, 9.0, 99.0])), [0, 0, 1, 2])


def test_cells_belong_to_a_lineage_by_the_start_cell(found: Any) -> None:
    """The earliest cell is committed to A already; by the start cell's fates other cells belong to B."""
    data = found.data.copy()
    fates = np.tile([0.5, 0.5], (N_CELLS, 1))
    fates[0] = [0.9, 0.1]
    fates[60:] = [0.3, 0.7]
    data.obsm["fate_probabilities"] = pd.DataFrame(fates, index=data.obs_names, columns=["A", "B"])
    tree = {**data.uns["lineage_tree"], "start_cell": "c5"}
    for uns, start in ((tree, 5), (data.uns["lineage_tree"], 0)):
        data.uns["lineage_tree"] = uns
        masks = lineage_cells(SimpleNamespace(data=data))  # type: ignore[arg-type]
        for column, name in enumerate("AB"):
            np.testing.assert_array_equal(masks[name], fates[:, column] >= fates[start, column])
