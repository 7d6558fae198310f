"""Parameters of the stage enrichment."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


class EnrichmentParams(Params):
    """Parameters of the stage enrichment."""

    n_top: int = param(500, "The most activated genes of each topic that are tested.", unit="genes", ge=5, le=20_000)
    max_share: float = param(
        1 / 3,
        "The top genes are at most this share of the modelled genes; beyond it they describe no topic any more.",
        gt=0,
        le=1,
        advanced=True,
    )
    background: Literal["enrichr", "modelled"] | int = param(
        "enrichr",
        "Genes that could have been found: 'enrichr' (20,000, comparable with Enrichr and the published tables), "
        "'modelled' (only the genes of the topic model; stricter and right for gene panels), or a number.",
        unit="genes",
    )
    max_terms: int = param(
        100,
        "Terms listed per topic and collection, best first; all are tested and corrected for.",
        unit="terms",
        ge=1,
        le=100_000,
        advanced=True,
    )
    level: float = param(0.05, "False discovery rate below which a term is called significant.", gt=0, lt=1)
    online_libraries: list[str] = param(
        [],
        "Libraries to ask the Enrichr web service for as well, e.g. WikiPathways_2019_Human; sends the names of the "
        "top genes to that service. Empty: no network is used.",
        advanced=True,
    )
    enrichr_url: str = param(
        "https://maayanlab.cloud/Enrichr", "Address of the Enrichr service.", advanced=True, min_length=1
    )
