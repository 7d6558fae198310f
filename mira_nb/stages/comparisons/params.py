"""Parameters of the stage comparisons."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


class ComparisonsParams(Params):
    """Parameters of the stage comparisons."""

    grouping: Literal["auto", "groups", "lineage_state", "leiden"] = param(
        "auto",
        "Which groups of cells are compared: the annotation given with --groups, the states of the lineage tree, or "
        "the "
        "Leiden clusters; auto takes the first of these that there is.",
    )
    contrast: Literal["auto", "pairs", "rest"] = param(
        "auto", "Compare every two groups (pairs) or every group with all others (rest); auto: pairs up to 6 groups."
    )
    pairs: list[str] = param([], "Contrasts by name, as 'group 1 | group 2'; replaces the contrasts above.")
    genes: list[str] = param([], "Genes to test; empty: all modelled genes.")
    draw: list[str] = param([], "Genes to draw; empty: the gene that best marks each group.")
    n_draw: int = param(6, "At most this many genes are drawn when none are named.", unit="genes", ge=1, le=40)
    alpha: float = param(0.05, "Adjusted p below this gets a star.", gt=0, lt=1)
    shared_fraction: float = param(
        0.5,
        "A topic belongs to a group whose mean proportion is at least this share of the highest group's.",
        gt=0,
        le=1,
    )
    min_cells: int = param(10, "Groups with fewer cells are not compared.", unit="cells", ge=3, le=1000)
    min_cells_per_sample: int = param(
        10,
        "With --batch: a sample takes part in a test over samples when it holds this many cells of both groups.",
        unit="cells",
        ge=2,
        le=1000,
    )
