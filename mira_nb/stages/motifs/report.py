"""Tables, workbook, metrics, alerts and methods text of the stage motifs."""

from __future__ import annotations

import numpy as np

from mira_nb.stages.result import Alert, ExportFile, Metric, Table
from mira_nb.stages.shared.workbook import workbook
from mira_nb.stages.texts import Texts

from .compute import CONTRACT, MotifsOutput, shown_motifs

TEXTS = Texts(__package__)

FEW_HITS = 10
"""Hits below which a motif's test has next to no power."""


def tables(done: MotifsOutput) -> list[Table]:
    """Return the tables: enrichment in the published schema, its counts and intervals, the factors."""
    first = done.enrichment.iloc[0]
    counts = [
        "topic", "motif_id", "factor", "odds_ratio", "odds_low", "odds_high",
        "n_hits_top", "n_hits", "n_top", "n_peaks",
    ]  # fmt: skip
    factors = done.motifs.rename(columns={"id": "motif_id", "name": "factor"}).merge(
        done.expression.drop(columns="family"), on="label", how="left"
    )
    return [
        TEXTS.table(
            "motif_enrichment",
            done.enrichment[list(CONTRACT)],
            n_top=first["n_top"],
            n_peaks=first["n_peaks"],
            n_motifs=len(done.motifs),
            n_enriched=len(done.significant),
            level=done.params.level,
        ),
        TEXTS.table("motif_odds", done.enrichment[counts]),
        TEXTS.table("motif_factors", factors, n_cells=done.data.n_obs),
    ]


def files(done: MotifsOutput) -> list[ExportFile]:
    """Return the workbook, one sheet per topic."""
    book = workbook(done.enrichment[list(CONTRACT)], done.topics)
    return [ExportFile("tables/motif_enrichment.xlsx", book, TEXTS.text("workbook"))]


def metrics(done: MotifsOutput) -> list[Metric]:
    """Return the key figures."""
    per_peak = np.diff(done.found.hits.indptr)[done.found.known]
    enriched = f"{done.significant['topic'].nunique()} of {len(done.topics)}"
    return [
        TEXTS.metric("motifs", len(done.motifs)),
        TEXTS.metric("expressed_motifs", int(done.motifs["in_expr"].sum())),
        TEXTS.metric("motifs_per_peak", float(np.median(per_peak)) if len(per_peak) else 0.0),
        TEXTS.metric("peaks_tested", done.n_tested, n_modelled=done.n_modelled),
        TEXTS.metric("enriched_topics", enriched, level=done.params.level),
        TEXTS.metric("families", int(done.motifs["family"].nunique())),
    ]


def alerts(done: MotifsOutput) -> list[Alert]:
    """Return what the reading of the files found and what limits the analysis."""
    found, params = done.found, done.params
    out = [TEXTS.alert("input_finding", finding=finding) for finding in found.findings]
    if done.n_tested < done.n_modelled:
        out.append(TEXTS.alert("untested_peaks", n_tested=done.n_tested, n_modelled=done.n_modelled))
    if found.n_short:
        out.append(
            TEXTS.alert(
                "short_motifs",
                n_short=found.n_short,
                n_motifs=len(done.motifs),
                pvalue=params.pvalue,
                worst=float(done.motifs["hit_pvalue"].max()),
            )
        )
    rare = int((done.motifs["n_hits"] < FEW_HITS).sum())
    if rare:
        out.append(TEXTS.alert("rare_motifs", n_rare=rare, least=FEW_HITS))
    if not done.motifs["in_expr"].any():
        out.append(TEXTS.alert("no_factor_genes"))
    missing = shown_motifs(done)[1]
    if missing:
        out.append(TEXTS.alert("unknown_factors", names=missing))
    return out


def methods(done: MotifsOutput) -> str:
    """Return the paragraph for the methods section."""
    p, first = done.params, done.enrichment.iloc[0]
    return TEXTS.methods(
        scanned=done.found.scanned,
        n_motifs=len(done.motifs),
        n_short=done.found.n_short,
        pvalue=p.pvalue,
        letters=p.letters,
        pseudocount=p.pseudocount,
        n_top=first["n_top"],
        n_peaks=first["n_peaks"],
        top_quantile=p.top_quantile,
        family_similarity=p.family_similarity,
    )
