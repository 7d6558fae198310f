"""Tables, figures, metrics, alerts and methods text of the stage drivers."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.stages.result import Alert, Metric, Table

from .compute import COLUMNS, DriversOutput, target_comparison


def tables(found: DriversOutput) -> list[Table]:
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


def metrics(found: DriversOutput) -> list[Metric]:
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


def alerts(found: DriversOutput) -> list[Alert]:
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


def methods(found: DriversOutput) -> str:
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
