"""Figures of the stage motifs."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mira_nb.charts.embedding import menu_scatter, small_multiples
from mira_nb.charts.motifs import family_dots, motif_bars, topic_scatter
from mira_nb.keys import ATAC, X_UMAP, X_UMAP_LSI
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.stages.texts import Texts

from .compute import MotifsOutput, shown_motifs

TEXTS = Texts(__package__)

MAX_FAMILIES = 40
MAX_MEMBERS = 30
MAX_PANELS = 20
MAX_EXPRESSED = 4
"""Members of a family whose expression is mapped."""

OVERVIEW = "all families, best member"


def figures(done: MotifsOutput) -> list[Figure]:
    """Return the figures: enrichment, topic against topic, motif scores on the map, families."""
    return [*_enrichment_figures(done), *_score_figures(done), *_family_figures(done)]


def _enrichment_figures(done: MotifsOutput) -> list[Figure]:
    table = done.enrichment.merge(done.motifs[["label", "in_expr"]], on="label", how="left")
    wide = done.enrichment.assign(value=-done.enrichment["log10_pvalue"]).pivot(
        index="label", columns="topic", values="value"
    )
    first = done.enrichment.iloc[0]
    test = TEXTS.text("test", n_top=first["n_top"], n_peaks=first["n_peaks"])
    out = [
        TEXTS.figure(
            "motif_bars",
            motif_bars(table),
            test=test,
            n_motifs=len(done.motifs),
            n_topics=len(done.topics),
            n_enriched_topics=done.significant["topic"].nunique(),
            level=done.params.level,
        )
    ]
    if len(done.topics) > 1:
        # enriched motifs are those of the smallest p values; where there are none no motif is named
        least = -float(done.significant["log10_pvalue"].max()) if len(done.significant) else 1e300
        chart, packed = topic_scatter(wide.reset_index(), least=least)
        out.append(TEXTS.figure("topic_scatter", chart, packed=packed, test=test, n_motifs=len(wide)))
    return out


def _layout(done: MotifsOutput) -> tuple[pd.DataFrame, str] | None:
    """Return coordinates of the cells and what the map is called; None without a map."""
    if X_UMAP in done.data.obsm:
        return coordinates(done.data.obsm[X_UMAP]), TEXTS.text("layout", joint=True)
    if X_UMAP_LSI in done.data.mod[ATAC].obsm:
        return coordinates(done.data.mod[ATAC].obsm[X_UMAP_LSI]), TEXTS.text("layout", joint=False)
    return None


def _score_figures(done: MotifsOutput) -> list[Figure]:
    picked, _ = shown_motifs(done)
    layout = _layout(done)
    if not picked or layout is None:
        return []
    place, name = layout
    values = done.scores[picked].reset_index(drop=True)
    chart, packed = menu_scatter(place, values)
    drawn = picked[:MAX_PANELS]
    return [
        TEXTS.figure(
            "motif_scores",
            chart,
            packed=packed,
            layout=name,
            n_cells=done.data.n_obs,
            n_shown=len(picked),
            named=bool(done.params.show),
        ),
        TEXTS.figure(
            "motif_score_maps",
            image=small_multiples(place, values[drawn]),
            n_cells=done.data.n_obs,
            n_shown=len(picked),
            n_panels=len(drawn),
        ),
    ]


def family_table(done: MotifsOutput) -> pd.DataFrame:
    """Return members of enriched families with a gene in the data: expression, correlation, the motif's best topic.

    The pseudo-family :data:`OVERVIEW` comes first: the best correlated member of each family.
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
    members = table[table["family"] != OVERVIEW]
    out = [
        TEXTS.figure("families", family_dots(table), n_cells=done.data.n_obs, n_families=members["family"].nunique())
    ]
    layout = _layout(done)
    if layout is None:
        return out
    place, name = layout
    panels: dict[str, str] = {}
    for _, part in members.groupby("family", sort=False):
        for row in part.head(MAX_EXPRESSED).itertuples():
            panels.setdefault(str(row.gene), f"{row.gene} (r {row.correlation:.2f})")
        if len(panels) >= MAX_PANELS:
            break
    genes = list(panels)[:MAX_PANELS]
    values = gene_expression(done.data, genes).reset_index(drop=True)
    values.columns = pd.Index([panels[gene] for gene in genes])
    return [
        *out,
        TEXTS.figure(
            "family_expression",
            image=small_multiples(place, values),
            layout=name,
            n_cells=done.data.n_obs,
            n_members=MAX_EXPRESSED,
            n_genes=len(genes),
        ),
    ]
