"""Figures of the stage motifs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.charts.embedding import menu_scatter, small_multiples
from mira_nb.charts.motifs import family_dots, motif_bars, topic_scatter
from mira_nb.keys import ATAC, X_UMAP, X_UMAP_LSI
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression

from .compute import MotifsOutput, shown_motifs

MAX_FAMILIES = 40
MAX_MEMBERS = 30
MAX_PANELS = 20
OVERVIEW = "all families, best member"


def figures(done: MotifsOutput) -> list[Figure]:
    """Enrichment, topic against topic, families, motif scores on the map."""
    return [*_enrichment_figures(done), *_score_figures(done), *_family_figures(done)]


def _test_words(done: MotifsOutput) -> str:
    first = done.enrichment.iloc[0]
    return (
        f"One-sided Fisher exact test of the {int(first['n_top']):,} most activated against the other "
        f"{int(first['n_peaks'] - first['n_top']):,} peaks"
    )


def _enrichment_figures(done: MotifsOutput) -> list[Figure]:
    table = done.enrichment.merge(done.motifs[["label", "in_expr"]], on="label", how="left")
    wide = done.enrichment.assign(value=-done.enrichment["log10_pvalue"]).pivot(
        index="label", columns="topic", values="value"
    )
    out = [
        Figure(
            "motif_bars",
            "Motifs enriched in each accessibility topic",
            f"{_test_words(done)}, Benjamini-Hochberg adjusted over {len(done.motifs):,} motifs within the topic; the "
            "menu chooses the topic. Right: odds ratio with its 95 % interval. Blue bars: the factor's gene is in the "
            "expression data. Motifs of one family rise together, since they hit the same peaks; large samples make "
            "small odds ratios significant, so read both.",
            chart=motif_bars(table),
            section="Enrichment",
        )
    ]
    if len(done.topics) > 1:
        chart, packed = topic_scatter(wide.reset_index())
        out.append(
            Figure(
                "topic_scatter",
                "Motifs of one topic against another",
                f"Every point is a motif (n = {len(wide):,}); axes: -log10 p of the test ({_test_words(done)}), not "
                "adjusted, for the two topics chosen in the menus. Motifs along the diagonal are shared; those near an "
                "axis belong to one topic.",
                chart=chart,
                packed=packed,
                section="Enrichment",
            )
        )
    return out


def _layout(done: MotifsOutput) -> tuple[pd.DataFrame, str] | None:
    if X_UMAP in done.data.obsm:
        return coordinates(done.data.obsm[X_UMAP]), "joint map"
    if X_UMAP_LSI in done.data.mod[ATAC].obsm:
        return coordinates(done.data.mod[ATAC].obsm[X_UMAP_LSI]), "map of accessibility (LSI)"
    return None


def _score_figures(done: MotifsOutput) -> list[Figure]:
    picked, _ = shown_motifs(done)
    layout = _layout(done)
    if not picked or layout is None:
        return []
    place, name = layout
    values = done.scores[picked].reset_index(drop=True)
    how = "chosen by the user" if done.params.show else "the best of each topic's enriched families"
    chart, packed = menu_scatter(place, values, title="Motif scores")
    reading = (
        "The score is the log-probability of drawing all peaks with the motif from the cell's imputed accessibility, "
        "scaled to norm 1 within the cell and to mean 0 and standard deviation 1 over the cells. High: the factor's "
        "sites are more accessible than in other cells. It says where sites are open, not which factor binds."
    )
    return [
        Figure(
            "motif_scores",
            "Motif scores of the cells",
            f"Cells (n = {done.data.n_obs:,}) on the {name}; the menu chooses one of {len(picked)} factors ({how}). "
            f"{reading}",
            chart=chart,
            packed=packed,
            section="Motif scores",
        ),
        Figure(
            "motif_score_maps",
            "Motif scores side by side",
            f"The same scores (n = {done.data.n_obs:,} cells), one panel a factor"
            + (f", the first {MAX_PANELS} only." if len(picked) > MAX_PANELS else "."),
            image=small_multiples(place, values[picked[:MAX_PANELS]]),
            alt=f"{min(len(picked), MAX_PANELS)} small maps of the cells coloured by motif score",
            section="Motif scores",
        ),
    ]


def family_table(done: MotifsOutput) -> pd.DataFrame:
    """Members of enriched families with a gene in the data: expression, correlation, and the motif's best topic.

    The pseudo-family :data:`OVERVIEW` comes first: the best correlated member of every family.
    """
    best = done.enrichment.sort_values("log10_pvalue", kind="stable").drop_duplicates("label")
    best = best.assign(significance=-best["log10_adj_pvalue"])[["label", "topic", "significance"]]
    table = done.expression.merge(best, on="label", how="left")
    families = done.significant.sort_values("log10_pvalue", kind="stable")["family"].drop_duplicates()
    present = [family for family in families if family in set(table["family"])][:MAX_FAMILIES]
    table = table[table["family"].isin(present) & table["correlation"].notna()]
    order = table["family"].map({family: i for i, family in enumerate(present)}).to_numpy(dtype=float)
    table = table.iloc[np.lexsort([-table["correlation"].to_numpy(dtype=float), order])]
    members = table.groupby("family", sort=False).head(MAX_MEMBERS)
    overview = table.drop_duplicates("family").head(MAX_MEMBERS).assign(family=OVERVIEW)
    return pd.concat([overview, members], ignore_index=True)


def _family_figures(done: MotifsOutput) -> list[Figure]:
    table = family_table(done)
    if table.empty:
        return []
    n = done.data.n_obs
    out = [
        Figure(
            "families",
            "Which member of a motif family?",
            "Motifs of one family hit the same peaks and cannot tell their factors apart; expression can. Horizontal "
            f"axis: Spearman correlation of the gene's log-normalised expression with its motif score over {n:,} "
            "cells (two-sided, Benjamini-Hochberg adjusted over all factors; see the tooltip); size: mean expression; "
            "colour: enrichment of the motif in its best topic. A well expressed member far to the right is the likely "
            "activator; far to the left, a repressor. Motif scores are smooth over neighbouring cells, so cells "
            "are not independent and these p values are too small: read the size of the correlation. The menu chooses "
            "a family, or the member of each whose expression follows the motif score best; families are ordered by "
            "enrichment.",
            chart=family_dots(table),
            section="Families",
        )
    ]
    layout = _layout(done)
    if layout is not None:
        place, name = layout
        panels: dict[str, str] = {}
        for _, members in table[table["family"] != OVERVIEW].groupby("family", sort=False):
            for row in members.head(4).itertuples():
                panels.setdefault(str(row.gene), f"{row.gene} (r {row.correlation:.2f})")
            if len(panels) >= MAX_PANELS:
                break
        genes = list(panels)[:MAX_PANELS]
        values = gene_expression(done.data, genes).reset_index(drop=True)
        values.columns = pd.Index([panels[gene] for gene in genes])
        out.append(
            Figure(
                "family_expression",
                "Expression of the members of enriched families",
                f"Log-normalised expression on the {name} (n = {n:,} cells): up to four members of each of the most "
                "enriched families, those whose expression follows their motif score best (r: Spearman correlation).",
                image=small_multiples(place, values),
                alt=f"{len(genes)} small maps of the cells coloured by expression of transcription factors",
                section="Families",
            )
        )
    return out
