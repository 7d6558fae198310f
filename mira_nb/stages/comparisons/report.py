"""Tables, metrics, alerts and methods of the stage comparisons."""

from __future__ import annotations

from mira_nb.core.statistics.group_tests import COLUMNS
from mira_nb.core.statistics.sample_tests import SAMPLE_COLUMNS
from mira_nb.stages.result import Alert, Metric, Table

from .compute import ComparisonsOutput
from .samples import sample_alerts, sample_caption, sample_methods, sample_metrics


def tables(done: ComparisonsOutput) -> list[Table]:
    """All tests, and how the groups share the topics."""
    over_samples = [] if done.samples is None else [*SAMPLE_COLUMNS, "sample_adj_pvalue"]
    frame = done.tests[[*COLUMNS, "kind", *over_samples]].sort_values(
        ["adj_pvalue", "pvalue", "quantity"], kind="stable", ignore_index=True
    )
    return [
        Table(
            "group_tests",
            f"Tests between the groups of {done.grouping}",
            "Two-sided Wilcoxon rank-sum tests with tie correction. n: cells in each group (group_2 = rest: all other "
            "cells that are in a group). effect_size: rank-biserial correlation (Cliff's delta), from -1 to 1, "
            "positive "
            "where group_1 is higher; with many cells, tiny effects have tiny p values, so read the effect first. "
            "adj_pvalue: Benjamini-Hochberg over all tests of the same kind. Genes: log-normalised expression."
            + sample_caption(done),
            frame,
        ),
        Table(
            "topic_sharing",
            "Topics shared by groups or of one group",
            "groups: those whose mean proportion is at least "
            f"{done.params.shared_fraction:.0%} of the highest group's; specific = one group, ubiquitous = all. "
            "sparsity: "
            "Gini index over cells (0 equal in all, 1 in one cell only). most_similar: the topic with the highest "
            "correlation over cells; two topics of the same assay above 0.9 describe the same cells.",
            done.sharing,
        ),
    ]


def metrics(done: ComparisonsOutput) -> list[Metric]:
    """Count what was tested and what differs."""
    significant = done.tests["adj_pvalue"] < done.params.alpha
    out = [
        Metric("Groups compared", len(done.groups), help=f"by {done.grouping}"),
        Metric("Contrasts", len(done.compared)),
    ]
    for kind, number in done.quantities.items():
        rows = done.tests["kind"] == kind
        found = int(done.tests.loc[rows & significant, "quantity"].nunique())
        out.append(
            Metric(
                f"{kind[0].upper()}{kind[1:]}s that differ",
                f"{found:,} of {number:,}",
                help=f"adjusted p < {done.params.alpha} in at least one contrast",
                key=kind == "gene",
            )
        )
    out += sample_metrics(done)
    specific = int((done.sharing["sharing"] == "specific").sum())
    out.append(Metric("Topics of one group", f"{specific} of {len(done.sharing)}", help="the others are shared"))
    return out


def alerts(done: ComparisonsOutput) -> list[Alert]:
    """Say what was left out, and where cells were taken as independent experiments."""
    out = []
    if done.left_out:
        listed = ", ".join(f"{name} ({size})" for name, size in list(done.left_out.items())[:8])
        out.append(
            Alert(
                "warning",
                f"{len(done.left_out)} groups were too small to compare",
                f"Fewer than {done.params.min_cells} cells: {listed}.",
                "Merge groups or lower comparisons.min_cells.",
            )
        )
    out += sample_alerts(done)
    if done.grouping == "leiden":
        out.append(
            Alert(
                "info",
                "The groups were found in the same data that is tested",
                "Leiden clusters are made from the topics, so that topics and their genes differ between them by "
                "construction.",
                "Give an independent annotation with --groups.",
            )
        )
    return out


def methods(done: ComparisonsOutput) -> str:
    """Sentences for the methods section."""
    return (
        f"Groups of cells (by {done.grouping}; {len(done.groups)} groups, {len(done.compared)} contrasts) were "
        "compared with "
        "two-sided Wilcoxon rank-sum tests [@wilcoxon1945ranks] with correction for ties; p values were adjusted by "
        "the "
        "Benjamini-Hochberg procedure [@benjamini1995fdr] over all tests of one kind of quantity. Effect sizes are "
        "rank-biserial correlations. A topic was called specific to a group when no other group's mean proportion "
        "reached "
        f"{done.params.shared_fraction:.0%} of that group's.{sample_methods(done)}"
    )
