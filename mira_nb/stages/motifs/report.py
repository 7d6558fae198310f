"""Tables, workbook, metrics, alerts and methods text of the stage motifs."""

from __future__ import annotations

import numpy as np

from mira_nb.stages.result import Alert, ExportFile, Metric, Table
from mira_nb.stages.shared.workbook import workbook

from .compute import CONTRACT, MotifsOutput, shown_motifs

FEW_HITS = 10


def tables(done: MotifsOutput) -> list[Table]:
    """Enrichment in the published schema, its counts and intervals, and the factors."""
    first = done.enrichment.iloc[0]
    counts = [
        "topic",
        "motif_id",
        "factor",
        "odds_ratio",
        "odds_low",
        "odds_high",
        "n_hits_top",
        "n_hits",
        "n_top",
        "n_peaks",
    ]
    factors = done.motifs.rename(columns={"id": "motif_id", "name": "factor"}).merge(
        done.expression.drop(columns="family"), on="label", how="left"
    )
    return [
        Table(
            "motif_enrichment",
            "Motifs enriched in accessibility topics",
            f"One-sided Fisher exact test of motif hits in the {int(first['n_top']):,} most activated of "
            f"{int(first['n_peaks']):,} peaks of each topic against the others. log10_pvalue does not underflow, "
            f"pvalue is 0 below 1e-308. adj_pvalue: Benjamini-Hochberg over {len(done.motifs):,} motifs in a topic.",
            done.enrichment[list(CONTRACT)],
        ),
        Table(
            "motif_odds",
            "Odds ratios and counts",
            "Odds ratio with 95 % interval (normal approximation of its log; 0.5 is added to each cell of a table with "
            "an empty one); n_hits_top of n_top top peaks and n_hits of all n_peaks have a hit.",
            done.enrichment[counts],
        ),
        Table(
            "motif_factors",
            "Factors, their hits and their expression",
            "hit_pvalue: chance of a hit at one position of random sequence (larger than asked for when the motif is "
            "too short). family: motifs that hit the same peaks. correlation: Spearman, of the gene's log-normalised "
            f"expression with the motif score over {done.data.n_obs:,} cells; two-sided p, Benjamini-Hochberg over all "
            "factors, too small because scores are smooth over neighbouring cells. in_expr: "
            "all genes of the motif's name are in the expression data.",
            factors,
        ),
    ]


def files(done: MotifsOutput) -> list[ExportFile]:
    """Write a workbook with one sheet a topic."""
    return [
        ExportFile(
            "tables/motif_enrichment.xlsx",
            workbook(done.enrichment[list(CONTRACT)], done.topics),
            "motif enrichment, one sheet a topic",
        )
    ]


def metrics(done: MotifsOutput) -> list[Metric]:
    """Key figures."""
    hits = done.found.hits
    per_peak = np.diff(hits.indptr)[done.found.known]
    significant = done.significant["topic"].nunique()
    return [
        Metric("Motifs", len(done.motifs), key=True),
        Metric("Motifs whose gene is in the data", int(done.motifs["in_expr"].sum())),
        Metric("Median motifs per peak", float(np.median(per_peak)) if len(per_peak) else 0.0),
        Metric("Peaks tested", done.n_tested, help=f"of {done.n_modelled:,} modelled peaks"),
        Metric(
            "Topics with an enriched motif",
            f"{significant} of {len(done.topics)}",
            key=True,
            help=f"adjusted p < {done.params.level:g}",
        ),
        Metric("Motif families", int(done.motifs["family"].nunique()), help="groups of motifs that hit the same peaks"),
    ]


def alerts(done: MotifsOutput) -> list[Alert]:
    """Say what limits the motif analysis."""
    found, params = done.found, done.params
    out = [Alert(item.level, item.title, item.cause, item.remedy) for item in found.findings]
    if done.n_tested < done.n_modelled:
        out.append(
            Alert(
                "info",
                f"{done.n_modelled - done.n_tested:,} of {done.n_modelled:,} modelled peaks were not tested",
                "Their sequence or their hits are not known; they count as peaks without hits in the motif scores.",
            )
        )
    if found.n_short:
        worst = float(done.motifs["hit_pvalue"].max())
        out.append(
            Alert(
                "info",
                f"{found.n_short} of {len(done.motifs)} motifs are too short for p < {params.pvalue:g}",
                f"Even their perfect match is more likely than that (up to {worst:.1e} at one position); only perfect "
                "matches were counted as hits.",
                "The column hit_pvalue of motif_factors names them.",
            )
        )
    rare = int((done.motifs["n_hits"] < FEW_HITS).sum())
    if rare:
        out.append(
            Alert("info", f"{rare} motifs have fewer than {FEW_HITS} hits", "Their tests have next to no power.")
        )
    if not done.motifs["in_expr"].any():
        out.append(
            Alert(
                "warning",
                "No motif's factor is among the genes of the data",
                "The names differ (another species, identifiers instead of symbols), or the matrix holds few genes.",
                "Families cannot be resolved by expression; give motifs named by gene symbols.",
            )
        )
    missing = shown_motifs(done)[1]
    if missing:
        out.append(
            Alert(
                "warning",
                f"Factors to draw that are not among the motifs: {', '.join(missing[:10])}",
                "",
                "Correct motifs.show.",
            )
        )
    return out


def methods(done: MotifsOutput) -> str:
    """Methods sentences."""
    p, first = done.params, done.enrichment.iloc[0]
    if done.found.scanned:
        letters = "equal letter frequencies" if p.letters == "uniform" else "the peaks' letter frequencies"
        source = (
            f"Sites of {len(done.motifs):,} motifs [@fornes2020jaspar] were called in the peaks, on both strands, with "
            f"MOODS [@korhonen2017moods] at p < {p.pvalue:g} per position ({letters}, pseudocount {p.pseudocount:g})"
        )
        if done.found.n_short:
            source += f"; {done.found.n_short} motifs too short for that count with their perfect match"
        source += "."
    else:
        source = f"Hits of {len(done.motifs):,} factors in the peaks were taken as given."
    return (
        f"{source} For each accessibility topic, hits in the {int(first['n_top']):,} most activated peaks (top "
        f"{p.top_quantile:.0%}) were compared with those in the other {int(first['n_peaks'] - first['n_top']):,} by "
        "the one-sided Fisher exact test [@fisher1922exact], adjusted over the motifs of a topic [@benjamini1995fdr]. "
        "Motif scores of cells are the query log-likelihood [@ponte1998query] of a factor's peaks under the cell's "
        "imputed accessibility, scaled to Euclidean norm 1 within each cell and standardised over the cells "
        "[@lynch2022mira]. Motifs were grouped into families by average linkage of the cosine similarity of their hits "
        f"(at least {p.family_similarity:g})."
    )
