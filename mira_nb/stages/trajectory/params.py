"""Parameters of the stage trajectory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator

from mira_nb.stages.params import Params, param

if TYPE_CHECKING:
    pass


def _plain(value: Any) -> Any:
    """Numpy integers, as they come out of an index lookup, are integers, too."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


CellName = Annotated[str | int, BeforeValidator(_plain)]


class TrajectoryParams(Params):
    """Parameters of the stage trajectory."""

    start_cell: CellName = param(
        "",
        "Cell where differentiation begins: name, or position from 0; empty: --start-cell, or proposed.",
    )
    start_markers: list[str] = param([], "Genes of the earliest state; propose the start cell where they are highest.")
    terminal_cells: list[CellName] = param(
        [], "Terminal cells to use in place of those found; NAME=CELL names the lineage."
    )
    only_groups: list[str] = param(
        [], "Use only cells of these groups of the annotation given with --groups; empty: all."
    )
    exclude_topics: list[str] = param(
        [], "Topics that say nothing of the differentiation (cell cycle, other cells), such as e3, a7: left out."
    )
    n_waypoints: int = param(500, "Waypoints that refine pseudotime.", unit="cells", ge=10, le=5000)
    branch_threshold: float = param(
        0.5, "Lineages part where the log ratio of their fates exceeds this.", unit="natural log", gt=0, le=20
    )
    branch_rule: Literal["ramp", "first_cell"] = param(
        "ramp",
        "ramp: lineages part at the foot of a ramp fitted to all their cells; first_cell: at the first cell beyond the "
        "threshold, as published.",
    )
    n_neighbors: int = param(30, "Neighbours in the diffusion space.", unit="cells", ge=5, le=200)
    n_components: int = param(10, "Diffusion components computed.", ge=3, le=100, advanced=True)
    n_used: int = param(0, "Diffusion components used; 0: those before the largest gap.", ge=0, le=99, advanced=True)
    min_prominence: float = param(
        0.1, "A lineage must run on alone for this share of pseudotime.", ge=0, le=1, advanced=True
    )
    min_cells: int = param(20, "A lineage must hold this many cells of its own.", unit="cells", ge=1, advanced=True)
    backstep: float = param(
        1.5, "How far back in pseudotime a step may lead, in local neighbour distances.", ge=0, le=10, advanced=True
    )
    min_continuity: float = param(
        0.1,
        "A way with a stretch of less than this share of the cells expected crosses a gap; where all do, there is no "
        "supported trajectory; 0: no test.",
        ge=0,
        le=1,
        advanced=True,
    )
    clock: Literal["lineages", "paths"] = param(
        "lineages",
        "lineages: all lineages run by one clock counted in cells; paths: shortest-path distances as they are.",
    )
    resolution: float = param(
        0.07, "Cells closer than this share of pseudotime count as simultaneous (clock).", ge=0, le=0.5, advanced=True
    )
    topic_weight: float = param(
        0.5,
        "Share of the topics' prediction in the order of cells near a lineage's end (clock).",
        ge=0,
        le=1,
        advanced=True,
    )
    pseudotime_key: str = param("", "Cell annotation with a pseudotime of another method, to use in place of ours.")
    fate_key: str = param("", "obsm table with fate probabilities of another method (columns: lineages).")
    stream_window: float = param(0.15, "Width of the smoothing window, as a share of pseudotime.", gt=0, le=1)
    stream_time: Literal["linear", "log"] = param("linear", "Time axis of the streams.")
    stream_genes: list[str] = param([], "Genes to draw; empty: the top gene of each expression topic.")
    stream_columns: list[str] = param([], "Numeric cell annotations to draw along pseudotime.")
    n_resamples: int = param(100, "Bootstrap samples of cells for bands and intervals.", ge=0, le=2000, advanced=True)
