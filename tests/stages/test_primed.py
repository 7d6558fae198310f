"""Genes primed at branches of the tree and of the user's groups, and terminal genes, by the published rules."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import anndata as ad
import mudata
import numpy as np
import pandas as pd
import pytest
import scanpy as sc
from scipy import sparse

from mira_nb.io.resources import Resources
from mira_nb.stages.regulation.branches import GivenBranch, find_branches, parse_branch
from mira_nb.stages.regulation.params import RegulationParams
from mira_nb.stages.regulation.primed import primed_genes, stored_classes, terminal_tests
from tests.messages import refused

N, N_GENES = 400, 80
STATES = ("root", "BC", "A", "B", "C")
TREE = {
    "node": np.array(["root", "A", "B, C", "B", "C"]),
    "parent": np.array(["", "root", "root", "B, C", "B, C"]),
    "branch_time": np.array([0.3, np.nan, 0.6, np.nan, np.nan]),
}
GROUPS = Resources(groups="type")
TYPES = {"root": "stem", "B, C": "matrix", "A": "sheath", "B": "cortex", "C": "medulla"}


@pytest.fixture(scope="module")
def data() -> mudata.MuData:
    """Five states on a tree with an inner branch; genes that differ between all of them by chance fold changes."""
    rng = np.random.default_rng(0)
    state = np.array(["root", "B, C", "A", "B", "C"])[np.arange(N) % 5]
    first = {"root": 0.0, "B, C": 0.3, "A": 0.3, "B": 0.6, "C": 0.6}
    time = np.array([first[name] for name in state]) + rng.random(N) * np.where(
        np.isin(state, ["root", "B, C"]), 0.3, 0.4
    )
    level = {name: rng.lognormal(0.5, 1.0, N_GENES) for name in np.unique(state)}
    counts = rng.poisson(np.array([level[name] for name in state]))
    names = [f"cell{i}" for i in range(N)]
    obs = pd.DataFrame({"type": [TYPES[name] for name in state]}, index=names)
    rna = ad.AnnData(sparse.csr_matrix(counts.astype(np.float32)), obs=obs)
    rna.var_names = [f"g{i}" for i in range(N_GENES)]
    atac = ad.AnnData(sparse.csr_matrix(np.ones((N, 3), np.float32)), obs=pd.DataFrame(index=names))
    rna.obsm["X_topics"] = rng.dirichlet(np.ones(3), N)
    atac.obsm["X_topics"] = rng.dirichlet(np.ones(4), N)
    out = mudata.MuData({"rna": rna, "atac": atac})
    out.obs["lineage_state"], out.obs["pseudotime"] = state, time
    out.uns["lineage_tree"] = TREE
    return out


def fitted(data: mudata.MuData, **params: Any) -> Any:
    """What the rules read of fitted models: a differential and a score drawn at random, two genes without models."""
    rng = np.random.default_rng(1)
    ok = np.ones(N_GENES, dtype=bool)
    ok[[3, 70]] = False
    score = rng.gamma(1.0, 8.0, N_GENES)
    score[~ok] = np.nan
    given = RegulationParams(branch_cells=30, **params)
    return SimpleNamespace(
        data=data,
        params=given,
        branches=find_branches(data, given, GROUPS),
        position=np.arange(N_GENES),
        genes=[str(name) for name in data.mod["rna"].var_names],
        ok=ok,
        nite_score=score,
        called=score > 10,
        differential=rng.normal(0.15, 0.5, (N, N_GENES)),
    )


def higher(data: mudata.MuData, one: np.ndarray, two: np.ndarray) -> set[str]:
    """Genes higher in the first cells, by Scanpy itself."""
    part = data.mod["rna"].copy()
    sc.pp.normalize_total(part, target_sum=1e4)
    sc.pp.log1p(part)
    part.obs["side"] = pd.Categorical(np.where(one, "one", np.where(two, "two", "neither")))
    sc.tl.rank_genes_groups(part, "side", groups=["one"], reference="two", method="wilcoxon", tie_correct=True)
    table = sc.get.rank_genes_groups_df(part, "one")
    return set(table.loc[(table["pvals_adj"] < 0.1) & (table["logfoldchanges"] > 1), "names"])


def classes(table: pd.DataFrame, branch: str, lineage: str) -> dict[str, str]:
    rows = table[(table["branch"] == branch) & (table["lineage"] == lineage)]
    return dict(zip(rows["gene"], rows["class"], strict=True))


def published(found: Any, before: np.ndarray, lineages: tuple[np.ndarray, np.ndarray], cells: np.ndarray) -> list[Any]:
    """Class of every gene of both lineages by the rules of the paper, spelled out."""
    data, names = found.data, found.genes
    up = set.union(*(higher(data, lineage, before) for lineage in lineages))
    out = []
    for own, other in (lineages, lineages[::-1]):
        genes = {}
        for gene in higher(data, own, other):
            g = names.index(gene)
            if not found.ok[g]:
                continue
            poised = found.differential[cells, g].mean() > 0.15 and found.nite_score[g] > 5
            genes[gene] = "at branch" if gene not in up else "primed" if poised else "not primed"
        out.append(genes)
    return out


def nearest(data: mudata.MuData, inside: np.ndarray, time: float) -> np.ndarray:
    away = np.where(inside, np.abs(data.obs["pseudotime"] - time), np.inf)
    return np.argsort(away, kind="stable")[:30]


def test_every_branch_of_the_tree_is_searched(data: mudata.MuData) -> None:
    found = fitted(data)
    table = primed_genes(found)
    state = data.obs["lineage_state"].to_numpy()
    lineages = {"root": ("A", "B, C"), "B, C": ("B", "C")}
    members = {"A": state == "A", "B, C": np.isin(state, ["B, C", "B", "C"]), "B": state == "B", "C": state == "C"}
    times = {"root": 0.3, "B, C": 0.6}
    assert set(table["branch"]) == set(lineages)
    for branch, names in lineages.items():
        cells = [members[name] for name in names]
        at = nearest(data, (state == branch) | cells[0] | cells[1], times[branch])
        expected = published(found, state == branch, (cells[0], cells[1]), at)
        for name, genes in zip(names, expected, strict=True):
            assert classes(table, branch, name) == genes
            assert len(genes) > 5
    assert set(table["class"]) == {"at branch", "primed", "not primed"}
    assert set(table.loc[table["terminal"], "lineage"]) == {"A", "B", "C"}, "an inner branch is no end"


def test_groups_of_the_user_follow_the_same_rules(data: mudata.MuData) -> None:
    kind = data.mod["rna"].obs["type"].to_numpy()
    cortex, medulla, matrix = kind == "cortex", kind == "medulla", kind == "matrix"
    topic = np.argsort(-data.mod["atac"].obsm["X_topics"][:, 3], kind="stable")[:30]
    for text, at in (
        ("matrix | cortex | medulla", nearest(data, matrix | cortex | medulla, 0.6)),
        ("matrix | cortex | medulla @ a4", topic),
    ):
        found = fitted(data, branches=[text])
        table = primed_genes(found)
        expected = published(found, matrix, (cortex, medulla), at)
        assert classes(table, "matrix", "cortex") == expected[0]
        assert classes(table, "matrix", "medulla") == expected[1]
    tree = primed_genes(found)
    same = tree[tree["branch"] == "B, C"].reset_index(drop=True)
    own = tree[tree["branch"] == "matrix"].reset_index(drop=True)
    pd.testing.assert_series_equal(own["log2_fold"], same["log2_fold"])


def test_terminal_genes_have_a_precursor_of_each_lineage(data: mudata.MuData) -> None:
    found = fitted(data, branches=["stem > sheath | matrix > medulla"])
    table = primed_genes(found)
    rows = table[table["branch"] == "stem, matrix"]
    kind = data.mod["rna"].obs["type"].to_numpy()
    up = higher(data, kind == "sheath", kind == "stem") | higher(data, kind == "medulla", kind == "matrix")
    for name, other in (("sheath", "medulla"), ("medulla", "sheath")):
        part = rows[rows["lineage"] == name]
        genes = {g for g in higher(data, kind == name, kind == other) if found.ok[found.genes.index(g)]}
        assert set(part["gene"]) == genes
        assert set(part.loc[part["terminal"], "gene"]) == genes & up
        assert 0 < part["terminal"].sum() < len(part)
    assert set(rows["class"]) == {"no branch"}
    assert rows["differential"].isna().all()
    tests = terminal_tests(found, table).set_index("group_1")
    terminal = set(rows.loc[rows["terminal"] & (rows["lineage"] == "sheath"), "gene"])
    assert tests.loc["terminal in sheath", "n_1"] == len(terminal)


def test_classes_are_stored_as_text(data: mudata.MuData) -> None:
    table = primed_genes(fitted(data))
    stored = stored_classes(table)
    assert {values.dtype.kind for values in stored.values()} == {"U"}
    np.testing.assert_array_equal(stored["gene"], table["gene"])
    empty = stored_classes(table[:0])
    assert all(len(values) == 0 and values.dtype.kind == "U" for values in empty.values())


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a | b | c", GivenBranch(("b", "c"), ("a", "a"), "")),
        ("a|b|c@a4", GivenBranch(("b", "c"), ("a", "a"), "a4")),
        ("p > b | q > c @ a12", GivenBranch(("b", "c"), ("p", "q"), "a12")),
    ],
)
def test_a_branch_is_read(text: str, expected: GivenBranch) -> None:
    assert parse_branch(text) == expected


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("a | b", "not_understood"),
        ("a | b | c | d", "not_understood"),
        ("a > b | c", "not_understood"),
        ("a | b | c @", "not_understood"),
        ("a |  | c", "not_understood"),
        ("a | b | b", "of_one_group"),
        ("a | a | b", "of_one_group"),
    ],
)
def test_a_branch_of_another_form_is_refused(text: str, code: str) -> None:
    with refused(f"regulation.branch_{code}", text=text):
        parse_branch(text)


@pytest.mark.parametrize(
    ("params", "code", "values"),
    [
        ({"branch_topic": "a9"}, "topic_unknown", {"topic": "a9", "known": ["a1", "a2", "a3", "a4"]}),
        ({"branches": ["matrix | cortex | medulla @ e1"]}, "topic_unknown", {"topic": "e1"}),
        (
            {"branches": ["matrix | cortx | medulla"]},
            "groups_unknown",
            {"lacking": ["cortx"], "annotation": "type", "close": "close: 'cortex'"},
        ),
        ({"branches": ["stem | matrix | medulla"]}, "cells_unknown", {"traced": True}),
    ],
)
def test_what_does_not_exist_is_refused(
    data: mudata.MuData, params: dict[str, Any], code: str, values: dict[str, Any]
) -> None:
    with refused(f"regulation.branch_{code}", **values):
        find_branches(data, RegulationParams(**params), GROUPS)


def test_without_a_trajectory_a_topic_is_needed(data: mudata.MuData) -> None:
    plain = data.copy()
    del plain.uns["lineage_tree"]
    params = RegulationParams(branches=["matrix | cortex | medulla"])
    with refused("regulation.branch_cells_unknown", traced=False):
        find_branches(plain, params, GROUPS)
    (branch,) = find_branches(plain, RegulationParams(branches=["matrix | cortex | medulla @ a2"]), GROUPS)
    assert len(branch.at) == 200
    assert find_branches(plain, RegulationParams(), GROUPS) == []
