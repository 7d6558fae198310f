"""Figures of the stage comparisons."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.basic import heatmap, scatter
from mira_nb.charts.groups import by_group
from mira_nb.charts.theme import category_colors
from mira_nb.core.statistics.group_tests import REST
from mira_nb.keys import NITE_SCORE
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import gene_expression

from .compute import ComparisonsOutput
from .samples import TOPIC_KINDS, sample_figures, sample_words

MAX_BRACKETS = 6


def figures(done: ComparisonsOutput) -> list[Figure]:
    """Topic sharing, redundancy, genes, NITE scores, effects, and what is seen in every sample."""
    genes = _best_genes(done)
    out = [_sharing(done), _redundancy(done), *_genes(done, genes)]
    if NITE_SCORE in done.data.obs:
        out.append(_nite(done))
    out.append(_effects(done))
    return [*out, *sample_figures(done, genes, _best(done, TOPIC_KINDS))]


def _sharing(done: ComparisonsOutput) -> Figure:
    means = done.sharing.set_index("topic")[[f"mean in {group}" for group in done.groups]]
    means.columns = pd.Index(done.groups)
    chart = heatmap(
        means,
        value_title="mean proportion",
        row_title="topic",
        column_title=done.grouping,
        reorder=True,
    )
    counts = done.sharing["sharing"].value_counts()
    said = ", ".join(f"{counts.get(name, 0)} {name}" for name in ("specific", "shared", "ubiquitous"))
    return Figure(
        "topic_sharing",
        "Topics shared by groups",
        f"Mean proportion of every topic in every group (n = {int(done.labels.notna().sum()):,} cells). A row with "
        "one bright "
        f"cell is a topic of one group, a row bright in several is shared. By the table's rule: {said}.",
        chart=chart,
        section="Topics",
    )


def _redundancy(done: ComparisonsOutput) -> Figure:
    frame = done.sharing.assign(
        assay=["expression" if str(topic).startswith("e") else "accessibility" for topic in done.sharing["topic"]]
    )
    chart = scatter(
        frame,
        x="sparsity",
        y="correlation",
        x_title="sparsity (Gini index over cells)",
        y_title="highest correlation with another topic",
        label="topic",
        n_labels=len(frame),
        color="assay",
        color_title="topics of",
    )
    return Figure(
        "redundancy",
        "Sparsity and redundancy of the topics",
        "One point a topic. Right: concentrated in few cells. High: another topic (of either assay) marks the same "
        "cells; an "
        "expression topic and an accessibility topic that agree are expected, two of one assay above 0.9 are "
        "redundant.",
        chart=chart,
        section="Topics",
    )


def _best_genes(done: ComparisonsOutput) -> list[str]:
    """Return the genes that were named, else the best of each group."""
    if done.params.draw:
        return [gene for gene in done.params.draw if gene in done.data.mod["rna"].var_names]
    return _best(done, ("gene",))


def _best(done: ComparisonsOutput, kinds: tuple[str, ...]) -> list[str]:
    """One quantity a group: the one with the largest effect among the significant ones."""
    tests = done.tests[done.tests["kind"].isin(kinds) & (done.tests["adj_pvalue"] < done.params.alpha)]
    picked: list[str] = []
    for _, rows in tests.groupby("group_1", sort=True):
        ordered = rows.sort_values(["effect_size", "quantity"], ascending=[False, True], kind="stable")
        picked += [name for name in ordered["quantity"] if name not in picked][:1]
    return picked[: done.params.n_draw]


def _genes(done: ComparisonsOutput, genes: list[str]) -> list[Figure]:
    if not genes:
        return []
    values = gene_expression(done.data, genes)
    out = []
    for number, gene in enumerate(genes):
        chart = by_group(
            pd.DataFrame({"value": values[gene].to_numpy(), "group": done.labels.to_numpy()}).dropna(),
            value="value",
            group="group",
            value_title=f"{gene}, log(1 + counts per 10,000)",
            group_title=done.grouping,
            order=done.groups,
            colors=category_colors(done.groups),
            kind="violin",
            brackets=_brackets(done, "gene", gene),
        )
        out.append(
            Figure(
                "genes" if number == 0 else f"genes_{number + 1}",
                f"{gene} by {done.grouping}",
                f"Log-normalised expression by group, n below each name.{_test_words(done, 'gene', gene)}",
                chart=chart,
                section="Genes",
            )
        )
    return out


def _nite(done: ComparisonsOutput) -> Figure:
    frame = pd.DataFrame({"value": done.data.obs[NITE_SCORE].to_numpy(), "group": done.labels.to_numpy()}).dropna()
    chart = by_group(
        frame,
        value="value",
        group="group",
        value_title="cell NITE score",
        group_title=done.grouping,
        order=done.groups,
        colors=category_colors(done.groups),
        brackets=_brackets(done, "cell NITE score", NITE_SCORE),
    )
    return Figure(
        "nite",
        f"NITE regulation of cells by {done.grouping}",
        "Higher: the cell's expression is explained less by the chromatin near its genes. Box: median and "
        "quartiles; whiskers "
        f"to the farthest value within 1.5 interquartile ranges.{_test_words(done, 'cell NITE score', NITE_SCORE)}",
        chart=chart,
        section="NITE regulation",
    )


def _effects(done: ComparisonsOutput) -> Figure:
    tests = done.tests[done.tests["kind"].isin(["expression topic", "accessibility topic"])]
    names = tests["group_1"] + (" vs " + tests["group_2"]).where(tests["group_2"] != REST, "")
    matrix = tests.assign(contrast=names).pivot_table(
        index="quantity", columns="contrast", values="effect_size", sort=False
    )
    chart = heatmap(
        matrix, value_title="effect size", row_title="topic", column_title="contrast", diverging=True, reorder=False
    )
    return Figure(
        "effects",
        "How topics differ between groups",
        "Rank-biserial effect size of every topic in every contrast (orange: higher in the first group; a contrast "
        "without a "
        "second name is against all other cells). 1 means that every cell of the first group is above every cell of "
        "the other. "
        "Tests and adjusted p values are in the table.",
        chart=chart,
        section="Topics",
    )


def _brackets(done: ComparisonsOutput, kind: str, quantity: str) -> pd.DataFrame | None:
    """Draw the strongest significant pairwise tests of one quantity as brackets."""
    rows = done.tests[
        (done.tests["kind"] == kind)
        & (done.tests["quantity"] == quantity)
        & (done.tests["group_2"] != REST)
        & (done.tests["adj_pvalue"] < done.params.alpha)
    ]
    if rows.empty:
        return None
    strongest = rows.reindex(rows["effect_size"].abs().sort_values(ascending=False, kind="stable").index)[:MAX_BRACKETS]
    labels = [f"* adj. p = {p:.1e}" if p > 0 else "* adj. p < 1e-300" for p in strongest["adj_pvalue"]]
    return strongest[["group_1", "group_2"]].assign(label=labels)


def _test_words(done: ComparisonsOutput, kind: str, quantity: str) -> str:
    """Say which test the brackets stand for, and what the test over samples says."""
    number = int((done.tests["kind"] == kind).sum())
    pairs = _brackets(done, kind, quantity)
    if any(second != REST for _, second in done.compared):
        said = (
            f" Brackets: the (at most {MAX_BRACKETS}) significant pairs of largest effect; stars and p are over cells: "
            "Wilcoxon rank-sum test, adjusted p "
            f"(Benjamini-Hochberg over {number:,} tests) < {done.params.alpha}."
        )
    else:
        said = (
            f" Every group was tested against all others over cells (Wilcoxon rank-sum, Benjamini-Hochberg over "
            f"{number:,} tests); see the table."
        )
    return said + sample_words(done, kind, quantity, pairs)
