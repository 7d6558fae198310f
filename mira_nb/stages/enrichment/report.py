"""Tables, workbook, metrics, alerts and methods text of the stage enrichment."""

from __future__ import annotations

from mira_nb.stages.result import Alert, ExportFile, Metric, Table
from mira_nb.stages.shared.workbook import workbook
from mira_nb.stages.texts import Texts

from .compute import EnrichmentOutput
from .figures import background_words

TEXTS = Texts(__package__)

LARGE_SHARE = 0.2


def tables(tested: EnrichmentOutput) -> list[Table]:
    """Return the enrichment table."""
    return [
        TEXTS.table(
            "enrichment",
            tested.table,
            n_top=tested.n_top,
            libraries=[library.name for library in tested.libraries],
            background=background_words(tested),
            max_terms=tested.params.max_terms,
            n_listed_out=tested.n_listed_out,
        )
    ]


def files(tested: EnrichmentOutput) -> list[ExportFile]:
    """Return the workbook with one sheet per topic."""
    book = workbook(tested.table, list(tested.top))
    return [ExportFile("tables/enrichment.xlsx", book, TEXTS.text("workbook"))]


def metrics(tested: EnrichmentOutput) -> list[Metric]:
    """Return the key figures of the tests."""
    named = f"{tested.significant['topic'].nunique()} of {len(tested.top)}"
    return [
        TEXTS.metric("named_topics", named, level=tested.params.level),
        TEXTS.metric("sets_tested", tested.n_tests),
        TEXTS.metric("genes_tested", tested.n_top, n_modelled=tested.n_modelled),
        TEXTS.metric("background", tested.background_size, background=background_words(tested)),
    ]


def alerts(tested: EnrichmentOutput) -> list[Alert]:
    """Return what weakens the tests, and findings about the gene sets."""
    out = []
    params, n_modelled = tested.params, tested.n_modelled
    fraction = tested.n_top / max(n_modelled, 1)
    if tested.n_top < params.n_top:
        out.append(
            TEXTS.alert(
                "fewer_top_genes",
                n_top=tested.n_top,
                n_asked=params.n_top,
                n_modelled=n_modelled,
                max_fraction=params.max_share,
            )
        )
    if fraction > LARGE_SHARE:
        out.append(
            TEXTS.alert(
                "large_fraction",
                n_top=tested.n_top,
                fraction=fraction,
                n_modelled=n_modelled,
                background=params.background,
            )
        )
    out += [TEXTS.alert("gene_sets_finding", finding=finding) for finding in tested.findings]
    if tested.online_problem:
        out.append(TEXTS.alert("enrichr_failed", problem=tested.online_problem))
    return out


def methods(tested: EnrichmentOutput) -> str:
    """Return the methods paragraph with the numbers of this run."""
    return TEXTS.methods(
        n_top=tested.n_top,
        n_modelled=tested.n_modelled,
        n_sets=tested.n_tests,
        libraries=[library.name for library in tested.libraries],
        background=background_words(tested),
        online=tested.online,
    )
