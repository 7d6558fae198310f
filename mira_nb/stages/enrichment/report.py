"""Tables, figures, workbook, metrics, alerts and methods text of the stage enrichment."""

from __future__ import annotations

from mira_nb.stages.result import Alert, ExportFile, Metric, Table
from mira_nb.stages.shared.workbook import workbook

from .compute import EnrichmentOutput, background_words

LARGE_SHARE = 0.2


def tables(tested: EnrichmentOutput) -> list[Table]:
    """Return the enrichment table."""
    names = ", ".join(library.name for library in tested.libraries)
    return [
        Table(
            "enrichment",
            "Gene sets over-represented in expression topics",
            f"Top {tested.n_top} genes of each topic against {names}; background: {background_words(tested)}. "
            "pvalue: one-sided hypergeometric test (Fisher, greater); adj_pvalue: Benjamini-Hochberg over all sets of "
            "the collection, with and without overlap, within a topic; overlap: shared genes / size of the set; genes: "
            f"the shared ones, most activated first. At most {tested.params.max_terms} terms with an overlap are "
            f"listed for each topic and collection ({tested.n_listed_out:,} further rows are not).",
            tested.table,
        )
    ]


def files(tested: EnrichmentOutput) -> list[ExportFile]:
    """Write a workbook with one sheet a topic."""
    return [
        ExportFile(
            "tables/enrichment.xlsx",
            workbook(tested.table, list(tested.top)),
            "gene-set enrichment, one sheet a topic",
        )
    ]


def metrics(tested: EnrichmentOutput) -> list[Metric]:
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
        Metric("Background", tested.background_size, unit="genes", help=background_words(tested)),
    ]


def alerts(tested: EnrichmentOutput) -> list[Alert]:
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


def methods(tested: EnrichmentOutput) -> str:
    """Methods sentences."""
    names = ", ".join(library.name for library in tested.libraries)
    text = (
        f"The {tested.n_top} most activated of {tested.n_modelled:,} modelled genes of each expression topic were "
        f"tested for over-representation of {tested.n_tests:,} gene sets ({names}) by the one-sided hypergeometric "
        f"(Fisher) test [@fisher1922exact; @chen2013enrichr] with a background of {background_words(tested)}; p "
        "values were adjusted within each topic and collection over all tested sets [@benjamini1995fdr]. Gene symbols "
        "were matched regardless of case."
    )
    if tested.online:
        text += f" The Enrichr service was asked for {', '.join(tested.online)} [@chen2013enrichr]."
    return text
