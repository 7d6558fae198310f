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
        Slot("joint", "obsm", keys.X_JOINT),
        Slot("joint", "obsm", keys.X_UMAP),
        Slot("joint", "obsp", keys.JOINT_DISTANCES),
        Slot("joint", "obsp", keys.JOINT_CONNECTIVITIES),
        Slot("joint", "obs", keys.LEIDEN),
    )
    memory: ClassVar[Memory] = Memory(790, 22)
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
