"""Parameters of the stage comparisons."""

from __future__ import annotations

from typing import Literal

from mira_nb.stages.params import Params, param


class ComparisonsParams(Params):
    """Parameters of the stage comparisons."""

    # Groups and contrasts
    grouping: Literal["auto", "groups", "lineage_state", "leiden"] = param(
        "auto",
        "Groups of cells to compare: the annotation given with --groups (groups), the states of the lineage tree, or "
        "the Leiden clusters; auto: the first of these that has two groups or more.",
    )
    contrast: Literal["auto", "pairs", "rest"] = param(
        "auto",
        "Compare every two groups (pairs) or every group with all other cells (rest); auto: pairs for up to 6 groups.",
    )
    pairs: list[str] = param([], "Contrasts by name, as 'group 1 | group 2'; replace those of contrast.")
    min_cells: int = param(10, "Leave out groups with fewer cells.", unit="cells", ge=3, le=1000)
    min_cells_per_sample: int = param(
        10,
        "With --batch: test over those samples only that hold this many cells of both groups.",
        unit="cells",
        ge=2,
        le=1000,
    )

    # Features, and when they count as different or shared
    genes: list[str] = param([], "Genes to test; empty: all modelled genes.", choices_from="genes")
    alpha: float = param(0.05, "Differences with an adjusted p value below this are significant.", gt=0, lt=1)
    shared_fraction: float = param(
        0.5,
        "A topic belongs to every group whose mean proportion is at least this fraction of the highest group's.",
        gt=0,
        le=1,
    )

    # Figures
    draw: list[str] = param([], "Genes to draw; empty: the best marker gene of each group.", choices_from="genes")
    n_draw: int = param(6, "Draw at most this many genes when none are named.", unit="genes", ge=1, le=40)
