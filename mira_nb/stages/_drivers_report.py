"""Tables, figures, metrics, alerts and methods text of the stage drivers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.charts.drivers import driver_bars, two_set_scatter
from mira_nb.charts.groups import by_group
from mira_nb.core.stats import rank_sum

from ._drivers_fit import COLUMNS, Drivers, compared_factors, compared_queries
from .base import Alert, Figure, Metric, Table


def target_comparison(found: Drivers) -> tuple[pd.DataFrame, pd.DataFrame]:
    """NITE scores of the targets of two factors (genes of both left out), and their Wilcoxon test."""
    chosen = compared_factors(found)
    if len(chosen) < 2:
        return pd.DataFrame(), pd.DataFrame()
    n_top = min(found.params.n_targets, max(int(found.scored.sum()) // 3, 1))
    masks = []
    for label in chosen:
        score = found.deletion.scores[:, found.labels.index(label)]
        score = np.where(found.scored & (score > 0), score, -np.inf)
        top = np.argsort(-score, kind="stable")[:n_top]
        mask = np.zeros(len(score), dtype=bool)
        mask[top[np.isfinite(score[top])]] = True
        masks.append(mask)
    shared = masks[0] & masks[1]
    samples = [found.nite_score[mask & ~shared & np.isfinite(found.nite_score)] for mask in masks]
    if min(len(sample) for sample in samples) < 3:
        return pd.DataFrame(), pd.DataFrame()
    test = rank_sum(samples[0], samples[1])
    frame = pd.concat(
        [
            pd.DataFrame({"score": np.log10(1 + np.maximum(sample, 0)), "factor": label})
            for sample, label in zip(samples, chosen, strict=True)
        ],
        ignore_index=True,
    )
    row = pd.DataFrame(
        {
            "quantity": ["NITE score of targets"],
            "group_1": [chosen[0]],
            "group_2": [chosen[1]],
            "n_1": test.n_1,
            "n_2": test.n_2,
            "median_1": test.median_1,
            "median_2": test.median_2,
            "effect_size": test.effect_size,
            "pvalue": test.pvalue,
            "adj_pvalue": test.pvalue,
        }
    )
    return frame, row


def tables(found: Drivers) -> list[Table]:
    """Driver tests, queries, comparison of targets."""
    columns = [*COLUMNS, "effect_size", "log10_pvalue"]
    sizes = pd.DataFrame(
        {
            "query": list(found.queries),
            "source": [found.sources[name] for name in found.queries],
            "n_genes": [int(mask.sum()) for mask in found.queries.values()],
            "genes": [", ".join(np.array(found.genes, dtype=object)[mask][:200]) for mask in found.queries.values()],
        }
    )
    out = [
        Table(
            "driver_factors",
            "Driver factors of gene sets",
            "One-sided Mann-Whitney test: are the association scores of the query's genes with the factor higher than "
            "those of the background (all other genes with a LITE model)? statistic: U of the query; effect_size: "
            "rank-biserial correlation; adj_pvalue: Benjamini-Hochberg over the factors of a query.",
            found.table[columns],
        ),
        Table("queries", "Gene sets tested", "Genes with a LITE model only; at most 200 are listed.", sizes),
    ]
    _, row = target_comparison(found)
    if len(row):
        out.append(
            Table(
                "target_nite_test",
                "NITE regulation of two factors' targets",
                "Two-sided Wilcoxon rank-sum test; one test, so that the adjusted p value is the p value.",
                row,
            )
        )
    return out


def figures(found: Drivers) -> list[Figure]:
    """Bars of the best factors, two-set scatter, NITE of two factors' targets."""
    if not len(found.table):
        return []
    return [_bars(found), *_two_sets(found), *_target_nite(found)]


def _bars(found: Drivers) -> Figure:
    level = found.params.level
    return Figure(
        "driver_bars",
        "Best driver factors of each gene set",
        "The menu chooses the gene set. Bars: -log10 of the adjusted p value (one-sided Mann-Whitney test of "
        "association scores against all other genes with a LITE model, Benjamini-Hochberg over "
        f"{len(found.labels):,} factors); dashed: {level:g}; colour: effect size. Factors with nearly the same motif "
        "score alike: expression tells them apart.",
        chart=driver_bars(found.table, level=level),
        section="Drivers",
    )


def _two_sets(found: Drivers) -> list[Figure]:
    """Draw Extended Data Fig. 5f; nothing where fewer than two gene sets were tested."""
    pair, level = compared_queries(found), found.params.level
    if len(pair) != 2:
        return []
    first, second = (found.table[found.table["query"] == name].set_index("label") for name in pair)
    second = second.loc[first.index]
    frame = pd.DataFrame(
        {
            "label": first.index,
            "x": -first["log10_pvalue"].to_numpy(float),
            "y": -second["log10_pvalue"].to_numpy(float),
            "x_adj": first["adj_pvalue"].to_numpy(float),
            "y_adj": second["adj_pvalue"].to_numpy(float),
        }
    )
    return [
        Figure(
            "two_sets",
            f"Driver factors of {pair[0]} against {pair[1]}",
            f"One point a factor ({len(frame):,}); -log10 p of the driver tests with {int(first['n_query'].iloc[0]):,} "
            f"and {int(second['n_query'].iloc[0]):,} query genes. Coloured: adjusted p < {level:g} "
            "(Benjamini-Hochberg). Factors near an axis drive one set only.",
            chart=two_set_scatter(frame, first=pair[0], second=pair[1], level=level),
            section="Drivers",
        )
    ]


def _target_nite(found: Drivers) -> list[Figure]:
    """Draw Extended Data Fig. 13d; nothing where two factors with targets of their own are not there."""
    frame, row = target_comparison(found)
    if not len(row):
        return []
    first, second = str(row["group_1"].iloc[0]), str(row["group_2"].iloc[0])
    p, effect = float(row["pvalue"].iloc[0]), float(row["effect_size"].iloc[0])
    chart = by_group(
        frame,
        value="score",
        group="factor",
        value_title="NITE score (log10 of 1 + score)",
        order=[first, second],
        brackets=pd.DataFrame({"group_1": [first], "group_2": [second], "label": [f"p = {p:.2g}"]}),
    )
    return [
        Figure(
            "target_nite",
            f"NITE regulation of the targets of {first} and {second}",
            f"NITE score of the genes with the highest association scores (at most {found.params.n_targets} a factor, "
            f"genes of both left out; n below the boxes); two-sided Wilcoxon rank-sum test, p = {p:.2g}, effect size "
            f"{effect:.2f}. Lower: expression follows local chromatin, as expected of the targets of a pioneer factor.",
            chart=chart,
            section="Drivers",
        )
    ]


def metrics(found: Drivers) -> list[Metric]:
    """Key figures."""
    drivers = int((found.table["adj_pvalue"].to_numpy(float) < found.params.level).sum())
    return [
        Metric("Genes scored", int(found.scored.sum()), "genes", "genes with a LITE model", key=True),
        Metric("Factors", len(found.labels), "factors", "masked one by one", key=True),
        Metric("Gene sets tested", int(found.table["query"].nunique()), "sets"),
        Metric(
            "Driver factors", drivers, "", f"pairs of set and factor with adjusted p < {found.params.level:g}", key=True
        ),
    ]


def alerts(found: Drivers) -> list[Alert]:
    """Say which queries could not be tested and which names were not found."""
    out = []
    for name, missing in found.unknown.items():
        out.append(
            Alert(
                "warning",
                f"Query {name}: {len(missing):,} genes have no LITE model or are not in the data",
                ", ".join(missing[:10]),
                "case does not matter; the table genes of the stage regulation gives the reasons",
            )
        )
    if found.skipped:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in found.skipped.items())
        out.append(Alert("info", f"{len(found.skipped):,} gene sets were too small to test", reasons))
    silent = int((np.nan_to_num(found.deletion.n_sites).sum(axis=0) == 0).sum())
    if silent:
        out.append(Alert("info", f"{silent:,} factors have no site near any gene with a LITE model"))
    return out


def methods(found: Drivers) -> str:
    """Describe what was done."""
    p = found.params
    used = found.deletion.n_cells[found.scored]
    n_used = int(used.max()) if len(used) else 0
    return (
        f"Associations of {int(found.scored.sum()):,} genes with {len(found.labels):,} factors were scored by "
        "probabilistic in-silico deletion [@lynch2022mira; @qin2020lisa]: a factor's sites were masked in the gene's "
        "LITE "
        "model, the masked regulatory potentials were quantile-normalised [@amaratunga2001quantile] to the unmasked "
        "ones "
        "(ties share the mean of their quantiles), and the score is -2 times the log ratio of the likelihoods with all "
        f"parameters of the LITE model kept. Each gene was scored on {n_used:,} cells: log expression (log(1 + "
        "counts per "
        f"10,000 of effective depth) plus its mean) was cut into {p.n_bins} quanta of equal total and the same "
        "number of "
        "cells drawn from each, with a generator of its own for each gene. Driver factors of a gene set were found by "
        "one-sided Mann-Whitney tests [@mann1947utest] of its scores against those of all other genes with a LITE "
        "model, "
        "adjusted by Benjamini-Hochberg [@benjamini1995fdr] over the factors. Gene sets: "
        f"{len(found.queries):,} ({', '.join(sorted(set(found.sources.values()))) or 'none'}); automatic sets hold "
        "at most "
        f"{p.n_top} genes; marker genes are those with adjusted p < 0.05 (two-sided Wilcoxon rank-sum test of the "
        "group "
        "against the rest), by decreasing fold change."
    )
