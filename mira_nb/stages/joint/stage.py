"""Stage joint: both topic models in one space, its neighbour graph, clusters and map."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from mira_nb import keys
from mira_nb.keys import (
    JOINT_STAGE,
    PREPARE,
    TOPICS_ATAC,
    TOPICS_RNA,
)
from mira_nb.stages.base import Context, Memory, Stage
from mira_nb.stages.params import Params
from mira_nb.stages.result import Result, Slot

from .params import JointParams

if TYPE_CHECKING:
    from mudata import MuData


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
    optional_resources: ClassVar[tuple[str, ...]] = ("groups", "batch", "labels", "subset")
    writes: ClassVar[tuple[Slot, ...]] = (
        Slot(
            "joint",
            "obsm",
            keys.X_JOINT,
            "cells x (topics - 2)",
            "weighted log ratios of topics",
        ),
        Slot("joint", "obsm", keys.X_UMAP, "cells x 2", "coordinates of the map"),
        Slot(
            "joint",
            "obsp",
            keys.JOINT_DISTANCES,
            "cells x cells, sparse",
            "Manhattan distance to neighbours",
        ),
        Slot("joint", "obsp", keys.JOINT_CONNECTIVITIES, "cells x cells, sparse", "weight, 0 to 1"),
        Slot("joint", "obs", keys.LEIDEN, "cells", "cluster"),
    )
    also_writes: ClassVar[tuple[Slot, ...]] = (
        Slot("joint", "uns", keys.SUBSET, "mapping", "which cells were chosen, where a subset was"),
        Slot("joint", "obs", keys.CELL_LABEL, "cells", "label of the cluster, where labels were given"),
        Slot("joint", "uns", keys.JOINT_WEIGHTS, "mapping", "weight of each assay"),
        Slot("rna", "obsm", keys.X_UMAP_TOPICS, "cells x 2", "coordinates of the map of the expression topics"),
        Slot("atac", "obsm", keys.X_UMAP_TOPICS, "cells x 2", "coordinates of the map of the accessibility topics"),
        Slot("joint", "obsp", keys.CONNECTIVITIES, "cells x cells, sparse", "as `joint_connectivities`, for scanpy"),
        Slot("joint", "obsp", keys.DISTANCES, "cells x cells, sparse", "as `joint_distances`, for scanpy"),
        Slot("joint", "uns", keys.NEIGHBORS, "mapping", "parameters of the graph, for scanpy"),
        Slot("joint", "uns", keys.UMAP, "mapping", "parameters of the map, for scanpy"),
        Slot("joint", "uns", keys.LEIDEN, "mapping", "parameters of the clusters, for scanpy"),
        Slot("rna", "obsm", keys.X_UMAP, "cells x 2", "coordinates of the joint map, for scanpy"),
        Slot("atac", "obsm", keys.X_UMAP, "cells x 2", "coordinates of the joint map, for scanpy"),
        Slot("rna", "obs", keys.LEIDEN, "cells", "cluster, unless the data had a column of that name"),
        Slot("atac", "obs", keys.LEIDEN, "cells", "cluster, unless the data had a column of that name"),
        Slot("rna", "uns", keys.LEIDEN, "mapping", "parameters of the clusters, for scanpy"),
        Slot("atac", "uns", keys.LEIDEN, "mapping", "parameters of the clusters, for scanpy"),
    )
    memory: ClassVar[Memory] = Memory(740, 12)
    look: ClassVar[str] = (
        "Known cell types should lie apart, and cells of different batches should mix within each type."
    )
    tune: ClassVar[str] = "A higher resolution gives more and smaller clusters; more neighbours give a smoother map."

    def run(self, data: MuData, params: JointParams, context: Context) -> Result:
        """Compute the joint space, its graph, clusters and maps, and compare representations."""
        from mira_nb.stages.shared.flags import mark_figures, mark_tables, topic_flags

        from .compute import compare, compute
        from .figures import figures
        from .report import alerts, methods, metrics, slots, tables

        joined = compute(data, params, context)
        context.progress(0.7, "comparing representations")
        comparison = compare(joined, seed=context.seed)
        context.progress(0.85, "figures")
        flags = topic_flags(data)
        return Result(
            slots=slots(joined),
            tables=mark_tables(tables(joined, comparison), flags),
            figures=mark_figures(figures(joined, comparison), flags, images=("topics_rna", "topics_atac")),
            metrics=metrics(joined, comparison),
            alerts=alerts(joined, comparison),
            methods=methods(joined, comparison),
        )
