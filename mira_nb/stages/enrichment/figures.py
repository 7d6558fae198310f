"""Figures of the stage enrichment."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.enrichment import term_bars, term_dots, top_gene_bars
from mira_nb.keys import X_UMAP
from mira_nb.stages.result import Figure
from mira_nb.stages.shared.cells import coordinates, gene_expression

from .compute import N_TOP_SHOWN, EnrichmentOutput, background_words, top_gene_table

MAX_EXAMPLES = 15


def figures(tested: EnrichmentOutput) -> list[Figure]:
    """Top genes, bars of the best terms, dot plot, and example genes on the joint map."""
    out = [
        Figure(
            "top_genes",
            "Top genes of each expression topic",
            f"The {N_TOP_SHOWN} most activated genes of the topic chosen in the menu; n = {tested.n_modelled:,} "
            "modelled genes. The activation is in standard deviations over genes and topics; known markers of one cell "
            "state among them make a topic easy to name.",
            chart=top_gene_bars(top_gene_table(tested)),
            section="Top genes",
        )
    ]
    if len(tested.table):
        out.append(
            Figure(
                "terms",
                "Best gene sets of each expression topic",
                f"Hypergeometric test of the top {tested.n_top} genes (background: {background_words(tested)}), "
                "Benjamini-Hochberg adjusted within topic and collection; the dashed line is the false discovery rate "
                f"{tested.params.level:g}. The menu chooses the topic. Several related sets well beyond the line name "
                "a topic; a single set just beyond it does not.",
                chart=term_bars(tested.table, level=tested.params.level),
                section="Gene sets",
            )
        )
    if len(tested.significant):
        out.append(
            Figure(
                "term_topics",
                "Gene sets across topics",
                "The three best sets of each topic (adjusted p < "
                f"{tested.params.level:g}), in all topics where they are listed. Colour: significance; size: odds "
                "ratio. A column with sets of its own is a distinct programme; a row across many columns is shared.",
                chart=term_dots(tested.table, level=tested.params.level),
                section="Gene sets",
            )
        )
        example = _example_figure(tested)
        out += [example] if example else []
    return out


def _example_figure(tested: EnrichmentOutput) -> Figure | None:
    """Most activated gene of the best set of each topic, on the joint map (Extended Data Figs. 12, 13a)."""
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
    return Figure(
        "example_genes",
        "Example genes of the best gene sets",
        f"For each topic with a significant set, the set's most activated gene: log-normalised expression on the joint "
        f"map (n = {tested.data.n_obs:,} cells). It should be high where its topic is high. Sets: "
        f"{'; '.join(terms[:MAX_EXAMPLES])}.",
        image=small_multiples(coordinates(tested.data.obsm[X_UMAP]), values),
        alt=f"{len(chosen)} small maps of the cells coloured by expression",
        section="Gene sets",
    )
