"""Stage joint: both topic models in one space, its neighbour graph, clusters and map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

import pandas as pd

from mira_nb.keys import (
    ATAC,
    JOINT_CONNECTIVITIES,
    JOINT_DISTANCES,
    JOINT_STAGE,
    JOINT_WEIGHTS,
    LEIDEN,
    PREPARE,
    RNA,
    TOPICS_ATAC,
    TOPICS_RNA,
    X_JOINT,
    X_UMAP,
    X_UMAP_TOPICS,
)

from .base import Context, Params, Result, Slot, Stage, param

if TYPE_CHECKING:
    from mudata import MuData


class JointParams(Params):
    """Parameters of the stage joint."""

    weights: Literal["balanced", "reliability"] = param(
        "reliability",
        "How much each modality counts in the joint space: by the share of its topics' variation that another "
        "sequencing would repeat (reliability), or both the same as published (balanced).",
    )
    n_neighbors: int = param(15, "Neighbours of every cell in the joint graph.", unit="cells", ge=2, le=500)
    resolution: float = param(1.0, "Leiden: higher gives more and smaller clusters.", gt=0, le=100)
    min_dist: float = param(0.1, "UMAP: how tightly points may be packed (0 tight, 1 loose).", ge=0, le=1)
    markers: list[str] = param([], "Genes to draw on every map; empty: one of the top genes of each expression topic.")
    n_markers: int = param(
        12, "At most this many genes are drawn when none are named.", unit="genes", ge=1, le=60, advanced=True
    )
    compare_neighbors: int = param(
        30,
        "Neighbours used to compare representations (purity, accuracy, overlap).",
        unit="cells",
        ge=2,
        le=500,
        advanced=True,
    )
    compare_cells: int = param(
        20_000,
        "Above this number of cells, a random sample of this size is compared.",
        ge=100,
        le=200_000,
        advanced=True,
    )
    floor: float = param(
        1e-8,
        "Topic proportions below this count as this in the log-ratio transform.",
        gt=0,
        le=1e-2,
        advanced=True,
    )


class JointStage(Stage[JointParams]):
    """Joint representation, neighbour graph, Leiden clusters and UMAPs."""

    name: ClassVar[str] = JOINT_STAGE
    title: ClassVar[str] = "Joint representation"
    purpose: ClassVar[str] = (
        "Combines expression and accessibility topics into one space, finds clusters in it, draws it, and compares it "
        "with the standard representations."
    )
    Params: ClassVar[type[Params]] = JointParams
    needs: ClassVar[tuple[str, ...]] = (PREPARE, TOPICS_RNA, TOPICS_ATAC)
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "batch")

    def run(self, data: MuData, params: JointParams, context: Context) -> Result:
        """Compute the joint space, its graph, clusters, maps and comparisons."""
        from mira_nb.core.neighbors import connectivities, embed, leiden, nearest_neighbors, umap_layout
        from mira_nb.core.representation import ilr, joint_representation

        from ._cells import cell_annotations, cell_depths, topic_frame
        from ._joint_figures import figures, marker_alerts
        from ._joint_report import Joined, alerts, compare, methods, metrics, tables
        from ._joint_weights import modality_weights

        rna, atac = topic_frame(data, RNA), topic_frame(data, ATAC)
        weights = modality_weights(data, params.weights, floor=params.floor, context=context)
        joint = joint_representation(
            rna.to_numpy(), atac.to_numpy(), floor=params.floor, weights=(weights.rna, weights.atac)
        )
        context.progress(0.05, "neighbours in the joint space")
        neighbors = nearest_neighbors(joint, k=params.n_neighbors, metric="manhattan", seed=context.seed)
        graph = connectivities(neighbors)
        context.progress(0.2, "clusters")
        clusters = leiden(graph, resolution=params.resolution, seed=context.seed)
        maps = {}
        context.progress(0.25, "UMAP of the joint space")
        maps["joint"] = umap_layout(graph, joint, metric="manhattan", min_dist=params.min_dist, seed=context.seed)
        for step, (name, topics) in enumerate(((RNA, rna), (ATAC, atac))):
            context.progress(0.4 + 0.15 * step, f"UMAP of the {name.upper()} topics")
            maps[name] = embed(
                ilr(topics.to_numpy(), floor=params.floor),
                k=params.n_neighbors,
                metric="manhattan",
                min_dist=params.min_dist,
                seed=context.seed,
            )
        names = [str(i) for i in range(int(clusters.max()) + 1)]
        labels = pd.Categorical([names[i] for i in clusters], categories=names)
        joined = Joined(
            data=data,
            params=params,
            annotations=cell_annotations(data, context.resources),
            depths=cell_depths(data),
            rna_topics=rna,
            atac_topics=atac,
            joint=joint,
            weights=weights,
            neighbors=neighbors,
            graph=graph,
            leiden=labels,
            maps=maps,
        )
        context.progress(0.7, "comparing representations")
        comparison = compare(joined, seed=context.seed)
        context.progress(0.85, "figures")
        return Result(
            slots={
                Slot("joint", "obsm", X_JOINT): joint,
                Slot("joint", "uns", JOINT_WEIGHTS): {RNA: weights.rna, ATAC: weights.atac},
                Slot("joint", "obsm", X_UMAP): maps["joint"],
                Slot("joint", "obsp", JOINT_DISTANCES): neighbors.to_sparse(),
                Slot("joint", "obsp", JOINT_CONNECTIVITIES): graph,
                Slot("joint", "obs", LEIDEN): labels,
                Slot("rna", "obsm", X_UMAP_TOPICS): maps[RNA],
                Slot("atac", "obsm", X_UMAP_TOPICS): maps[ATAC],
            },
            tables=tables(joined, comparison),
            figures=figures(joined, comparison),
            metrics=metrics(joined, comparison),
            alerts=[*alerts(joined, comparison), *marker_alerts(joined)],
            methods=methods(joined, comparison),
        )
