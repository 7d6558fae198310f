"""Figures of the stage enrichment."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.enrichment import term_bars, term_dots
from mira_nb.keys import X_UMAP
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression
from mira_nb.stages.texts import Texts

from .compute import EnrichmentOutput

TEXTS = Texts(__package__)

MAX_EXAMPLES = 15


def background_words(tested: EnrichmentOutput) -> str:
    """Return the description of the background, a part of several texts."""
    return TEXTS.text("background", background=tested.params.background, size=tested.background_size)


def figures(tested: EnrichmentOutput) -> list[Figure]:
    """Draw bars of the best terms, terms across topics, and example genes on the joint map."""
    out = []
    level, significant = tested.params.level, tested.significant
    if len(tested.table):
        out.append(
            TEXTS.figure(
                "terms",
                term_bars(tested.table, level=level),
                n_top=tested.n_top,
                background=background_words(tested),
                level=level,
                n_significant=len(significant),
                n_named=significant["topic"].nunique(),
                n_topics=len(tested.top),
            )
        )
    if len(significant):
        out.append(TEXTS.figure("term_topics", term_dots(tested.table, level=level), level=level))
        example = _example_figure(tested)
        out += [example] if example else []
    return out


def _example_figure(tested: EnrichmentOutput) -> Figure | None:
    """Draw the most activated gene of the best set of each topic on the joint map (Extended Data Figs. 12, 13a)."""
    if X_UMAP not in tested.data.obsm:
        return None
    from mira_nb.charts.embedding import small_multiples

    original = {name.upper(): name for name in tested.activations.index[::-1]}
    picked: dict[str, str] = {}
    terms: list[str] = []
    for topic, rows in tested.significant.groupby("topic", sort=False):
        best = rows.iloc[0]
        gene = next((original[name] for name in best["genes"].split(";") if name in original), None)
        if gene is not None and gene not in picked.values():
            picked[f"{topic}: {gene}"] = gene
            terms.append(f"{topic} {best['term']} ({gene})")
    if not picked:
        return None
    chosen = dict(list(picked.items())[:MAX_EXAMPLES])
    values = gene_expression(tested.data, list(chosen.values())).reset_index(drop=True)
    values.columns = pd.Index(list(chosen))
    return TEXTS.figure(
        "example_genes",
        image=small_multiples(coordinates(tested.data.obsm[X_UMAP]), values),
        n_cells=tested.data.n_obs,
        n_genes=len(chosen),
        terms=terms[:MAX_EXAMPLES],
    )
