"""Marker genes of the groups: which they are, and the figures that show them."""

from __future__ import annotations

from typing import Final

import numpy as np
import pandas as pd

from mira_nb.charts.basic import heatmap
from mira_nb.charts.markers import dot_plot, volcano
from mira_nb.core.statistics.group_tests import REST
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import gene_expression
from mira_nb.stages.texts import Texts

from .compute import ComparisonsOutput

TEXTS = Texts(__package__)
IN_DOTS: Final = 4
"""Markers of a group in the dot plot."""
IN_HEATMAP: Final = 8
"""Markers of a group in the heat map."""
MAX_CONTRASTS: Final = 15
"""Contrasts in the menu of the volcano: those with most significant genes where there are more."""


def markers(tests: pd.DataFrame, groups: list[str], *, alpha: float, n: int) -> dict[str, list[str]]:
    """Return at most `n` genes per group that are higher in it than in every group it was compared with.

    Ranked by the smallest of these effects; every one of them is significant.

    Parameters
    ----------
    tests
        Tests of genes: quantity, group_1, group_2, effect_size, adj_pvalue.
    """
    columns = ["quantity", "group", "effect", "adj_pvalue"]
    first = tests.assign(group=tests["group_1"], effect=tests["effect_size"])[columns]
    second = tests.assign(group=tests["group_2"], effect=-tests["effect_size"])[columns]
    both = pd.concat([first, second[second["group"] != REST]])
    least = both.groupby(["group", "quantity"], sort=True).agg(effect=("effect", "min"), p=("adj_pvalue", "max"))
    least = least[(least["effect"] > 0) & (least["p"] < alpha)].reset_index()
    least = least.sort_values(["effect", "quantity"], ascending=[False, True], kind="stable")
    return {group: least.loc[least["group"] == group, "quantity"].head(n).tolist() for group in groups}


def marker_figures(done: ComparisonsOutput) -> list[Figure]:
    """Draw the volcano of every contrast, and dot plot and heat map of the markers where there are any."""
    tests = done.tests[done.tests["kind"] == "gene"]
    if tests.empty:
        return []
    out = [_volcano(done, tests)]
    found = markers(tests, done.groups, alpha=done.params.alpha, n=IN_HEATMAP)
    if any(found.values()):
        frame = _means(done, list(dict.fromkeys(gene for genes in found.values() for gene in genes)))
        without = [group for group, names in found.items() if not names]
        grouping = done.grouping
        best = list(dict.fromkeys(gene for genes in found.values() for gene in genes[:IN_DOTS]))
        dots = dot_plot(frame[frame["gene"].isin(best)], genes=best, groups=done.groups, group_title=done.grouping)
        out.append(
            TEXTS.figure(
                "marker_dots",
                dots,
                n_each=IN_DOTS,
                n_genes=len(best),
                grouping=grouping,
                alpha=done.params.alpha,
                without=without,
            )
        )
        matrix = frame.pivot(index="gene", columns="group", values="mean").loc[frame["gene"].unique(), done.groups]
        shown = matrix.sub(matrix.mean(axis=1), axis=0).div(matrix.std(axis=1, ddof=0).replace(0, np.nan), axis=0)
        chart = heatmap(
            shown.fillna(0.0), value_title="standardised mean", column_title=done.grouping, diverging=True, cell=16
        )
        out.append(
            TEXTS.figure(
                "marker_heatmap", chart, n_each=IN_HEATMAP, n_genes=len(matrix), grouping=grouping, without=without
            )
        )
    return out


def _means(done: ComparisonsOutput, genes: list[str]) -> pd.DataFrame:
    """Return mean, mean relative to the gene's largest, and fraction of cells expressing, by gene and group."""
    values = gene_expression(done.data, genes).set_axis(done.data.obs_names)
    known = done.labels.notna().to_numpy()
    groups = done.labels[known].astype(str).to_numpy()
    mean = values[known].groupby(groups).mean().loc[done.groups, genes]
    expressing = (values[known] > 0).groupby(groups).mean().loc[done.groups, genes]
    relative = mean / mean.max().replace(0, np.nan)
    return pd.DataFrame(
        {
            "gene": np.repeat(genes, len(done.groups)),
            "group": np.tile(done.groups, len(genes)),
            "mean": mean.to_numpy().T.ravel(),
            "relative": relative.fillna(0.0).to_numpy().T.ravel(),
            "expressing": expressing.to_numpy().T.ravel(),
        }
    )


def _volcano(done: ComparisonsOutput, tests: pd.DataFrame) -> Figure:
    frame = pd.DataFrame(
        {
            "gene": tests["quantity"].to_numpy(),
            "contrast": (tests["group_1"] + " against " + tests["group_2"]).to_numpy(),
            "effect_size": tests["effect_size"].to_numpy(float),
            "adj_pvalue": tests["adj_pvalue"].to_numpy(float),
        }
    )
    order = list(dict.fromkeys(f"{first} against {second}" for first, second in done.compared))
    counts = (frame["adj_pvalue"] < done.params.alpha).groupby(frame["contrast"]).sum()
    if len(order) > MAX_CONTRASTS:
        most = set(counts.sort_values(ascending=False, kind="stable").index[:MAX_CONTRASTS])
        order = [name for name in order if name in most]
    chart, packed = volcano(frame, contrasts=order, level=done.params.alpha)
    first = order[0]
    return TEXTS.figure(
        "volcano",
        chart,
        packed=packed,
        n_genes=frame["gene"].nunique(),
        n_contrasts=len(done.compared),
        n_shown=len(order),
        alpha=done.params.alpha,
        first=first,
        n_significant=int(counts[first]),
    )
