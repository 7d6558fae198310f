"""Parameters of the stage enrichment."""

from __future__ import annotations

from typing import Literal

from mira_nb.stages.params import Params, param


class EnrichmentParams(Params):
    """Parameters of the stage enrichment."""

    n_top: int = param(500, "Number of most activated genes tested per topic.", unit="genes", ge=5, le=20_000)
    max_share: float = param(
        1 / 3,
        "Maximum number of top genes as a fraction of the modelled genes; with more, they are not specific to a topic.",
        gt=0,
        le=1,
        advanced=True,
    )
    background: Literal["enrichr", "modelled"] | int = param(
        "enrichr",
        "Background of the test: 'enrichr' (20,000 genes, comparable with Enrichr and the published tables), "
        "'modelled' (the genes of the topic model; stricter, and right for gene panels), or a number of genes.",
        unit="genes",
    )
    max_terms: int = param(
        100,
        "Maximum number of terms listed per topic and collection, best first; all are tested and corrected for.",
        unit="terms",
        ge=1,
        le=100_000,
        advanced=True,
    )
    level: float = param(0.05, "False discovery rate below which a term is called significant.", gt=0, lt=1)
    online_libraries: list[str] = param(
        [],
        "Libraries to query from the Enrichr web service in addition, e.g. WikiPathways_2019_Human; the names of the "
        "top genes are sent to that service. Empty: no network access.",
        advanced=True,
    )
    enrichr_url: str = param(
        "https://maayanlab.cloud/Enrichr", "URL of the Enrichr service.", advanced=True, min_length=1
    )
