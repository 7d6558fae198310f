"""Parameters of the stage trajectory."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator

from mira_nb.stages.params import Params, param


def _plain(value: Any) -> Any:
    """Turn numpy scalars, as they come out of an index lookup, into plain ones."""
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "shape", None) == () else value


CHROMATIN_LEAD = "chromatin_lead"
"""Kind of evidence on the direction: accessibility runs ahead of expression."""
DirectionEvidence = Literal["chromatin_lead", "genes_at_equal_depth", "entropy_rna", "entropy_atac"]
CellName = Annotated[str | int, BeforeValidator(_plain)]


class TrajectoryParams(Params):
    """Parameters of the stage trajectory."""

    # Start, end, and the cells and topics in between
    start_cell: CellName = param(
        "",
        "Cell where the differentiation begins: name, or position from 0; empty: the cell given with --start-cell, or "
        "a proposed one.",
        choices_from="cells",
    )
    start_markers: list[str] = param(
        [],
        "Genes of the earliest state; the start cell is proposed where their expression is highest.",
        choices_from="genes",
    )
    terminal_cells: list[CellName] = param(
        [], "Terminal cells to use in place of those found; NAME=CELL names the lineage.", choices_from="cells"
    )
    only_groups: list[str] = param(
        [],
        "Use only cells of these groups of the annotation given with --groups; empty: all cells.",
        choices_from="groups",
    )
    exclude_topics: list[str] = param(
        [],
        "Topics to leave out, such as e3, a7: those of other processes than the differentiation (cell cycle, ...).",
        choices_from="topics",
    )

    side_programmes: Literal["report", "exclude", "ignore"] = param(
        "report",
        "Topics that vary in every state, such as a cell cycle. report: name them; exclude: leave them out like "
        "exclude_topics; ignore: do not look for them.",
    )
    side_variation: float = param(
        0.1,
        "A topic varies in every state if its variation among neighbours, shared by the assays, is at least this "
        "fraction of that over all cells, around three quarters of the cells.",
        gt=0,
        le=1,
        advanced=True,
    )

    # Direction, where no start cell is given
    direction_evidence: list[DirectionEvidence] = param(
        ["chromatin_lead", "genes_at_equal_depth", "entropy_rna", "entropy_atac"],
        "Kinds of evidence that order the tips of the manifold in time: accessibility ahead of expression; more genes "
        "at equal depth; mixture of expression topics and of accessibility topics.",
        min_length=1,
        advanced=True,
    )
    direction_z: float = param(
        2.0,
        "A kind of evidence decides for a tip that it places before every other tip by at least this many standard "
        "errors.",
        ge=0,
        le=100,
        advanced=True,
    )
    direction_agreeing: int = param(
        2,
        "The direction is established where at least so many kinds of evidence decide for one tip, and none for "
        "another.",
        ge=1,
        le=4,
        advanced=True,
    )
    tip_separation: float = param(
        0.25,
        "Extremes of the manifold nearer than this fraction of its longest path are one tip.",
        gt=0,
        lt=1,
        advanced=True,
    )

    # Diffusion map and shortest-path pseudotime
    n_neighbors: int = param(30, "Nearest neighbours in the diffusion space.", unit="cells", ge=5, le=200)
    n_components: int = param(10, "Diffusion components computed.", ge=3, le=100, advanced=True)
    n_used: int = param(
        0, "Diffusion components used; 0: those before the largest gap of eigenvalues.", ge=0, le=99, advanced=True
    )
    n_waypoints: int = param(500, "Waypoints that refine the shortest paths.", unit="cells", ge=10, le=5000)

    # Transport map, terminal cells and fate probabilities
    backstep: float = param(
        1.5,
        "How far back in pseudotime a step of the random walk may lead, in local neighbour distances.",
        ge=0,
        le=10,
        advanced=True,
    )
    min_prominence: float = param(
        0.1,
        "A terminal state must stand apart from any later one for this fraction of pseudotime.",
        ge=0,
        le=1,
        advanced=True,
    )
    min_cells: int = param(
        20, "A terminal state must hold this many cells of its own.", unit="cells", ge=1, advanced=True
    )

    min_eigenvalue: float = param(
        0.9,
        "The random walk confined to a terminal state must have at least this leading eigenvalue: it leaves in less "
        "than one step in ten.",
        ge=0,
        le=1,
        advanced=True,
    )
    terminal_choice: Literal["refined", "path"] = param(
        "refined",
        "Terminal cell of a region. refined: chosen again once the tree is known, in the half that is later by path "
        "and topics; path: by shortest paths alone.",
        advanced=True,
    )
    absorbing_cells: int = param(
        10,
        "Cells around a terminal cell that absorb the random walk, itself included; 1: the terminal cell alone, as "
        "published.",
        unit="cells",
        ge=1,
        le=200,
        advanced=True,
    )
    fill_sinks: bool = param(
        True,
        "Level the local maxima of pseudotime that are no terminal state, so that the random walk can leave them.",
        advanced=True,
    )
    teleportation: float = param(
        0.01,
        "Fraction of steps along any edge for cells from which no terminal state can be reached.",
        gt=0,
        le=0.5,
        advanced=True,
    )

    # Lineage tree and pseudotime alignment
    branch_threshold: float = param(
        0.5,
        "Lineages separate where the log ratio of their fate probabilities exceeds this.",
        unit="natural log",
        gt=0,
        le=20,
    )
    branch_rule: Literal["ramp", "first_cell"] = param(
        "ramp",
        "Branch time of two lineages. ramp: the foot of a ramp fitted to the log ratios of all their cells; "
        "first_cell: the first cell beyond the threshold, as published.",
    )
    branch_cap: float = param(
        2.0,
        "The ramp that gives a branch time counts log ratios beyond this many thresholds as this many.",
        unit="thresholds",
        gt=1,
        le=100,
        advanced=True,
    )
    branch_resamples: int = param(
        20,
        "Random halves of the cells from which the trajectory is inferred again for the intervals of the branch times; "
        "0: no intervals.",
        unit="samples",
        ge=0,
        le=1000,
        advanced=True,
    )
    clock: Literal["lineages", "paths"] = param(
        "lineages",
        "Pseudotime alignment. lineages: every node of the tree spans pseudotime in proportion to its cells, so that "
        "lineages are comparable; paths: shortest-path distances as they are.",
    )
    resolution: float = param(
        0.07,
        "Cells closer than this fraction of pseudotime count as simultaneous in the alignment.",
        ge=0,
        le=0.5,
        advanced=True,
    )
    topic_weight: float = param(
        0.5,
        "Weight of the prediction from topics, against path length, in the order of cells near the end of a lineage "
        "(alignment).",
        ge=0,
        le=1,
        advanced=True,
    )

    # Trajectory evidence: it advises; cells, fates and pseudotime that are given are used whatever it says
    draw_unsupported: bool = param(
        False,
        "Draw lineages without trajectory evidence, too, marked as not supported; they are drawn anyway where terminal "
        "cells or fate probabilities are given.",
    )
    agreement_supported: float = param(
        0.6,
        "Correlation of the assays on pseudotime from which a trajectory is supported (simulated forks: 0.995).",
        ge=-1,
        le=1,
        advanced=True,
    )
    agreement_none: float = param(
        0.4,
        "Correlation of the assays below which a short path is no trajectory (halfway between noise and support).",
        ge=-1,
        le=1,
        advanced=True,
    )
    agreement_noise: float = param(
        0.2,
        "Correlation of the assays below which a long path is no trajectory (one simulated cell type: up to 0.06; "
        "398 oligodendrocyte cells: 0.37).",
        ge=-1,
        le=1,
        advanced=True,
    )
    eigenvalue_long: float = param(
        0.95,
        "Second eigenvalue of the diffusion map from which a path counts as long (simulated forks: 0.998).",
        ge=0,
        le=1,
        advanced=True,
    )
    eigenvalue_round: float = param(
        0.9,
        "Second eigenvalue of the diffusion map below which cells are a round cloud (one simulated cell type: 0.89 "
        "to 0.92).",
        ge=0,
        le=1,
        advanced=True,
    )
    min_continuity: float = param(
        0.1,
        "A transition has a gap where its emptiest stretch holds less than this fraction of the cells expected; where "
        "every transition has one, there is no supported trajectory; 0: no test.",
        ge=0,
        le=1,
        advanced=True,
    )

    gap_stretch: float = param(
        0.3,
        "Width of the stretch of a transition that is searched for a gap, as a fraction of the committor.",
        gt=0,
        lt=1,
        advanced=True,
    )
    gap_end_cells: int = param(
        20,
        "Cells at either end of a transition between which the committor is solved.",
        unit="cells",
        ge=1,
        advanced=True,
    )
    gap_min_cells: int = param(
        1000,
        "A transition of fewer cells has empty stretches by chance and gets no verdict.",
        unit="cells",
        ge=1,
        advanced=True,
    )

    batch_variance: float = param(
        0.1,
        "A lineage follows the batch (--batch) where the batch explains this fraction of its variance beyond "
        "the groups (--groups), or alone where no groups were given.",
        gt=0,
        le=1,
        advanced=True,
    )

    # Results of another method
    pseudotime_key: str = param(
        "", "Cell annotation with a pseudotime of another method, to use in place of ours.", choices_from="numeric obs"
    )
    fate_key: str = param(
        "", "obsm table with fate probabilities of another method (columns: lineages).", choices_from="obsm"
    )

    # Streams
    stream_window: float = param(
        0.15, "Width of the smoothing window, as a fraction of the range of pseudotime.", gt=0, le=1
    )
    stream_time: Literal["linear", "log"] = param("linear", "Scale of the pseudotime axis of the streams.")
    stream_genes: list[str] = param(
        [], "Genes to draw; empty: the top gene of each expression topic.", choices_from="genes"
    )
    stream_columns: list[str] = param(
        [], "Numeric cell annotations to draw along pseudotime.", choices_from="numeric obs"
    )
    n_resamples: int = param(
        100,
        "Bootstrap samples of the cells for bands; 0: none.",
        ge=0,
        le=2000,
        advanced=True,
    )
