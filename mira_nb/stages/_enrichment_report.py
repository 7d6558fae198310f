"""Tables, figures, workbook, metrics, alerts and methods text of the stage enrichment."""

from __future__ import annotations

import pandas as pd

from mira_nb.charts.enrichment import term_bars, term_dots, top_gene_bars
from mira_nb.keys import X_UMAP

from ._cells import coordinates, gene_expression
from ._enrichment_tests import Tested
from ._workbook import workbook
from .base import Alert, ExportFile, Figure, Metric, Table

N_TOP_SHOWN = 20
LARGE_SHARE = 0.2
MAX_EXAMPLES = 15


def _background_words(tested: Tested) -> str:
    choice = tested.params.background
    if choice == "enrichr":
        return f"{tested.background_size:,} genes, as Enrichr assumes"
    if choice == "modelled":
        return f"the {tested.background_size:,} modelled genes"
    return f"{tested.background_size:,} genes, as chosen"


def top_gene_table(tested: Tested, *, n: int = N_TOP_SHOWN) -> pd.DataFrame:
    """Activation of the first genes of every topic: topic, gene, activation, rank."""
    rows = []
    for topic, genes in tested.top.items():
        column = tested.activations[topic]
        column = column[~column.index.duplicated()]
        rows += [
            {"topic": topic, "gene": gene, "activation": float(column[gene]), "rank": rank}
            for rank, gene in enumerate(genes[:n], start=1)
        ]
    return pd.DataFrame(rows)


def tables(tested: Tested) -> list[Table]:
    """Return the enrichment table."""
    names = ", ".join(library.name for library in tested.libraries)
    return [
        Table(
            "enrichment",
            "Gene sets over-represented in expression topics",
            f"Top {tested.n_top} genes of each topic against {names}; background: {_background_words(tested)}. "
            "pvalue: one-sided hypergeometric test (Fisher, greater); adj_pvalue: Benjamini-Hochberg over all sets of "
            "the collection, with and without overlap, within a topic; overlap: shared genes / size of the set; genes: "
            f"the shared ones, most activated first. At most {tested.params.max_terms} terms with an overlap are "
            f"listed for each topic and collection ({tested.n_listed_out:,} further rows are not).",
            tested.table,
        )
    ]


def files(tested: Tested) -> list[ExportFile]:
    """Write a workbook with one sheet a topic."""
    return [
        ExportFile(
            "tables/enrichment.xlsx",
            workbook(tested.table, list(tested.top)),
            "gene-set enrichment, one sheet a topic",
        )
    ]


def figures(tested: Tested) -> list[Figure]:
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
                f"Hypergeometric test of the top {tested.n_top} genes (background: {_background_words(tested)}), "
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


def _example_figure(tested: Tested) -> Figure | None:
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


def metrics(tested: Tested) -> list[Metric]:
    """Key figures."""
    named = tested.significant["topic"].nunique()
    return [
        Metric(
            "Topics with a significant gene set",
            f"{named} of {len(tested.top)}",
            key=True,
            help=f"adjusted p < {tested.params.level:g}; a topic without one may still be real",
        ),
        Metric("Gene sets tested per topic", tested.n_tests),
        Metric("Genes tested per topic", tested.n_top, unit="genes"),
        Metric("Background", tested.background_size, unit="genes", help=_background_words(tested)),
    ]


def alerts(tested: Tested) -> list[Alert]:
    """Say what weakens the tests."""
    out = []
    share = tested.n_top / max(tested.n_modelled, 1)
    if tested.n_top < tested.params.n_top:
        out.append(
            Alert(
                "info",
                f"The top {tested.n_top} genes of each topic were tested instead of {tested.params.n_top}",
                f"Only {tested.n_modelled:,} genes are modelled; enrichment.max_share limits the top genes to "
                f"{tested.params.max_share:.0%} of them.",
                "Lower enrichment.n_top to test the most specific genes only.",
            )
        )
    if share > LARGE_SHARE:
        strict = tested.params.background == "modelled"
        out.append(
            Alert(
                "warning",
                f"The top {tested.n_top} genes are {share:.0%} of the {tested.n_modelled:,} modelled genes",
                "Topics then share many of their top genes"
                + ("." if strict else ", and against a background of all genes, sets that are common among the "
                   "modelled genes look over-represented in every topic."),
                "Lower enrichment.n_top" + ("." if strict else ", or set enrichment.background=modelled."),
            )
        )  # fmt: skip
    out += [Alert(item.level, item.title, item.cause, item.remedy) for item in tested.findings]
    if tested.online_problem:
        out.append(Alert("warning", "Enrichr could not be asked for everything", tested.online_problem))
    return out


def methods(tested: Tested) -> str:
    """Methods sentences."""
    names = ", ".join(library.name for library in tested.libraries)
    text = (
        f"The {tested.n_top} most activated of {tested.n_modelled:,} modelled genes of each expression topic were "
        f"tested for over-representation of {tested.n_tests:,} gene sets ({names}) by the one-sided hypergeometric "
        f"(Fisher) test [@fisher1922exact; @chen2013enrichr] with a background of {_background_words(tested)}; p "
        "values were adjusted within each topic and collection over all tested sets [@benjamini1995fdr]. Gene symbols "
        "were matched regardless of case."
    )
    if tested.online:
        text += f" The Enrichr service was asked for {', '.join(tested.online)} [@chen2013enrichr]."
    return text
