"""Parameters of the stage drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


class DriversParams(Params):
    """Parameters of the stage drivers."""

    n_cells: int = param(
        1500,
        "Cells on which a gene is scored, drawn in equal numbers from quanta of its expression.",
        unit="cells",
        ge=50,
    )
    n_bins: int = param(20, "Quanta of expression.", ge=1, le=500, advanced=True)
    queries: dict[str, list[str]] = param(
        {}, "Gene sets of your own to test besides those of topics and groups: {name: [gene, ...]}."
    )
    n_top: int = param(
        150, "Genes of an automatic query: top genes of a topic, marker genes of a group.", ge=5, le=5000
    )
    topics: bool = param(True, "Test the top genes of each expression topic.")
    groups: bool = param(True, "Test the marker genes of each group of cells.")
    level: float = param(0.05, "False discovery rate below which a factor is called a driver.", gt=0, lt=1)
    compare: list[str] = param([], "Two queries for the two-set scatter; empty: the two with most drivers.")
    factors: list[str] = param(
        [], "Two factors whose targets are compared in NITE score; empty: the best drivers of the compared queries."
    )
    n_targets: int = param(150, "Targets of a factor: its genes of highest association score.", ge=5, advanced=True)
